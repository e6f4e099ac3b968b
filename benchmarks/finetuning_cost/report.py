"""Print the results."""

from typing import Any

from rich.table import Table

from benchmarks.finetuning_cost.methods import AMORTISED, EPOCHS
from benchmarks.finetuning_cost.token_counts import TOKEN_ROWS, layer_passes
from benchmarks.harness.provenance import machine_line
from benchmarks.harness.tables import join_items, make_console, make_table


def print_results(results: dict[str, Any]) -> None:
    """Print the results as tables."""
    console, epoch, targets = make_console(), results["epoch"], results["measured"]["targets"]
    console.print(f"{join_items(results['log'])}\n{join_items(results['settings'])}\n{machine_line(results['machine'])}")
    share = f"{sum(targets):,} of {epoch['targets']:,} targets"
    console.print(f"measured: {len(targets)} of {epoch['steps']} batches, {share}")
    differences = [value for by_step in results["loss_difference"].values() for value in by_step.values()]
    if differences:
        methods = len(results["loss_difference"])
        console.print(f"same model: the losses of {methods} methods differ by at most {max(differences):.1e}")
    console.print(token_table(epoch))
    console.print(side_table(results["sides"], epoch))
    console.print(pair_table(results["pairs"]))
    console.print("an epoch is extrapolated by targets from the measured batches")


def token_table(epoch: dict[str, int]) -> Table:
    """Return the tokens of a step under each choice of padding."""
    rows = [
        [line, f"{epoch[key] / epoch['steps']:,.0f}", f"{epoch[key] / epoch['tokens_ours']:.2f}"]
        for line, key in TOKEN_ROWS.items()
    ]
    return make_table(None, ["titles of a step, in tokens with padding", "tokens", "× those of interestlab"], rows)


def side_table(sides: dict[str, dict[str, Any]], epoch: dict[str, int]) -> Table:
    """Return time, work, trained weights and memory of each side."""
    headings = (
        "side",
        "s per epoch",
        "s once",
        "s refreshing",
        "tokens × layers per step: forward",
        "backward",
        "trained",
        "peak MiB",
    )
    rows = []
    for name, side in sides.items():
        passes = [f"{n / epoch['steps']:,.0f} × {layers}" if n else "0" for n, layers in layer_passes(name, epoch)]
        memory = f"{side['peak_mb']:,.0f}" + (" (computed)" if side.get("activations_mb") else "")
        once = f"{side['once_seconds']:.1f}" if "once_seconds" in side else ""
        refresh = f"{side['refresh_seconds']:.1f}" if AMORTISED in name else ""
        rows.append([name, f"{side['epoch_seconds']:,.1f}", once, refresh, *passes, f"{side['trained']:,}", memory])
    return make_table(None, headings, rows)


def pair_table(pairs: list[dict[str, Any]]) -> Table:
    """Return the ratios of the pairs."""
    once_headings = [f"with s once, over {n}" for n in EPOCHS]
    headings = ["ours", "compared with", "times as fast: epoch", "batches, median (range)", *once_headings, "goal"]
    rows = []
    for pair in pairs:
        batches, goal = pair["batches"], "–"
        if pair["goal"] is not None:
            goal = f"[green]{pair['goal']:g}: met[/]" if pair["met"] else f"[red]{pair['goal']:g}: missed[/]"
        spread = f"{batches['median']:.2f} ({batches['min']:.2f} to {batches['max']:.2f})"
        once = [f"{ratio:.2f}" for ratio in pair["with_once"].values()]
        rows.append([pair["ours"], pair["other"], f"{pair['epoch']:.2f}", spread, *once, goal])
    return make_table(None, headings, rows, text_columns=2)
