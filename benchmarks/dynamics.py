"""What each dynamics costs as a history grows: a pass forward and backward, and one step after T events.

Every registered dynamics is measured with its defaults, and in the variants that change its cost. ``max_length``, where a
dynamics has one, is set to the length that is measured.

- **pass**: forward and backward over whole histories in training mode, dropout included, in milliseconds a history. The
  gradient reaches the events too, as with an encoder that is trained. A batch holds ``--events`` events, and no fewer than
  ``--histories`` histories: a loop over T pays for each turn once, and all histories of the batch share it.
- **step**: one more event of one user after T events, in evaluation mode without gradient.
- **memory**: what the first pass of a length takes at its peak above what was there before, a history. On a CPU it is the
  operating system's figure and told by Linux alone; what lies below a MiB or two of a batch is noise.
- **growth**: slope of log time on log T over the upper half of the lengths: about 1 is linear, about 2 quadratic. Of
  passes only where the batch holds ``--histories`` histories: with ever fewer of them, a loop's turn would be shared by
  ever fewer, and what is linear in T would look quadratic.

Dynamics take turns, in alternating order, and the median of ``--rounds`` is taken after a warm-up: other work on the
machine slows all alike. Where it is much, ``--clock=processor`` counts the time that the processor spent instead. A dynamics
of which a pass takes over ``--limit`` seconds is not measured at longer histories. Ctrl-C ends the measuring and shows what
there is.

    python benchmarks/dynamics.py [--lengths 16 32 64] [--device cuda] [--out results.json] [--plot cost.png]
"""

import argparse
import ctypes
import inspect
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import seed_everything
from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import Tensor

from interestlab.contract import Dynamics, State
from interestlab.registry import DYNAMICS
from interestlab.training.callbacks.run_folder import versions

LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
DAYS = 7.0
"""Mean silence between two events."""
STEPS = 20
"""Steps that one turn of a round takes, all from the same state: one alone is too short for a clock."""
BASELINE = "transformer"
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "momentum": [{}, {"delta": "network"}],
    "multi_interest": [{"extractor": "attention"}, {"extractor": "routing"}],
    "ode": [{"solver": "linear"}, {"solver": "euler"}, {"solver": "rk4"}],
    "time_transformer": [{"kind": "hstu"}, {"kind": "rotary"}, {"kind": "interval"}],
}
"""What of a dynamics is measured; of one that is not named, its defaults."""
SETTINGS = ("dim", "lengths", "events", "histories", "dropout", "rounds", "limit", "clock")
Work = dict[str, Callable[[], object]]
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
COLOURS = ("#999999", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8c6d31", "#222222", "#6a3d9a", "#0072B2")
"""Those of Okabe and Ito's palette that can be read on white, and some more; vermilion is the baseline's."""
STYLES, MARKERS = ("-", "--", ":"), "os^vDP"


@dataclass
class Contender:
    """One dynamics with its arguments, and what was measured of it.

    Attributes:
        name: in the registry.
        arguments: of its constructor.
        passes: a row a length.
        steps: a row a length.
        stopped: why longer histories were not measured; empty: they were.
    """

    name: str
    arguments: dict[str, Any]
    passes: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = ""

    @property
    def label(self) -> str:
        return " ".join([self.name, *(f"{k}={v}" for k, v in self.arguments.items())])

    def build(self, args: argparse.Namespace, length: int) -> Dynamics:
        cls = DYNAMICS.load(self.name)
        wanted = {"max_length": length, "dropout": args.dropout}
        taken = {k: v for k, v in wanted.items() if v is not None and k in inspect.signature(cls).parameters}
        return cast(Dynamics, cls(dim=args.dim, **taken, **self.arguments).to(args.device))


# ---- measuring


class Stopwatch:
    """Times work, when all that was asked for before is done.

    Args:
        clock: name of the clock.
        device: where the work is done.
    """

    def __init__(self, clock: str, device: torch.device) -> None:
        self.clock, self.device = CLOCKS[clock], device

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.clock()

    def milliseconds(self, work: Callable[[], object]) -> float:
        began = self.now()
        work()
        return 1e3 * (self.now() - began)


def peak_of(work: Callable[[], object], device: torch.device) -> float | None:
    """MiB that some work takes at its peak, above what was there before; None where the system does not tell."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    before_it = reset_peak()
    work()
    return None if before_it is None else resident("VmHWM") - before_it


def reset_peak() -> float | None:
    """Let Linux count the peak of this process anew; the MiB it holds now."""
    if sys.platform != "linux":
        return None
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # glibc keeps what was freed, and a pass would find it there
        libc.malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # some containers have no such file
        return None
    return resident("VmRSS")


def resident(key: str) -> float:
    """MiB of this process: ``VmRSS`` now, ``VmHWM`` at the peak."""
    found = re.search(rf"^{key}:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 2**10


def events(histories: int, length: int, dim: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Events, days and mask of histories of one length."""
    x = torch.randn(histories, length, dim, device=device)
    dt = torch.empty(histories, length, device=device).exponential_(1 / DAYS)
    dt[:, 0] = 0
    return x, dt, torch.ones(histories, length, dtype=torch.bool, device=device)


def train(model: Dynamics, x: Tensor, dt: Tensor, mask: Tensor) -> None:
    """One pass forward and backward, which leaves no gradient behind."""
    model(x.requires_grad_(), dt, mask).square().mean().backward()
    x.grad = None
    model.zero_grad(set_to_none=True)


def rounds_of(work: Work, rounds: int, watch: Stopwatch, shown: "Shown") -> dict[str, list[float]]:
    """Milliseconds of each, which take turns in alternating order."""
    took: dict[str, list[float]] = {label: [] for label in work}
    for number in range(rounds):
        for label in work if number % 2 else reversed(work):
            shown.at(label)
            took[label].append(watch.milliseconds(work[label]))
    return took


class Shown:
    """The progress of one stage.

    Args:
        progress: where it is shown.
        stage: name of it.
        total: pieces of work.
    """

    def __init__(self, progress: Progress, stage: str, total: int) -> None:
        self.progress, self.stage = progress, stage
        self.task = progress.add_task(stage, total=total)

    def at(self, label: str) -> None:
        self.progress.update(self.task, description=f"{self.stage}: {label}", advance=1)

    def end(self) -> None:
        self.progress.remove_task(self.task)


def measure_passes(contenders: Sequence[Contender], args: argparse.Namespace, watch: Stopwatch, progress: Progress) -> None:
    """Passes at every length, of those that are not stopped on the way."""
    for length in args.lengths:
        going = [c for c in contenders if not c.stopped]
        histories = max(args.histories, args.events // length)
        batch = events(histories, length, args.dim, watch.device)
        work: Work = {c.label: partial(train, c.build(args, length).train(), *batch) for c in going}
        shown = Shown(progress, f"T = {length}", len(work) * (args.rounds + 1))
        peaks = {}
        for label, one in work.items():
            shown.at(label)
            peaks[label] = peak_of(one, watch.device)
        took = rounds_of(work, args.rounds, watch, shown)
        shown.end()
        for c in going:
            c.passes.append(row_of_passes(length, histories, took[c.label], peaks[c.label]))
            seconds = statistics.median(took[c.label]) / 1e3
            if seconds > args.limit and length < args.lengths[-1]:
                c.stopped = f"a pass of {histories} histories of {length} events takes {seconds:.1f} s"


def row_of_passes(length: int, histories: int, took: Sequence[float], peak: float | None) -> dict[str, Any]:
    """What was measured of a batch, a history."""
    return {
        "length": length,
        "histories": histories,
        "ms": statistics.median(took) / histories,
        "rounds_ms": [ms / histories for ms in took],
        "peak_mb": None if peak is None else max(0.0, peak) / histories,
    }


@torch.no_grad()
def measure_steps(contenders: Sequence[Contender], args: argparse.Namespace, watch: Stopwatch, progress: Progress) -> None:
    """A step of one user after each length."""
    longest = args.lengths[-1]
    x, dt, _ = events(1, longest + 1, args.dim, watch.device)
    models = {c.label: c.build(args, longest + 1).eval() for c in contenders}
    states = {label: model.init_state(1) for label, model in models.items()}
    shown = Shown(progress, "steps", len(models) * len(args.lengths) * (args.rounds + 1))
    for begin, length in pairwise((0, *args.lengths)):
        for label, model in models.items():
            shown.at(label)
            for t in range(begin, length):
                states[label], _ = model.step(states[label], x[:, t], dt[:, t])
        work: Work = {
            label: partial(again, model, states[label], x[:, length], dt[:, length]) for label, model in models.items()
        }
        took = rounds_of(work, args.rounds, watch, shown)
        for c in contenders:
            rounds = [ms / STEPS for ms in took[c.label]]
            c.steps.append({"length": length, "ms": statistics.median(rounds), "rounds_ms": rounds})
    shown.end()


def again(model: Dynamics, state: State, x: Tensor, dt: Tensor) -> None:
    for _ in range(STEPS):
        model.step(state, x, dt)


def growth(rows: Sequence[dict[str, Any]], upper: Sequence[int], histories: int | None = None) -> float | None:
    """Slope of log time on log T over the upper lengths, of batches with so many histories; None: too few were measured."""
    kept = [row for row in rows if row["length"] in upper and histories in (None, row.get("histories"))]
    if len(kept) < 2:
        return None
    return float(np.polyfit(np.log([row["length"] for row in kept]), np.log([row["ms"] for row in kept]), 1)[0])


def measure(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Run everything; the results, as they are written down."""
    device = torch.device(args.device)
    watch = Stopwatch(args.clock, device)
    seed_everything(args.seed, verbose=False)
    contenders = [Contender(name, arguments) for name in args.dynamics for arguments in VARIANTS.get(name, [{}])]
    with suppress(KeyboardInterrupt):  # what was measured until then is shown
        measure_steps(contenders, args, watch, progress)
        measure_passes(contenders, args, watch, progress)
    baseline = {row["length"]: row["ms"] for c in contenders if c.name == BASELINE for row in c.passes}
    for row in (row for c in contenders for row in c.passes):
        row["of_baseline"] = row["ms"] / baseline[row["length"]] if row["length"] in baseline else None
    upper = args.lengths[len(args.lengths) // 2 :]
    return {
        "settings": {k: getattr(args, k) for k in SETTINGS},
        "dynamics": {
            c.label: {
                "name": c.name,
                "passes": c.passes,
                "steps": c.steps,
                "pass_growth": growth(c.passes, upper, args.histories),
                "step_growth": growth(c.steps, upper),
                "stopped": c.stopped,
            }
            for c in contenders
        },
        "machine": {"device": args.device, "threads": torch.get_num_threads()} | versions(),
    }


# ---- showing


def tell(told: dict[str, Any]) -> None:
    """Print the results as tables, which Markdown can take over."""
    console = Console()
    settings = ", ".join(f"{k} {v}" for k, v in told["settings"].items())
    console.print(f"{settings}\n{told['machine']['device']}, {told['machine']['threads']} threads\n")
    console.print(table("ms a history, forward and backward", told, "passes", "ms", "pass_growth"))
    console.print(table(f"times `{BASELINE}`, forward and backward", told, "passes", "of_baseline"))
    console.print(table("ms a step of one user", told, "steps", "ms", "step_growth"))
    console.print(table("peak MiB a history, forward and backward", told, "passes", "peak_mb"))
    for label, result in told["dynamics"].items():
        if result["stopped"]:
            console.print(f"`{label}` was not measured at longer histories: {result['stopped']}", highlight=False)


def table(title: str, told: dict[str, Any], kind: str, key: str, grown: str | None = None) -> Table:
    """One figure of every dynamics at every length."""
    lengths = told["settings"]["lengths"]
    shown = Table(title, box=MARKDOWN)
    for heading in (*(f"T = {length}" for length in lengths), *(["growth"] if grown else [])):
        shown.add_column(heading, justify="right", no_wrap=True)
    for label, result in told["dynamics"].items():
        values = {row["length"]: row[key] for row in result[kind]}
        cells = [figure(values.get(length)) for length in lengths]
        shown.add_row(f"`{label}`", *cells, *([figure(result[grown], "{:.2f}")] if grown else []))
    return shown


def figure(value: float | None, form: str = "{:,.3g}") -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else form.format(value)


def plot(told: dict[str, Any]) -> bytes:
    """The PNG of a pass and of a step against T, both in logarithms.

    Raises:
        SystemExit: matplotlib is not installed.
    """
    try:
        import matplotlib

        from interestlab.reporting.colours import GREY, RED
        from interestlab.reporting.matplotlib_figures import STYLE, create_figure, png_bytes
    except ModuleNotFoundError as err:
        if err.name != "matplotlib":
            raise
        raise SystemExit("--plot needs matplotlib: pip install 'interestlab[report]'") from err
    with matplotlib.rc_context(STYLE):
        drawn, (left, right) = create_figure(5.4, 2)
        lines(left, told, "passes", RED)
        lines(right, told, "steps", RED)
        left.set_title("ms a history, forward and backward")
        right.set_title("ms a step of one user")
        guides(left, told["settings"]["lengths"], GREY)
        drawn.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
        return png_bytes(drawn)


def lines(panel: Any, told: dict[str, Any], kind: str, baseline: str) -> None:
    """A line of each: a colour a dynamics, a style a variant of it."""
    lengths, seen = told["settings"]["lengths"], Counter[str]()
    others = [name for name in dict.fromkeys(result["name"] for result in told["dynamics"].values()) if name != BASELINE]
    looks = {BASELINE: (baseline, "*")} | {name: (c, m) for name, c, m in zip(others, cycle(COLOURS), cycle(MARKERS))}
    for label, result in told["dynamics"].items():
        (colour, marker), rows = looks[result["name"]], result[kind]
        style = STYLES[seen[result["name"]] % len(STYLES)]
        seen[result["name"]] += 1
        panel.plot(
            [row["length"] for row in rows],
            [row["ms"] for row in rows],
            style,
            marker=marker,
            color=colour,
            ms=3.5,
            lw=1.3,
            label=label,
        )
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(lengths, [str(length) for length in lengths], fontsize=8)
    panel.minorticks_off()
    panel.yaxis.set_major_formatter("{x:g}")
    panel.set_xlabel("T, events of a history")


def guides(panel: Any, lengths: Sequence[int], colour: str) -> None:
    """Slopes to hold the lines against, below them on the right."""
    ends, low = np.array([lengths[len(lengths) // 2], lengths[-1]]), 2 * panel.get_ylim()[0]
    for slope, name in ((1, "∝ T"), (2, "∝ T²")):
        heights = low * (ends / ends[0]) ** float(slope)
        panel.plot(ends, heights, color=colour, lw=0.8, zorder=0)
        above = {"xytext": (0, 4), "textcoords": "offset points"}
        panel.annotate(name, (ends[-1], heights[-1]), color=colour, fontsize=8, ha="right", **above)


def parse(argv: list[str]) -> argparse.Namespace:
    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=about, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = DYNAMICS.names()
    which = f"of {names}; default: all"
    parser.add_argument("--dynamics", nargs="+", choices=names, default=names, metavar="NAME", help=which)
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS, metavar="T", help="events of a history")
    parser.add_argument("--events", type=int, default=1024, help="of a batch")
    parser.add_argument("--histories", type=int, default=4, help="of a batch, at least")
    parser.add_argument("--dim", type=int, default=64, help="width")
    parser.add_argument("--dropout", type=float, help="of those that have one; default: their own")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    parser.add_argument("--limit", type=float, default=5.0, help="seconds of a pass, after which no longer T is tried")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: for a shared CPU, and one thread")
    parser.add_argument("--seed", type=int, default=0, help="of weights, dropout and events")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    parser.add_argument("--plot", type=Path, help="PNG file of the plot")
    args = parser.parse_args(argv)
    args.lengths = sorted(set(args.lengths))
    if min(*args.lengths, args.histories, args.rounds, args.threads, args.dim) < 1:
        parser.error("--lengths, --histories, --rounds, --threads and --dim must be at least 1")
    if args.clock == "processor" and (args.device == "cuda" or args.threads > 1):
        parser.error("--clock=processor needs --threads=1, since threads that wait take time too, and no GPU")
    return args


def main(argv: list[str]) -> None:
    args = parse(argv)
    torch.set_num_threads(args.threads)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        told = measure(args, progress)
    if args.out:
        args.out.write_text(json.dumps(told, indent=1))
    if args.plot:
        args.plot.write_bytes(plot(told))
    tell(told)


if __name__ == "__main__":
    main(sys.argv[1:])
