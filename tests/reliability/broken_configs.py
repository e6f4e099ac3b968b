"""Configs broken in text and in structure, read as the command line reads them."""

import functools
import io
import random
import string
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import yaml

GOOD: dict[str, Any] = {
    "data": {
        "source": {"class_path": "simulated", "init_args": {"users": 20, "items": 100, "events": 5}},
        "clean": {"tags": True},
        "k_core": 0,
        "max_history": 10,
        "ties": "file",
        "split": "leave_one_out",
        "split_quantiles": [0.8, 0.9],
        "target_events": ["purchase"],
        "batch_events": 512,
        "max_bad_fraction": 0.01,
    }
}
MODEL: dict[str, Any] = {
    "model": {
        "encoder": {"words": {"class_path": "frozen", "init_args": {"fields": ["item.title"]}}, "id": "id"},
        "fusion": "attention",
        "dynamics": {"class_path": "momentum", "init_args": {"alpha": 0.5}},
        "objective": "next_item",
        "dim": 16,
        "optim": {"lr": 0.001},
    },
    "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    "early_stopping": {"patience": 3},
}
PATHS = [
    "os.system",
    "builtins.eval",
    "subprocess.Popen",
    "no_such.Class",
    "torch.hub.load",
    "interestlab",
    "a..b",
    "",
    "json.tool",
]
VALUES: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        1.5,
        float("nan"),
        float("inf"),
        10**400,
        "",
        "x" * 10_000,
        "\u202e",
        "null",
        "[",
        "{",
        "~",
        "-",
        "=",
        "*",
    ),
    *([], {}, [[]], {"class_path": None}, {"class_path": []}, {"init_args": 3}, [None] * 50, {"": ""}, {1: 2}, {None: None}),
    *({"class_path": path, "init_args": {"x": 1}} for path in PATHS),
    *PATHS,
]
TEXTS = [
    "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n"
        for p, c in zip(string.ascii_lowercase, string.ascii_lowercase[1:20], strict=False)
    ),
    "data: &a {source: *a}\n",
    "data: " + "[" * 5000,
    "data: " + "{a: " * 2000,
    "data: !!python/object/apply:os.system ['true']\n",
    "data: !!python/name:os.system\n",
    "data: !<tag:evil> {}\n",
    "- a\n- b\n",
    "just words",
    "data: {seed: 2026-99-99}\n",
    "? [a, b]\n: c\n",
    "{}{}",
    "%YAML 9.9\n---\na: b",
    "a: b\n---\nc: d\n",
    "\0",
    "data: {<<: {source: simulated}}",
    "data: {<<: [1]}",
    "=: =",
    "data: 0x" + "f" * 3000,
    "data: " + "9" * 5000,
    "data: " + "1:" * 200_000 + "1",
]


def once(rng: random.Random, folder: Path, figures: Counter[str]) -> None:
    """Break one config and read it; a refusal is an exit with 2 and one line.

    Raises:
        Exception: whatever else came of it.
    """
    whole = rng.random() < 0.1
    file = folder / "config.yaml"
    file.write_bytes(broken(rng, GOOD | MODEL if whole else GOOD))
    message = io.StringIO()
    try:
        with redirect_stderr(message), redirect_stdout(io.StringIO()):
            (fit if whole else data)(file)
    except SystemExit as err:
        result = message.getvalue().strip()
        if err.code != 2 or "\n" in result or not result:
            raise AssertionError(f"exit {err.code}, not one line: {result}") from err
        figures["refusals"] += 1
    else:
        figures["logs"] += 1


def broken(rng: random.Random, good: dict[str, Any]) -> bytes:
    """The text of a config with something wrong in it."""
    from mutations import anything

    how = rng.random()
    if how < 0.1:
        text = rng.choice(TEXTS)
        return text.encode() if rng.random() < 0.5 else yaml.safe_dump(good).encode() + text.encode()
    config = yaml.safe_load(yaml.safe_dump(good))
    if how < 0.7:
        for _ in range(rng.randint(1, 3)):
            place(rng, config)
        return yaml.safe_dump(config, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return anything(rng, yaml.safe_dump(config).encode())


def place(rng: random.Random, config: Any) -> None:
    """Change, add or drop something somewhere."""
    spot: Any = config
    while True:
        keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(spot[key], dict | list) and spot[key] and rng.random() < 0.7:
            spot = spot[key]
            continue
        how = rng.randrange(4)
        if how == 0:
            del spot[key]
        elif how == 1 and isinstance(spot, dict):
            spot[rng.choice(["unknown", "a.b", "class_path", "init_args", "", "0", "__class__", "dict_kwargs"])] = rng.choice(
                VALUES
            )
        else:
            spot[key] = rng.choice(VALUES)
        return


@functools.cache
def _fit() -> Any:
    from interestlab.training.fit import fit_parser

    return fit_parser()


def fit(file: Path) -> None:
    """Read a config as ``interestlab fit`` does."""
    from interestlab.config.one_line_errors import one_line_errors

    parser = _fit()
    with one_line_errors():
        parser.parse_args(["fit", f"--config={file}"])


@functools.cache
def _data() -> Any:
    from interestlab.config.parser import CommandParser
    from interestlab.data.datamodule import InterestData

    parser = CommandParser("interestlab data", config_keys=("data",))
    parser.add_argument("-c", "--config", action="config")
    parser.add_class_arguments(InterestData, "data")
    return parser


def data(file: Path) -> None:
    """Read a config as ``interestlab data`` does, and make what it names."""
    from interestlab.config.one_line_errors import one_line_errors

    parser = _data()
    with one_line_errors():
        parser.instantiate(parser.parse_args([f"--config={file}"]))
