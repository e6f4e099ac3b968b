"""``interestlab plugins check`` on every shipped plugin, and with invalid arguments."""

import json

import polars as pl
import pytest
import torch
from torch import nn

from interestlab.cli.main import main
from interestlab.contract import FusionHead
from interestlab.registry import REGISTRIES

REQUIRED_ARGUMENTS = {
    "encoders.features": {"file": "vectors.parquet"},
    "encoders.image": {"root": "."},
    "encoders.peft": {"method": "vera"},
    "sources.amazon": {"path": "reviews.json"},
    "sources.files": {"interactions": "events.csv"},
    "sources.recbole": {"path": "log.inter"},
    "sources.simulated": {"users": 20, "items": 40, "events": 5},
    "sources.taobao": {"path": "log.csv"},
}
FILES = {
    "reviews.json": '{"reviewerID": "a", "asin": "b", "overall": 5.0, "unixReviewTime": 1400000000}\n',
    "events.csv": "user_id,item_id,timestamp\nann,lamp,1700000000\nbob,desk,1700086400\n",
    "log.inter": "user_id:token\titem_id:token\ttimestamp:float\n1\t2\t881250949\n",
    "log.csv": "1,2268318,2520377,pv,1511544070\n",
}
PLUGINS = [(r, name) for r in REGISTRIES.values() for name in r.names()]


class Broken(FusionHead):
    """Uses the values of missing streams.

    Args:
        dim: width.
        scale: factor of the sum.
    """

    def __init__(self, dim: int, scale: float):
        super().__init__()
        self.dim, self.scale = dim, scale
        self.layer = nn.Linear(dim, dim)

    def build(self, streams): ...

    def forward(self, streams, present):
        return self.layer(self.scale * torch.stack(list(streams.values())).sum(0))


PATH = f"{__name__}.Broken"


@pytest.fixture(autouse=True)
def files(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    pl.DataFrame({"item_id": ["wireless headphones"], "vector": [[0.5, 2.0]]}).write_parquet(tmp_path / "vectors.parquet")


def check(capsys, *args):
    """Return the exit status, the standard output and the standard error."""
    capsys.readouterr()
    try:
        main(["plugins", "check", *args])
        status = 0
    except SystemExit as error:
        status = error.code
    out, err = capsys.readouterr()
    return status, out, err


def marks(registry, name):
    """Mark most encoders as slow, because their own tests run the same checks."""
    return [pytest.mark.slow] * (registry.kind == "encoders" and name not in ("id", "lora", "image"))


@pytest.mark.parametrize(
    ("registry", "name"),
    [pytest.param(*plugin, marks=marks(*plugin)) for plugin in PLUGINS],
    ids=lambda value: getattr(value, "kind", value),
)
def test_every_shipped_plugin_satisfies_the_contract(capsys, request, registry, name):
    init_args, values = REQUIRED_ARGUMENTS.get(f"{registry.kind}.{name}", {}), []
    if registry.kind == "encoders" and name not in ("behaviour", "features", "id"):
        model, rest = ("vit", {}) if name == "image" else ("bert", {"max_length": 32})
        init_args = init_args | {"model": request.getfixturevalue(model)} | rest
    if name == "image":
        from PIL import Image

        Image.new("RGB", (8, 8), "teal").save("a.png")
        values = ["--values", '["a.png", "", "none.png", "a.png", "b.png"]']
    arguments = [f"{registry.kind}.{name}", "--init_args", json.dumps(init_args), *values]
    status, out, err = check(capsys, *arguments, "--log_level=warning")
    assert (status, err) == (0, ""), out
    assert out.splitlines()[-1].endswith(" passed")


def test_a_failed_check_is_reported_and_sets_the_exit_status(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, err = check(capsys, PATH, '--init_args={"scale": 1}')
    assert (status, err) == (1, "")
    (row,) = [line for line in out.splitlines() if " missing_values " in line]
    assert "even if they are NaN." in row
    assert "failed" in row
    assert out.splitlines()[-1] == "21 passed, 1 failed"


def test_a_declared_failure_is_expected(capsys):
    status, out, _ = check(capsys, PATH, '--init_args={"scale": 1}', '--expected_failures={"missing_values": "on purpose"}')
    assert status == 0
    assert "on purpose" in out
    assert out.splitlines()[-1] == "21 passed, 1 expected"


def test_a_reason_that_is_not_text_is_reported(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, err = check(capsys, PATH, '--init_args={"scale": 1}', '--expected_failures={"missing_values": true}')
    assert (status, err) == (1, "")
    assert "declared as an expected failure without a reason" in out


def test_values_that_an_encoder_cannot_read_are_reported(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    args = ["encoders.behaviour", '--init_args={"field": "item.price"}']
    status, out, _ = check(capsys, *args)
    assert status == 1
    assert "preprocess returns an empty array for every value" in out
    assert check(capsys, *args, '--values=["7", "", "8.5", "none", "-1"]')[0] == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([PATH], "Broken needs scale; give it as --init_args='{\"scale\": ...}'."),
        (["momentun"], "no plugin is called 'momentun'. Did you mean 'momentum'?"),
        (["fusion.momentum"], "no plugin is called 'fusion.momentum'."),
        (["nowhere.to.be.Found"], "nowhere.to.be.Found does not import: ModuleNotFoundError"),
        ([f"{__name__}.Absent"], "does not import: AttributeError"),
        ([f"{__name__}.FILES"], "is not a class"),
        (["pathlib.Path"], "is not an Encoder"),
        (["momentum", "--init_args", "{alpha: 1}"], "--init_args is not JSON"),
        (["momentum", "--init_args", "[1]"], "--init_args is not a JSON object"),
        (["momentum", "--expected_failures", "1"], "--expected_failures is not a JSON object"),
        (["encoders.id", "--values", "a.png"], "--values is not JSON"),
        (["encoders.id", "--values", '["a.png"]'], "list of five texts"),
        (["momentum", "--values", '["1", "", "2", "3", "4"]'], "--values is for encoders"),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(capsys, args, message):
    status, out, err = check(capsys, *args)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
