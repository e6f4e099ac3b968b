"""Every encoder x fusion x dynamics that is installed fits one step, tests, and reloads from the command line."""

import itertools
import json

import pytest

from interestlab.cli.train import run
from interestlab.registry import DYNAMICS, ENCODERS, FUSION

COMBINATIONS = list(itertools.product(ENCODERS.names(), FUSION.names(), DYNAMICS.names()))
ARGUMENTS = {"peft": {"method": "vera", "config": {"r": 4}}}

# Each encoder, each fusion head with each dynamics, in the fast part.
FAST = {(e, FUSION.names()[i % 2], DYNAMICS.names()[i % 3]) for i, e in enumerate(ENCODERS.names())}


def marked(combination):
    return pytest.param(*combination, marks=[] if combination in FAST else pytest.mark.slow)


def test_count():
    assert len(COMBINATIONS) == 10 * 2 * 3
    assert len(FAST) == 10
    assert {f[1:] for f in FAST} == set(itertools.product(FUSION.names(), DYNAMICS.names()))


@pytest.mark.parametrize(("encoder", "fusion", "dynamics"), map(marked, COMBINATIONS), ids=lambda v: v)
def test_fits_tests_and_reloads(fit, bert, tmp_path, encoder, fusion, dynamics):
    text = {"model": bert, "max_length": 6} | ARGUMENTS.get(encoder, {})
    spec = {"class_path": encoder, "init_args": {} if encoder == "id" else text}
    # An index of the brand beside it, and the reviews' event type: both fusion heads have something to join.
    index = {
        kind: {"class_path": "id", "init_args": {"field": field}}
        for kind, field in (("brand", "item.brand"), ("kind", "event.event"))
    }
    mapping = json.dumps({"main": spec} | index)
    cli = fit(f"--model.encoder={mapping}", f"--model.fusion={fusion}", f"--model.dynamics={dynamics}")
    assert cli.trainer.global_step == 1
    first = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 <= first["test/recall@10"] <= 1
    (tmp_path / "run" / "metrics.json").unlink()
    again = run(["test", f"--run_dir={tmp_path / 'run'}", "--trainer.enable_progress_bar=false"])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == first
    assert again.model.hparams["dynamics"]["class_path"] == f"interestlab.dynamics.{dynamics}"
    assert again.model.hparams["encoder"]["main"]["class_path"] == f"interestlab.encoders.{encoder}"
