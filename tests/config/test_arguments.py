"""The tokenizer of command lines, and the functions that use it."""

import pytest

from interestlab.config.arguments import Argument, extract, from_settings, in_order, join, last_value, split, values_of
from interestlab.errors import DataError

LINE = ["fit", "a=b", "--model.dim=3", "x", "--data.max_history", "-3", "-c", "c.yaml", "--seeds", "1", "2", "--flag"]


def test_positional_arguments_and_options():
    assert split(LINE) == [
        Argument("", ("fit", "a=b")),
        Argument("--model.dim", ("3",), joined=True),
        Argument("", ("x",)),
        Argument("--data.max_history", ("-3",)),
        Argument("-c", ("c.yaml",)),
        Argument("--seeds", ("1", "2")),
        Argument("--flag", ()),
    ]
    assert join(split(LINE)) == LINE


def test_values():
    args = ["--run_dir", "a", "--run_dir=b=c", "--config", "x", "-c=y"]
    assert last_value(args, "--run_dir") == "b=c"
    assert last_value(args, "--other") is None
    assert values_of(args, "-c", "--config") == ["x", "y"]


def test_options_extracted_from_a_command_line():
    args = [
        "run",
        "--data.max_history",
        "-3",
        "--data.split_quantiles=[1,2]",
        "--out",
        "x",
        "--data.source.path",
        "a=b",
        "run2",
    ]
    pairs, rest = extract(args, prefix="--data.")
    assert pairs == [("--data.max_history", "-3"), ("--data.split_quantiles", "[1,2]"), ("--data.source.path", "a=b")]
    assert rest == ["run", "--out", "x", "run2"]
    with pytest.raises(DataError, match="needs a value"):
        extract(["--data.k_core", "--out=x"], prefix="--data.")


def test_configs_are_ordered_first_and_plugins_before_their_arguments():
    args = ["fit", "--a.b.c=1", "--config", "x", "--a.b=n", "-c=y"]
    assert in_order(args) == ["fit", "--config", "x", "-c=y", "--a.b=n", "--a.b.c=1"]


def test_settings_as_a_command_line():
    settings = {"model.encoder": {"id": "id"}, "model.fusion": None, "data.k_core": 5, "run_dir": "a b"}
    line = ["--config=c.yaml", '--model.encoder={"id": "id"}', "--model.fusion=null", "--data.k_core=5", "--run_dir=a b"]
    assert from_settings(settings, ["c.yaml"]) == line
