"""Small synthetic tables of an analysis, consistent with each other, in the schema that `interestlab drift` writes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

TIME = pl.Datetime("us", "UTC")
STRINGS = pl.List(pl.String)
FLOATS = pl.List(pl.Float64)
START = datetime(2023, 3, 1, tzinfo=UTC)
DAYS = 360
WINDOWS = 6
LEVEL = 0.05
HOSTILE = "<script>alert(1)</script>"
QUOTED = 'Tom\'s "best" & $5 </script><!-- %{x}'
CHINESE = "数码相机"
INTERESTS = ["Cameras", "Drones", "Running shoes", "Trail running", "Coffee", "Espresso machines", "Board games"]
INTERESTS += [CHINESE, QUOTED, HOSTILE]
BRANDS = ["Aperta", "Skyhop", "Marrow & Co", "Kettler", "Noname"]
WORDS = {"Cameras": ["lens", "tripod", "aperture"], "Drones": ["propeller", "gimbal", "battery"]}

SCHEMAS: dict[str, dict[str, Any]] = {
    "users": {
        **dict.fromkeys(["user_id"], pl.String),
        **dict.fromkeys(["events", "sessions"], pl.Int64),
        **dict.fromkeys(["first", "last", "middle"], TIME),
        **dict.fromkeys(["verdict", "source", "destination"], pl.String),
        **dict.fromkeys(
            [
                "moved",
                "tv",
                "js",
                "p_tv",
                "p_js",
                "p_migration",
                "q_migration",
                "tv_under_null",
                "migration",
                "evolution",
                "p_evolution",
                "q_evolution",
            ],
            pl.Float64,
        ),
        "evolved_in": pl.String,
        **dict.fromkeys(
            [
                "entropy_before",
                "entropy_after",
                "p_entropy",
                "intensity_before",
                "intensity_after",
                "depth_before",
                "depth_after",
                "p_depth",
            ],
            pl.Float64,
        ),
        **dict.fromkeys(["segment", "segment_before", "segment_after"], pl.String),
    },
    "shares": {
        **dict.fromkeys(["kind", "name"], pl.String),
        "window": pl.Int64,
        **dict.fromkeys(["start", "end"], TIME),
        **dict.fromkeys(["share", "low", "high"], pl.Float64),
        **dict.fromkeys(["users", "events"], pl.Int64),
    },
    "trends": {
        **dict.fromkeys(["kind", "name"], pl.String),
        **dict.fromkeys(["share_early", "share_late", "change", "p", "q"], pl.Float64),
        **dict.fromkeys(["users_early", "users_late"], pl.Int64),
        "verdict": pl.String,
    },
    "flows": {
        **dict.fromkeys(["start", "end"], TIME),
        "step": pl.Int64,
        **dict.fromkeys(["source", "destination"], pl.String),
        **dict.fromkeys(["flow", "under_null", "excess", "p", "q"], pl.Float64),
        "users": pl.Int64,
    },
    "changes": {
        **dict.fromkeys(["user_id", "method"], pl.String),
        **dict.fromkeys(["at", "seen_at"], TIME),
        **dict.fromkeys(["session", "sessions"], pl.Int64),
        "p": pl.Float64,
        **dict.fromkeys(["source", "destination"], pl.String),
        **dict.fromkeys(["items_before", "items_after", "words_before", "words_after"], STRINGS),
    },
    "segments": {
        "segment": pl.String,
        **dict.fromkeys(["users", "events"], pl.Int64),
        "interests": STRINGS,
        "lifts": FLOATS,
        "brands": STRINGS,
        **dict.fromkeys(["brand_lifts", "brand_q"], FLOATS),
        **dict.fromkeys(["tv", "tv_under_null", "p", "q"], pl.Float64),
        **dict.fromkeys(["source", "destination"], pl.String),
        **dict.fromkeys(["migrated", "answered"], pl.Int64),
    },
    "moves": {
        **dict.fromkeys(["source", "destination"], pl.String),
        "users": pl.Int64,
        **dict.fromkeys(["under_null", "p", "q"], pl.Float64),
    },
    "audiences": {
        **dict.fromkeys(["user_id", "segment", "verdict", "source", "destination", "interest_now", "brand"], pl.String),
        "last": TIME,
        "q_migration": pl.Float64,
    },
    "map": {**dict.fromkeys(["kind", "name"], pl.String), "window": pl.Int64, **dict.fromkeys(["x", "y"], pl.Float64)},
    "timelines": {
        "user_id": pl.String,
        "session": pl.Int64,
        "at": TIME,
        **dict.fromkeys(["interest", "title", "event"], pl.String),
        "change": pl.Boolean,
    },
}


def day(number: float) -> datetime:
    """The time ``number`` days after the start."""
    return START + timedelta(days=float(number))


def write_tables(
    folder: Path,
    users: int = 400,
    changed: bool = True,
    answered: bool = True,
    brands: bool = True,
    segments: int = 4,
    holes: float = 0.0,
    seed: int = 0,
) -> Path:
    """Write the tables of one analysis into a folder.

    Args:
        folder: created if it does not exist.
        users: number of users.
        changed: whether any user, flow, trend or segment changed.
        answered: whether any user has enough evidence.
        brands: whether the items have brands.
        segments: number of segments.
        holes: share of the fractional numbers that are missing.
        seed: seed of the random numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(len(INTERESTS), 2)) * [2.4, 1.8]
    people = make_users(rng, users, changed, answered, segments)
    rows: dict[str, list[dict[str, Any]]] = {
        "users": people,
        "shares": make_shares(rng, changed, brands),
        "flows": make_flows(rng, changed),
        "segments": make_segments(rng, people, changed, brands, segments),
        "moves": make_moves(rng, people, changed, segments),
        "map": make_map(rng, people, positions),
    }
    rows["trends"] = make_trends(rows["shares"], changed)
    rows["timelines"], rows["changes"] = make_timelines(rng, people)
    rows["audiences"] = [make_audience(rng, user, brands) for user in people]
    for name, schema in SCHEMAS.items():
        frame = pl.DataFrame(rows[name], schema=schema)
        for column in [column for column, kind in schema.items() if kind == pl.Float64 and holes]:
            known = pl.Series(rng.random(frame.height) >= holes)
            frame = frame.with_columns(pl.when(known).then(column).alias(column))
        frame.write_parquet(folder / f"{name}.parquet")
        if name == "audiences":
            frame.write_csv(folder / "audiences.csv")
    (folder / "meta.json").write_text(json.dumps(make_meta(people)), "utf-8")
    return folder


def make_users(rng: np.random.Generator, count: int, changed: bool, answered: bool, segments: int) -> list[dict[str, Any]]:
    verdicts = ["migrated", "evolved", "migrated and evolved", "no change seen", "not enough evidence"]
    probabilities = [0.14, 0.06, 0.03, 0.27, 0.5] if changed else [0, 0, 0, 0.5, 0.5]
    rows = []
    for i, verdict in enumerate(rng.choice(verdicts, count, p=probabilities if answered else [0, 0, 0, 0, 1])):
        known = verdict != "not enough evidence"
        moved, evolved = "migrated" in verdict, "evolved" in verdict
        sessions = int(rng.integers(12, 60)) if known else int(rng.integers(1, 8))
        events = sessions * int(rng.integers(2, 6))
        first = rng.uniform(0, DAYS / 3)
        last = rng.uniform(first + 60, DAYS)
        source, destination = rng.choice(len(INTERESTS), 2, replace=False)
        before = int(rng.integers(segments))
        after = (before + 1) % segments if moved and rng.random() < 0.7 else before
        user: dict[str, Any] = dict.fromkeys(SCHEMAS["users"])
        user |= {"user_id": f"user-{i:04}", "events": events, "sessions": sessions, "verdict": str(verdict)}
        user |= {"first": day(first), "last": day(last), "middle": day((first + last) / 2)}
        user |= {
            "segment": f"Segment {before + 1}",
            "segment_before": f"Segment {before + 1}",
            "segment_after": f"Segment {after + 1}",
        }
        if known:
            null_mean = rng.uniform(0.1, 0.3)
            tv = null_mean + (rng.uniform(0.25, 0.55) if moved else rng.uniform(-0.08, 0.08))
            p, pe = (rng.uniform(0.0002, 0.01) if is_changed else rng.uniform(0.1, 1) for is_changed in (moved, evolved))
            user |= {"source": INTERESTS[source], "destination": INTERESTS[destination]} if moved else {}
            user |= {"moved": tv, "tv": tv, "js": tv * 0.8, "tv_under_null": null_mean, "p_tv": p, "p_js": min(1, p * 1.1)}
            user |= {"p_migration": p, "q_migration": min(1, p * 4), "migration": tv * 0.9, "evolution": rng.uniform(0.05, 0.4)}
            user |= {
                "p_evolution": pe,
                "q_evolution": min(1, pe * 4),
                "evolved_in": INTERESTS[destination] if evolved else None,
            }
            user |= {
                "entropy_before": 1.6,
                "entropy_after": 1.6 - 0.7 * evolved,
                "p_entropy": pe,
                "p_depth": rng.uniform(0.01, 1),
            }
            user |= {
                "intensity_before": events / 200,
                "intensity_after": events / 150,
                "depth_before": 0.1,
                "depth_after": 0.25,
            }
        rows.append(user)
    return rows


def make_shares(rng: np.random.Generator, changed: bool, brands: bool) -> list[dict[str, Any]]:
    rows = []
    for kind, names in {"interest": INTERESTS, "brand": BRANDS}.items():
        if kind == "brand" and not brands:
            continue
        weight = 1 / np.arange(2, len(names) + 2)
        slope = rng.normal(0, 0.35, len(names)) * changed
        for window in range(WINDOWS):
            share = weight * np.exp(slope * window / WINDOWS * 2)
            share /= share.sum()
            for name, value in zip(names, share, strict=True):
                users = 250 + 20 * window
                half = 1.96 * float(np.sqrt(value * (1 - value) / users))
                row = {"kind": kind, "name": name, "window": window, "users": users, "events": users * 9}
                row |= {"start": day(DAYS / WINDOWS * window), "end": day(DAYS / WINDOWS * (window + 1))}
                rows.append(row | {"share": float(value), "low": max(0.0, value - half), "high": value + half})
    return rows


def make_trends(shares: list[dict[str, Any]], changed: bool) -> list[dict[str, Any]]:
    rows = []
    for late in shares:
        if late["window"] < WINDOWS - 1:
            continue
        early = next(row for row in shares if row["window"] == 0 and (row["kind"], row["name"]) == (late["kind"], late["name"]))
        change = late["share"] - early["share"]
        p = float(np.exp(-abs(change) * 200)) if changed else 0.6
        row = {
            "kind": late["kind"],
            "name": late["name"],
            "share_early": early["share"],
            "share_late": late["share"],
            "change": change,
        }
        row |= {
            "p": max(p, 0.0005),
            "q": min(1.0, max(p, 0.0005) * 2),
            "users_early": early["users"],
            "users_late": late["users"],
        }
        rows.append(row | {"verdict": ("emerging" if change > 0 else "fading") if row["q"] <= LEVEL else ""})
    return rows


def make_flows(rng: np.random.Generator, changed: bool) -> list[dict[str, Any]]:
    rows = []
    for step in range(-1, WINDOWS - 1):
        for i, source in enumerate(INTERESTS):
            for j, destination in enumerate(INTERESTS):
                if i == j or rng.random() < 0.3:
                    continue
                is_significant = changed and rng.random() < 0.22
                null_mean = rng.uniform(0.001, 0.006)
                flow = null_mean + (rng.gamma(2, 0.004) + 0.002 if is_significant else rng.normal(0, 0.0008))
                p = rng.uniform(0.0005, 0.01) if is_significant else rng.uniform(0.05, 1)
                row = {"step": step, "source": source, "destination": destination, "flow": flow, "under_null": null_mean}
                row |= {"start": day(max(0, step) * 60), "end": day(DAYS if step < 0 else (step + 2) * 60)}
                rows.append(
                    row | {"excess": flow - null_mean, "p": p, "q": min(1.0, p * 4), "users": int(rng.integers(120, 300))}
                )
    return rows


def make_segments(
    rng: np.random.Generator, people: list[dict[str, Any]], changed: bool, brands: bool, count: int
) -> list[dict[str, Any]]:
    rows = []
    for s in range(count):
        members = [user for user in people if user["segment"] == f"Segment {s + 1}"]
        chosen = [INTERESTS[(2 * s + k) % len(INTERESTS)] for k in range(3)]
        moved = changed and s % 2 == 0
        row = {"segment": f"Segment {s + 1}", "users": len(members), "events": sum(user["events"] for user in members)}
        row |= {"interests": chosen, "lifts": [3.1, 2.2, 1.4], "tv": 0.21 if moved else 0.06, "tv_under_null": 0.07}
        row |= {"brands": BRANDS[s % 3 : s % 3 + 2] if brands else [], "brand_lifts": [1.9, 1.3] if brands else []}
        row |= {"brand_q": [0.004, 0.31] if brands else [], "p": 0.001 if moved else 0.55, "q": 0.004 if moved else 0.7}
        row |= {"source": chosen[0] if moved else None, "destination": chosen[1] if moved else None}
        row |= {"migrated": sum("migrated" in user["verdict"] for user in members)}
        rows.append(row | {"answered": sum(user["verdict"] != "not enough evidence" for user in members)})
    return rows


def make_moves(rng: np.random.Generator, people: list[dict[str, Any]], changed: bool, count: int) -> list[dict[str, Any]]:
    rows = []
    for i in range(count):
        for j in range(count):
            names = f"Segment {i + 1}", f"Segment {j + 1}"
            users = sum((user["segment_before"], user["segment_after"]) == names for user in people)
            is_significant = changed and j == (i + 1) % count != i
            row = {"source": names[0], "destination": names[1], "users": users}
            row |= {"under_null": users * (0.3 if is_significant else 1.0) + 1.5, "p": 0.002 if is_significant else 0.4}
            rows.append(row | {"q": 0.01 if is_significant else 0.6})
    return rows


def make_map(rng: np.random.Generator, people: list[dict[str, Any]], positions: np.ndarray) -> list[dict[str, Any]]:
    rows = [
        {"kind": "interest", "name": name, "window": -1, "x": x, "y": y}
        for name, (x, y) in zip(INTERESTS, positions.tolist(), strict=True)
    ]
    for user in people[:150]:
        ends = [
            INTERESTS.index(user[side]) if user[side] else int(rng.integers(len(INTERESTS)))
            for side in ("source", "destination")
        ]
        ends = ends if "migrated" in user["verdict"] else [ends[0], ends[0]]
        a, b = (positions[end] * 0.75 + rng.normal(0, 0.25, 2) for end in ends)
        for window in range(4):
            x, y = a + (b - a) * window / 3 + rng.normal(0, 0.12, 2)
            rows.append({"kind": "user", "name": user["user_id"], "window": window, "x": float(x), "y": float(y)})
    return rows


def make_timelines(rng: np.random.Generator, people: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Sessions and change-points of the first users who migrated, and the sessions of one user without evidence."""
    moved = [user for user in people if "migrated" in user["verdict"]][:6]
    sessions, changes = [], []
    for n, user in enumerate([*moved, *[user for user in people if user["verdict"] == "not enough evidence"][:1]]):
        count = user["sessions"]
        change_session, width = int(count * rng.uniform(0.4, 0.6)), (user["last"] - user["first"]) / count
        has_evidence = user["verdict"] != "not enough evidence"
        # The first user has the hostile names.
        pair = [HOSTILE, QUOTED] if n == 0 else [user["source"] or "Cameras", user["destination"] or "Drones"]
        for s in range(count):
            interest_now = pair[int(s >= change_session)]
            for e in range(int(rng.integers(1, 4))):
                interest = interest_now if rng.random() < 0.8 else str(rng.choice(INTERESTS))
                row = {"user_id": user["user_id"], "session": s, "at": user["first"] + s * width + timedelta(minutes=3 * e)}
                row |= {"interest": interest, "title": f"{interest}, no. {s}", "change": has_evidence and s == change_session}
                sessions.append(row | {"event": str(rng.choice(["view", "cart", "purchase"], p=[0.7, 0.2, 0.1]))})
        for method in ("offline", "online") if has_evidence else ():
            at = user["first"] + change_session * width
            row = {"user_id": user["user_id"], "method": method, "at": at, "seen_at": at + 3 * width * (method == "online")}
            row |= {"session": change_session, "sessions": count, "p": 0.002 if method == "offline" else 0.02}
            row |= {"source": pair[0], "destination": pair[1]}
            row |= {
                f"items_{when}": [f"{name}, no. {k}" for k in range(4)]
                for when, name in zip(("before", "after"), pair, strict=True)
            }
            row |= {"words_before": WORDS["Cameras"], "words_after": WORDS["Drones"]}
            changes.append(row)
    return sessions, changes


def make_audience(rng: np.random.Generator, user: dict[str, Any], brands: bool) -> dict[str, Any]:
    row = {name: user[name] for name in ("user_id", "segment", "verdict", "source", "destination", "last", "q_migration")}
    return row | {
        "interest_now": user["destination"] or str(rng.choice(INTERESTS)),
        "brand": str(rng.choice(BRANDS)) if brands else None,
    }


def make_meta(people: list[dict[str, Any]]) -> dict[str, Any]:
    answered = sum(user["verdict"] != "not enough evidence" for user in people)
    return {
        "source": "simulated",
        "users": len(people),
        "items": 1200,
        "events": sum(user["events"] for user in people),
        "first": START.isoformat(),
        "last": day(DAYS).isoformat(),
        "interests": f"taxonomy category, level 1, {len(INTERESTS)} interests",
        "fingerprint": {
            "source": "simulated",
            "data": "9f3a",
            "users": len(people),
            "drift": {"session_gap": 1800, "events": 20},
        },
        "seed": 0,
        "permutations": 999,
        "windows": WINDOWS,
        "significance_level": LEVEL,
        "answered": answered,
        "sampled_for_flows": min(answered, 2000),
        "model": None,
        "notes": [
            f"{len(people) - answered} of {len(people)} users have fewer events or sessions than a claim of their own needs.",
            "A change that both halves of a user's history share with the whole catalogue is taken away, and not the user's.",
            "The log does not tell what users were shown: a migration may follow a campaign, not a wish.",
        ],
        "dropped_events": 37,
        "versions": {"interestlab": "0.1.0", "polars": "2.1.0"},
    }
