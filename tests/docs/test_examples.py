"""The example plugins of the docs pass the conformance checks and work in a model."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from interestlab.batch import Batch, Candidates
from interestlab.cli.main import run
from interestlab.config.import_policy import ALLOW
from interestlab.contract import Plugin
from interestlab.step import Step
from interestlab.testing import check_plugin

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
CLASSES = {
    "words": "Words",
    "category": "Category",
    "trunk": "HashedWords",
    "gate": "Gate",
    "gru": "GRU",
    "pairwise": "Pairwise",
    "receipts": "Receipts",
}
SHOP = ["--data.source=simulated", "--data.source.users=20", "--data.source.items=40", "--data.source.events=5"]
QUIET = [
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.accelerator=cpu",
    "--trainer.max_steps=1",
]


@pytest.fixture(autouse=True)
def modules(tmp_path, monkeypatch):
    """Make the examples importable, like the modules of an installed package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERESTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv(ALLOW, ",".join(path.stem for path in EXAMPLES.glob("*.py")))
    yield
    for name in CLASSES:
        sys.modules.pop(name, None)


def example(module: str) -> type[Plugin]:
    return getattr(importlib.import_module(module), CLASSES[module])


def fit(source: list[str] = SHOP, **parts: str) -> dict:
    """Train one step with the given parts, test, and return the metrics."""
    names = {"encoder": "id", "dynamics": "ewma", "objective": "next_item"} | parts
    run(["fit", *source, *QUIET, "--run_dir=run", *(f"--model.{slot}={name}" for slot, name in names.items())])
    return json.loads(Path("run/metrics.json").read_text())


def test_every_example_is_listed():
    assert {file.stem for file in EXAMPLES.glob("*.py")} == set(CLASSES)


@pytest.mark.parametrize("module", CLASSES)
def test_contract(module):
    Path("receipts.jsonl").write_text(json.dumps({"customer": "c", "time": 1_700_000_000, "skus": ["s1", "s2"]}))
    init_args = {"path": "receipts.jsonl"} if module == "receipts" else {}
    failures = [outcome for outcome in check_plugin(example(module), init_args) if outcome.status != "passed"]
    assert not failures


@pytest.mark.parametrize(
    "parts",
    [
        {"encoder": "words.Words"},
        {"encoder": "category.Category"},
        {"encoder": "trunk.HashedWords"},
        {"encoder": "{id: id, title: words.Words}", "fusion": "gate.Gate"},
        {"dynamics": "gru.GRU"},
        {"objective": "pairwise.Pairwise"},
    ],
    ids=["encoder", "encoder over indices", "encoder with a trunk", "fusion", "dynamics", "objective"],
)
def test_fits(parts):
    assert 0 <= fit(**parts)["test/recall@10"] <= 1


def test_source_fits():
    receipts = [{"customer": f"c{u}", "time": 1_700_000_000 + u, "skus": [f"s{u % 3}", "s3", "s4", "s5"]} for u in range(9)]
    without_customer = {"customer": None, "time": 1_700_000_000, "skus": ["s1"]}
    Path("receipts.jsonl").write_text("\n".join(json.dumps(receipt) for receipt in [*receipts, without_customer]))
    source = ["--data.source=receipts.Receipts", "--data.source.path=receipts.jsonl", "--data.max_bad_fraction=0.1"]
    fingerprint = fit(source)["fingerprint"]
    assert (fingerprint["users"], fingerprint["events"]) == (9, 36)
    (quarantine,) = Path("cache/quarantine").glob("*.csv")
    assert "receipts.jsonl,10,user_id is missing" in quarantine.read_text()


def test_pairwise_never_compares_a_target_with_itself():
    vectors = torch.eye(3, requires_grad=True)
    targets = torch.tensor([[0, 1, 2, -1]])
    zeros = torch.zeros(1, 4, dtype=torch.int64)
    batch = Batch(zeros[:, 0], zeros, zeros, zeros.float(), targets >= 0, targets, zeros[:, :0])
    candidates = Candidates(vectors, torch.arange(3), torch.zeros(3), catalogue_size=3)
    objective = example("pairwise")(temperature=1.0)
    loss = objective(Step(batch, candidates, torch.eye(3)[targets.clamp(min=0)], lambda x, dt, mask: x, objective))
    # The target scores 1 and every other item 0, so the difference is always 1.
    torch.testing.assert_close(loss, torch.nn.functional.softplus(torch.tensor(-1.0)))
