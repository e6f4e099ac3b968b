"""Configs damaged in their text or structure, and parsed like on the command line."""

import functools
import io
import random
import string
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import yaml

VALID: dict[str, Any] = {
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


def check_one_config(rng: random.Random, folder: Path, figures: Counter[str]) -> None:
    """Damage one config and read it; a rejected config must exit with status 2 and print one line.

    Raises:
        Exception: any other outcome.
    """
    with_model = rng.random() < 0.1
    file = folder / "config.yaml"
    file.write_bytes(damaged_config(rng, VALID | MODEL if with_model else VALID))
    message = io.StringIO()
    try:
        with redirect_stderr(message), redirect_stdout(io.StringIO()):
            (read_fit_config if with_model else read_data_config)(file)
    except SystemExit as err:
        result = message.getvalue().strip()
        if err.code != 2 or "\n" in result or not result:
            raise AssertionError(f"exit {err.code}, not one line: {result}") from err
        figures["refusals"] += 1
    else:
        figures["logs"] += 1


def damaged_config(rng: random.Random, valid: dict[str, Any]) -> bytes:
    """Return the text of a damaged config."""
    from mutations import damage_anywhere

    choice = rng.random()
    if choice < 0.1:
        text = rng.choice(TEXTS)
        return text.encode() if rng.random() < 0.5 else yaml.safe_dump(valid).encode() + text.encode()
    config = yaml.safe_load(yaml.safe_dump(valid))
    if choice < 0.7:
        for _ in range(rng.randint(1, 3)):
            mutate_entry(rng, config)
        return yaml.safe_dump(config, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return damage_anywhere(rng, yaml.safe_dump(config).encode())


def mutate_entry(rng: random.Random, config: Any) -> None:
    """Change, add or delete a random entry in place."""
    node: Any = config
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.7:
            node = node[key]
            continue
        choice = rng.randrange(4)
        if choice == 0:
            del node[key]
        elif choice == 1 and isinstance(node, dict):
            node[rng.choice(["unknown", "a.b", "class_path", "init_args", "", "0", "__class__", "dict_kwargs"])] = rng.choice(
                VALUES
            )
        else:
            node[key] = rng.choice(VALUES)
        return


@functools.cache
def fit_config_parser() -> Any:
    from interestlab.training.fit import fit_parser

    return fit_parser()


def read_fit_config(file: Path) -> None:
    """Read a config as ``interestlab fit`` does."""
    from interestlab.config.one_line_errors import one_line_errors

    parser = fit_config_parser()
    with one_line_errors():
        parser.parse_args([f"--config={file}"])


@functools.cache
def data_config_parser() -> Any:
    from interestlab.config.parser import CommandParser
    from interestlab.data.datamodule import InterestData

    parser = CommandParser("interestlab data", config_keys=("data",))
    parser.add_argument("-c", "--config", action="config")
    parser.add_class_arguments(InterestData, "data")
    return parser


def read_data_config(file: Path) -> None:
    """Read a config as ``interestlab data`` does, and instantiate its classes."""
    from interestlab.config.one_line_errors import one_line_errors

    parser = data_config_parser()
    with one_line_errors():
        parser.instantiate(parser.parse_args([f"--config={file}"]))
