"""How well changes of interest are found that are known to be there.

A third of the simulated users migrate, a third evolve, a third stay. A log has long histories over ``K`` interests
(categories). Measured are ``n`` events before and ``n`` after the planted moment of each user, for null users the middle of
their history. "60% of the top interest moves" can be read two ways, and both are measured: ``all``, where the main interest's
share of .6 moves whole, and ``part``, where .6 of it moves (.36 of the attention).
Events are independent (``visit 1``: each a session of its own) or come in sessions of two on average (``visit 2``).

- **migration**: share of users with p <= .05, by total variation (tv), Jensen-Shannon (js) and ``span``; of migrators it is the
  power, of null users and evolvers the false positives. ``tv, events``: single events are permuted, not sessions.
- **rank**: AUROC of a score of migration and of evolution, against null users and against each other.
- **where**: share of migrators whose source and destination are both told right.
- **changes**: one change within 35 to 65% of a history of ``L`` sessions. Found within 10% of L: a hit; any other change found:
  a false alarm; a migrator without hit: a miss. F1 over migrators and null users.
- **momentum**: alpha and beta from logs of users who follow the heavy ball, over repeats.
- **evidence**: power that the rule "not enough evidence" predicts, against what the test of migration then has.

Every figure is a mean over seeds, with Student's 95% interval; each seed is another shop and other users.

    python benchmarks/drift.py [--quick] [--users 400] [--seeds 4] [--only migration rank] [--out results.json] [--plots DIR]
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.metrics import roc_auc_score

from interestlab import encoders
from interestlab.data.datamodule import InterestData
from interestlab.drift.attention import Attention
from interestlab.drift.changes import calibrate, offline, online, scan, segments, session_labels
from interestlab.drift.evolution import evolution
from interestlab.drift.interests import Interests, taxonomy
from interestlab.drift.migration import migration
from interestlab.drift.panel import Panel, panel
from interestlab.drift.settings import Settings
from interestlab.drift.vectors import encoded, of_users, reduced
from interestlab.errors import DataError
from interestlab.stats.heavy_ball import fit_momentum
from interestlab.stats.intervals import t_interval
from interestlab.stats.multiple_testing import benjamini_hochberg
from interestlab.stats.power import TARGET_POWER, homogeneity_test_power, required_sample_size
from interestlab.training.callbacks.run_folder import versions
from interestlab_sources.simulated import Simulated

STRENGTH, LEVEL, NEAR = 0.6, 0.05, 0.1
MOVED = {"all": 1.0, "part": 0.6}
"""Share of the main interest that a migrator takes along, by reading."""
VISITS = (1, 2)
KINDS = ("migrate", "null", "evolve")
DAYS = 3650
"""Long enough that two sessions hardly ever fall within half an hour, and are one."""
MOMENTA = ((0.0, 0.3), (0.4, 0.3))
SECTIONS = ("migration", "rank", "where", "changes", "momentum", "evidence")
GOALS = """power >= .65 at n = 20 and >= .99 at 50, false positives within .02 to .08; AUROC of migration >= .98 and of
evolution >= .88 at 50; source and destination >= .90 at 50; F1 >= .90 at L = 100"""
Figures = defaultdict[tuple[Any, ...], list[float]]
"""Of each seed, by what was measured."""


@dataclass(frozen=True)
class Planted:
    """A log whose users' changes are known.

    Attributes:
        data: the log.
        panel: of all its events.
        truth: a row for each user, in the panel's order.
    """

    data: InterestData
    panel: Panel
    truth: pl.DataFrame

    @cached_property
    def kind(self) -> np.ndarray:
        return self.truth["kind"].to_numpy()

    @cached_property
    def moment(self) -> np.ndarray:
        """``[U]`` when each user changed; of others the middle of their sessions, unix seconds."""
        offsets = self.panel.session_offsets
        middle = self.panel.time[self.panel.begins[(offsets[:-1] + offsets[1:]) // 2]]
        return np.where(self.truth["timestamp"].is_null(), middle, self.truth["timestamp"].fill_null(0).to_numpy())

    def around(self, before: np.ndarray, after: np.ndarray) -> tuple[Panel, np.ndarray, np.ndarray]:
        """So many last events before each user's moment and first after it, of users who have them.

        Returns:
            the panel, ``[U]`` how many sessions come after, and ``[U]`` who has them.
        """
        whole, moment = self.panel, self.moment
        early = np.bincount(whole.user, weights=whole.time < moment[whole.user], minlength=len(whole.users)).astype(np.int64)
        place = np.arange(len(whole.time)) - (whole.offsets[:-1] + early)[whole.user]
        told = (early >= before) & (np.diff(whole.offsets) - early >= after)
        held = whole.only(told[whole.user] & (place >= -before[whole.user]) & (place < after[whole.user]))
        user = held.user[held.begins]
        second = np.bincount(user[held.time[held.begins] >= moment[user]], minlength=len(whole.users))
        return held, second, told

    def windows(self, interests: Interests, events: int) -> tuple[Attention, np.ndarray]:
        """The attention in ``events`` before and after, and ``[U]`` who has them."""
        same = np.full(len(self.panel.users), events)
        held, second, told = self.around(same, same)
        return Attention(held, interests, second), told


def planted(args: argparse.Namespace, seed: int, visit: float, moved: float) -> Planted:
    shares = {"migrate": 1 / 3, "evolve": 1 / 3, "strength": STRENGTH, "moved": moved}
    shop = {"users": args.users, "items": args.items, "categories": args.categories, "events": 5 * max(args.events)}
    data = InterestData(Simulated(**shop, **shares, visit=visit, days=DAYS, seed=seed), cache_dir=str(args.cache))
    held = panel(data.log)
    truth = pl.read_parquet(data.log.folder / "truth.parquet")
    return Planted(data, held, held.users.to_frame("user_id").join(truth, on="user_id", how="left", maintain_order="left"))


def single(attention: Attention) -> Attention:
    """The same windows, with every event a session of its own."""
    held = replace(attention.panel, session=np.arange(len(attention.panel.time)))
    late = attention.late[attention.panel.session]
    return Attention(held, attention.interests, np.bincount(held.user[late], minlength=len(held.users)))


# ---- measuring


def tests(args: argparse.Namespace, figures: Figures, log: Planted, key: tuple[Any, ...], seed: int) -> None:
    """The test of migration, where it went, and what the rule of evidence had predicted."""
    interests = taxonomy(log.panel, np.zeros((log.panel.items.height, 1), np.float32))
    for n in args.events:
        attention, told = log.windows(interests, n)
        rng = np.random.default_rng([seed, n])
        found, plain = migration(attention, args.draws, rng), migration(single(attention), args.draws, rng)
        p = {"tv": found.p_tv, "js": found.p_js, "span": found.p_span, "tv, events": plain.p_tv, "span, events": plain.p_span}
        for kind in KINDS:
            here = told & (log.kind == kind)
            figures["users", *key, n, kind].append(float(here.sum()))
            for name, values in p.items():
                figures["migration", *key, n, kind, name].append(float((values[here] <= LEVEL).mean()))
        moved = told & (log.kind == "migrate")
        index = {name: k for k, name in enumerate(interests.names)}
        truth = [log.truth[c].replace_strict(index, default=-2, return_dtype=pl.Int64) for c in ("source", "destination")]
        hit = [found.source == truth[0].fill_null(-2).to_numpy(), found.destination == truth[1].fill_null(-2).to_numpy()]
        sure = moved & (found.p_span <= LEVEL)
        for name, right in (("source", hit[0]), ("destination", hit[1]), ("both", hit[0] & hit[1])):
            figures["where", *key, n, name].append(float(right[moved].mean()))
        figures["where", *key, n, "both, p <= .05"].append(float((hit[0] & hit[1])[sure].mean()) if sure.any() else math.nan)
        expected(figures, log, attention, moved, found.p_span, key, n)


def expected(
    figures: Figures, log: Planted, attention: Attention, moved: np.ndarray, p: np.ndarray, key: tuple[Any, ...], n: int
) -> None:
    """The power that is predicted of the true shift, and what is seen of those whom the rule lets answer."""
    seen = np.diff(attention.offsets)
    worth = attention.independent(attention.likeness)
    shift = STRENGTH * MOVED[key[1]]
    predicted = homogeneity_test_power(*worth, seen, shift, LEVEL, attention.largest)
    enough = homogeneity_test_power(*worth, seen, Settings().shift, LEVEL, attention.largest) >= TARGET_POWER
    answered = moved & enough
    rows = {
        "interests met": seen[moved].mean(),
        "worth": np.mean([w[moved].mean() for w in worth]),
        "needed": np.mean([required_sample_size(int(k), shift, LEVEL) for k in seen[moved]]),
        "predicted": predicted[moved].mean(),
        "measured": (p[moved] <= LEVEL).mean(),
        "answered": enough[moved].mean(),
        "measured, answered": (p[answered] <= LEVEL).mean() if answered.any() else math.nan,
        "false, answered": (p[enough & (log.kind == "null")] <= LEVEL).mean()
        if (enough & (log.kind == "null")).any()
        else math.nan,
    }
    for name, value in rows.items():
        figures["evidence", *key, n, name].append(float(value))


def ranks(args: argparse.Namespace, figures: Figures, log: Planted, key: tuple[Any, ...], seed: int) -> None:
    """How well scores tell one kind of user from another, by where the items lie."""
    for vectors, place in vectors_of(args, log):
        interests = taxonomy(log.panel, place)
        for n in args.events:
            attention, told = log.windows(interests, n)
            rng = np.random.default_rng([seed, n])
            parts = attention.split
            scores = {"|M|": np.linalg.norm(parts.migration, axis=1)}
            p = {}
            if key[1] == "all":  # evolvers are the same, however much migrators move
                deepened = evolution(attention, args.draws, rng)
                p = {
                    "evolution": deepened.p,
                    "displacement": deepened.p_displacement,
                    "entropy": deepened.p_entropy,
                    "depth": deepened.p_depth,
                }
                scores |= {"|E|": np.linalg.norm(parts.evolution, axis=1), "E excess": deepened.excess}
                scores |= {"-p entropy": -deepened.p_entropy, "-p depth": -deepened.p_depth}
            if vectors == args.vectors[0]:
                found = migration(attention, args.draws, rng)
                scores |= {"M excess": found.excess, "tv": found.tv}
            for name, values in scores.items():
                wanted = "migrate" if name in ("|M|", "M excess", "tv") else "evolve"
                for other in {*KINDS} - {wanted}:
                    here = told & np.isin(log.kind, (wanted, other))
                    score = np.nan_to_num(values[here], nan=np.nanmin(values))
                    figures["rank", *key, n, vectors, name, other].append(roc_auc_score(log.kind[here] == wanted, score))
            for name, values in p.items():
                for kind in KINDS:
                    here = told & (log.kind == kind)
                    figures["evolution", *key, n, vectors, kind, name].append(float((values[here] <= LEVEL).mean()))


def vectors_of(args: argparse.Namespace, log: Planted) -> Iterator[tuple[str, np.ndarray]]:
    for name in args.vectors:
        if name == "users":
            yield name, of_users(log.panel)
        else:
            encoder = encoders.frozen(fields=["item.title"], max_length=64)
            yield name, reduced(encoded(log.data, log.panel, encoder))[0]


def changes(args: argparse.Namespace, figures: Figures, log: Planted, key: tuple[Any, ...], seed: int) -> None:
    """Where in a history the change is, offline and online."""
    interests = taxonomy(log.panel, np.zeros((log.panel.items.height, 1), np.float32))
    for length in args.lengths:
        share = np.random.default_rng([seed, length]).uniform(0.35, 0.65, len(log.panel.users))
        before = np.round(share * length).astype(np.int64)
        held, second, told = log.around(before, length - before)
        told &= log.kind != "evolve"
        held = held.only(told[held.user])
        offsets, labels, _ = session_labels(held, interests)
        sizes, migrates = np.diff(offsets), told & (log.kind == "migrate")
        true = np.where(migrates, sizes - second, -1)
        near = NEAR * length
        found = scan(offsets, labels, args.scans, LEVEL, seed)
        surest = offline(offsets, labels, found, np.flatnonzero(found.p <= LEVEL))
        judged(figures, ("changes", *key, length, "scan"), surest, true, told, near)
        called = offline(offsets, labels, found, np.flatnonzero(benjamini_hochberg(found.p) <= LEVEL))
        judged(figures, ("changes", *key, length, "scan, q"), called, true, told, near)
        plain = [(u, s) for u in np.flatnonzero(told) for s in segments(labels[offsets[u] : offsets[u + 1]], math.log(length))]
        frame = pl.DataFrame(plain, schema={"user": pl.Int64, "session": pl.Int64}, orient="row")
        judged(figures, ("changes", *key, length, "PELT, penalty ln L"), frame, true, told, near)
        some = np.flatnonzero(told)[: args.online]
        few = held.only(np.isin(held.user, some))
        offsets, labels, _ = session_labels(few, interests)
        watched = np.isin(np.arange(len(told)), some)
        kept = np.r_[0, np.cumsum(np.diff(offsets)[watched])]
        delta = calibrate(kept, labels, LEVEL, seed, most=args.online)
        alarms = online(kept, labels, delta)
        alarms = alarms.with_columns(user=pl.Series(some[alarms["user"].to_numpy()], dtype=pl.Int64))
        judged(figures, ("changes", *key, length, "online"), alarms, true, watched, near)


def judged(
    figures: Figures, key: tuple[Any, ...], found: pl.DataFrame, true: np.ndarray, users: np.ndarray, near: float
) -> None:
    """Hits, false alarms and misses of the changes that were found; ``true`` is -1 where there is none."""
    user, place = found["user"].to_numpy(), found["session"].to_numpy()
    right = (true[user] >= 0) & (np.abs(place - true[user]) <= near)
    hit = np.unique(user[right])
    moved, still = users & (true >= 0), users & (true < 0)
    false, missed = len(user) - len(hit), moved.sum() - len(hit)
    alarmed = np.isin(np.arange(len(users)), user)
    rows = {
        "F1": 2 * len(hit) / max(1, 2 * len(hit) + false + missed),
        "hits": len(hit) / max(1, moved.sum()),
        "null users alarmed": alarmed[still].mean(),
        "off by": float(np.median(np.abs(place - true[user])[right])) if right.any() else math.nan,
    }
    if "seen" in found.columns and key[-1] == "online":
        seen = found["seen"].to_numpy()
        late = seen[(true[user] >= 0) & (seen >= true[user])] - true[user][(true[user] >= 0) & (seen >= true[user])]
        after = np.unique(user[(true[user] >= 0) & (seen >= true[user])])
        rows |= {
            "seen": len(after) / max(1, moved.sum()),
            "delay": float(np.median(late)) if len(late) else math.nan,
            "alarmed too early": len(np.unique(user[(true[user] >= 0) & (seen < true[user])])) / max(1, moved.sum()),
        }
    for name, value in rows.items():
        figures[*key, name].append(float(value))


def momentum(args: argparse.Namespace, figures: Figures) -> None:
    """Alpha and beta of users who follow the heavy ball, one log a repeat."""
    for alpha, beta in MOMENTA:
        for repeat in range(args.repeats):
            log = Simulated(
                users=300, items=64, categories=8, events=40, visit=1, momentum=(alpha, beta), days=DAYS, seed=repeat
            )
            data = InterestData(log, cache_dir=str(args.cache))
            held = panel(data.log)
            interests = taxonomy(held, np.zeros((held.items.height, 1), np.float32))
            offsets, labels, _ = session_labels(held, interests)
            try:
                fit = fit_momentum(offsets, labels, len(interests))
            except DataError:
                figures["momentum", alpha, beta, "refused"].append(1.0)
                continue
            figures["momentum", alpha, beta, "refused"].append(0.0)
            for name, value, low, high, true in (
                ("alpha", fit.alpha, fit.alpha_low, fit.alpha_high, alpha),
                ("beta", fit.beta, fit.beta_low, fit.beta_high, beta),
            ):
                figures["momentum", alpha, beta, name].append(value)
                figures["momentum", alpha, beta, f"{name} width"].append(high - low)
                figures["momentum", alpha, beta, f"{name} covered"].append(float(low <= true <= high))
            figures["momentum", alpha, beta, "p <= .05"].append(float(fit.p <= LEVEL))


def measure(args: argparse.Namespace, progress: Progress) -> dict[tuple[Any, ...], list[float]]:
    """Run everything; the figures of each seed."""
    figures: Figures = defaultdict(list)
    logs = [(visit, moved, seed) for seed in range(args.seeds) for visit in VISITS for moved in MOVED]
    shown = progress.add_task("logs", total=len(logs) + 1)
    for visit, moved, seed in logs:
        progress.update(shown, description=f"visit {visit}, {moved}, seed {seed}")
        log, key = planted(args, seed, visit, MOVED[moved]), (visit, moved)
        steps: list[tuple[bool, Callable[..., None]]] = [
            (bool({"migration", "where", "evidence"} & set(args.only)), tests),
            ("rank" in args.only, ranks),
            ("changes" in args.only and visit == 1, changes),
        ]
        for wanted, work in steps:
            if wanted:
                work(args, figures, log, key, seed)
        progress.advance(shown)
    if "momentum" in args.only:
        progress.update(shown, description="momentum")
        momentum(args, figures)
    progress.advance(shown)
    return figures


# ---- showing


def cell(values: Sequence[float] | None, form: str = ".3f") -> str:
    """Mean ± half of its interval, over the seeds that have a number."""
    known = [v for v in values or [] if not math.isnan(v)]
    if not known:
        return "–"
    told = t_interval(known)
    return f"{told.mean:{form}}" + ("" if told.half_width is None else f" ± {told.half_width:{form}}")


def rows_of(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    shown = Table(title=title, box=MARKDOWN)
    for place, heading in enumerate(headings):
        shown.add_column(heading, justify="left" if place < 2 else "right", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    console.print(shown)


def tell(args: argparse.Namespace, figures: dict[tuple[Any, ...], list[float]]) -> None:
    """Print the results as tables, which Markdown can take over."""
    console = Console(width=200)
    console.print(f"goals: {GOALS}\n", highlight=False)
    keys = [(visit, moved) for visit in VISITS for moved in MOVED]
    names = ("tv", "js", "span", "tv, events", "span, events")
    if "migration" in args.only:
        for kind, what in zip(KINDS, ("power, of migrators", "false positives, of null users", "of evolvers"), strict=True):
            rows = [
                [f"visit {v}, {m}", str(n), *(cell(figures.get(("migration", v, m, n, kind, name))) for name in names)]
                for v, m in keys
                for n in args.events
            ]
            rows_of(console, f"share with p <= .05: {what}", ["", "n", *names], rows)
    if "where" in args.only:
        told = ("source", "destination", "both", "both, p <= .05")
        rows = [
            [f"visit {v}, {m}", str(n), *(cell(figures.get(("where", v, m, n, name))) for name in told)]
            for v, m in keys
            for n in args.events
        ]
        rows_of(console, "source and destination told right, of migrators", ["", "n", *told], rows)
    if "rank" in args.only:
        others = {"|M|": ("null", "evolve"), "M excess": ("null", "evolve"), "tv": ("null", "evolve")}
        for vectors in args.vectors:
            scores = ("|M|", "M excess", "tv", "|E|", "E excess", "-p entropy", "-p depth")
            pairs = [(s, o) for s in scores for o in others.get(s, ("null", "migrate"))]
            pairs = [p for p in pairs if ("rank", *keys[0], args.events[0], vectors, *p) in figures]
            rows = [
                [f"{s} vs {o}", f"visit {v}, {m}", *(cell(figures.get(("rank", v, m, n, vectors, s, o))) for n in args.events)]
                for s, o in pairs
                for v, m in keys
                if ("rank", v, m, args.events[0], vectors, s, o) in figures
            ]
            rows_of(console, f"AUROC, vectors {vectors}", ["score", "", *(f"n = {n}" for n in args.events)], rows)
            rows = [
                [
                    f"{name}, {kind}",
                    f"visit {v}",
                    *(cell(figures.get(("evolution", v, "all", n, vectors, kind, name))) for n in args.events),
                ]
                for name in ("evolution", "displacement", "entropy", "depth")
                for kind in ("evolve", "null", "migrate")
                for v in VISITS
            ]
            rows_of(
                console,
                f"evolution, share with p <= .05, vectors {vectors}",
                ["test, users", "", *(f"n = {n}" for n in args.events)],
                rows,
            )
    if "changes" in args.only:
        told = ("F1", "hits", "null users alarmed", "off by", "seen", "delay", "alarmed too early")
        rows = [
            [
                f"{m}, {how}",
                str(n),
                *(
                    cell(figures.get(("changes", 1, m, n, how, name)), ".1f" if name in ("off by", "delay") else ".3f")
                    for name in told
                ),
            ]
            for m in MOVED
            for how in ("scan", "scan, q", "PELT, penalty ln L", "online")
            for n in args.lengths
        ]
        rows_of(console, "change-points", ["", "L", *told], rows)
    if "momentum" in args.only:
        told = ("alpha", "alpha width", "alpha covered", "beta", "beta width", "beta covered", "p <= .05", "refused")
        rows = [[str(a), str(b), *(cell(figures.get(("momentum", a, b, name))) for name in told)] for a, b in MOMENTA]
        rows_of(console, f"momentum, {args.repeats} logs each", ["true alpha", "true beta", *told], rows)
    if "evidence" in args.only:
        told = (
            "interests met",
            "worth",
            "needed",
            "predicted",
            "measured",
            "answered",
            "measured, answered",
            "false, answered",
        )
        rows = [
            [
                f"visit {v}, {m}",
                str(n),
                *(cell(figures.get(("evidence", v, m, n, name)), ".1f" if i < 3 else ".3f") for i, name in enumerate(told)),
            ]
            for v, m in keys
            for n in args.events
        ]
        rows_of(console, "evidence, of migrators", ["", "n", *told], rows)


def plots(args: argparse.Namespace, figures: dict[tuple[Any, ...], list[float]]) -> dict[str, bytes]:
    """PNGs by file name."""
    import matplotlib

    from interestlab.sweep.plots import BLUE, GREY, RED, STYLE, canvas, png

    out = {}

    def line(
        at: Any, places: Sequence[int], key: Callable[[int], tuple[Any, ...]], colour: str, style: str, label: str
    ) -> None:
        told = [t_interval([v for v in figures.get(key(n), [math.nan]) if not math.isnan(v)] or [math.nan]) for n in places]
        halves = [t.half_width or 0 for t in told]
        at.errorbar(places, [t.mean for t in told], halves, fmt=style, color=colour, ms=4, lw=1.3, capsize=2, label=label)

    def finish(panels: Sequence[Any], places: Sequence[int], label: str) -> None:
        for at in panels:
            at.set_xscale("log", base=2)
            at.set_xticks(places, [str(n) for n in places])
            at.minorticks_off()
            at.set_xlabel(label)

    with matplotlib.rc_context(STYLE):
        if "migration" in args.only:
            drawn, panels = canvas(3.2, 3)
            looks = {"span": (RED, "o-"), "tv": (BLUE, "s--"), "js": (GREY, "^:"), "tv, events": ("#009E73", "D-.")}
            for name, (colour, style) in looks.items():
                line(panels[0], args.events, lambda n, s=name: ("migration", 1, "all", n, "migrate", s), colour, style, name)
                line(panels[1], args.events, lambda n, s=name: ("migration", 2, "part", n, "migrate", s), colour, style, name)
                line(panels[2], args.events, lambda n, s=name: ("migration", 2, "part", n, "null", s), colour, style, name)
            for at, title in zip(
                panels, ("power: visit 1, all", "power: visit 2, part", "false positives: visit 2"), strict=True
            ):
                at.set_title(title)
                at.set_ylim(0, 1.02)
            panels[2].set_ylim(0, 0.8)
            panels[2].axhline(LEVEL, color=GREY, lw=0.8)
            panels[2].legend(fontsize=8, frameon=False)
            finish(panels, args.events, "n, events a window")
            out["migration.png"] = png(drawn)
        if "rank" in args.only:
            drawn, panels = canvas(3.2, 2)
            main = args.vectors[0]
            for at, visit in zip(panels, VISITS, strict=True):
                for score, colour, other in (("M excess", RED, "null"), ("E excess", BLUE, "null")):
                    line(
                        at,
                        args.events,
                        lambda n, v=visit, s=score, o=other: ("rank", v, "all", n, main, s, o),
                        colour,
                        "o-",
                        score,
                    )
                for score, colour, other in (("|M|", RED, "null"), ("|E|", BLUE, "null")):
                    line(
                        at,
                        args.events,
                        lambda n, v=visit, s=score, o=other: ("rank", v, "all", n, main, s, o),
                        colour,
                        "s--",
                        score,
                    )
                at.set_title(f"AUROC against null users: visit {visit}, {main}")
                at.set_ylim(0.45, 1.02)
            panels[1].legend(fontsize=8, frameon=False)
            finish(panels, args.events, "n, events a window")
            out["rank.png"] = png(drawn)
        if "changes" in args.only:
            drawn, panels = canvas(3.2, 2)
            looks = {"scan": (RED, "o-"), "PELT, penalty ln L": (GREY, "^:"), "online": (BLUE, "s--")}
            for at, moved in zip(panels, MOVED, strict=True):
                for how, (colour, style) in looks.items():
                    line(at, args.lengths, lambda n, m=moved, h=how: ("changes", 1, m, n, h, "F1"), colour, style, how)
                at.set_title(f"F1 within 10%: {moved}")
                at.set_ylim(0, 1.02)
            panels[1].legend(fontsize=8, frameon=False)
            finish(panels, args.lengths, "L, sessions of a history")
            out["changes.png"] = png(drawn)
        if "evidence" in args.only:
            drawn, panels = canvas(3.2, 2)
            for at, visit in zip(panels, VISITS, strict=True):
                for moved, colour in zip(MOVED, (RED, BLUE), strict=True):
                    for name, style in (("measured", "o-"), ("predicted", "s--")):
                        line(
                            at,
                            args.events,
                            lambda n, v=visit, m=moved, s=name: ("evidence", v, m, n, s),
                            colour,
                            style,
                            f"{moved}, {name}",
                        )
                at.set_title(f"power of the test of migration: visit {visit}")
                at.set_ylim(0, 1.02)
            panels[1].legend(fontsize=8, frameon=False)
            finish(panels, args.events, "n, events a window")
            out["evidence.png"] = png(drawn)
    return out


def parse(argv: list[str]) -> argparse.Namespace:
    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=about, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=400, help="of each log, a third of each kind")
    parser.add_argument("--seeds", type=int, default=4, help="logs of each setting")
    parser.add_argument("--events", nargs="+", type=int, default=[10, 20, 50, 100], metavar="n", help="of each window")
    parser.add_argument("--lengths", nargs="+", type=int, default=[50, 100, 200], metavar="L", help="sessions around a change")
    parser.add_argument("--categories", type=int, default=20, help="interests, K")
    parser.add_argument("--items", type=int, default=800, help="of the catalogue")
    parser.add_argument(
        "--vectors", nargs="+", choices=["minilm", "users"], default=["minilm", "users"], help="where items lie"
    )
    parser.add_argument("--draws", type=int, default=199, help="permutations of the tests of migration and evolution")
    parser.add_argument("--scans", type=int, default=999, help="permutations of the scan for a change")
    parser.add_argument("--online", type=int, default=200, help="users of a log whom the online detector reads")
    parser.add_argument("--repeats", type=int, default=20, help="logs of each momentum")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="what is measured")
    parser.add_argument("--quick", action="store_true", help="a minute: fewer users, seeds, repeats and lengths")
    parser.add_argument("--cache", type=Path, help="folder of the logs; default: one that is deleted again")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    parser.add_argument("--plots", type=Path, help="folder of the plots")
    args = parser.parse_args(argv)
    if args.quick:
        args.users, args.seeds, args.repeats, args.events, args.lengths, args.vectors = 240, 2, 3, [20, 50], [100], ["users"]
        args.online = 60
    if args.users < 30 or args.seeds < 1 or min(args.events) < 2:
        parser.error("--users must be at least 30, --seeds 1 and --events 2")
    return args


def main(argv: list[str]) -> None:
    args, began = parse(argv), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True)) as progress:
        args.cache = args.cache or Path(folder)
        figures = measure(args, progress)
    took = time.perf_counter() - began
    if args.out:
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
        told = [{"what": list(key), "values": values} for key, values in figures.items()]
        args.out.write_text(
            json.dumps({"settings": settings, "seconds": took, "versions": versions(), "figures": told}, indent=1)
        )
    tell(args, figures)
    print(f"{took:.0f} s")
    if args.plots:
        args.plots.mkdir(parents=True, exist_ok=True)
        for name, image in plots(args, figures).items():
            (args.plots / name).write_bytes(image)


if __name__ == "__main__":
    main(sys.argv[1:])
