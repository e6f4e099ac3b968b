"""Every encoder x fusion x dynamics that is installed fits one step, tests, and reloads from the command line."""

import itertools
import json

import pytest

from interestlab.cli.train import run
from interestlab.registry import DYNAMICS, ENCODERS, FUSION

COMBINATIONS = list(itertools.product(ENCODERS.names(), FUSION.names(), DYNAMICS.names()))


def test_count():
    assert len(COMBINATIONS) == 3 * 2 * 3


@pytest.mark.parametrize(("encoder", "fusion", "dynamics"), COMBINATIONS, ids=lambda v: v)
def test_fits_tests_and_reloads(fit, tmp_path, encoder, fusion, dynamics):
    spec = f"{{class_path: {encoder}, init_args: {{max_length: 6}}}}" if encoder != "id" else "id"
    # An index of the brand beside it, and the reviews' event type: both fusion heads have something to join.
    index = "{{class_path: id, init_args: {{field: {}}}}}"
    mapping = f"{{main: {spec}, brand: {index.format('item.brand')}, kind: {index.format('event.event')}}}"
    cli = fit(f"--model.encoder={mapping}", f"--model.fusion={fusion}", f"--model.dynamics={dynamics}")
    assert cli.trainer.global_step == 1
    first = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 <= first["test/recall@10"] <= 1
    (tmp_path / "run" / "metrics.json").unlink()
    again = run(["test", f"--run_dir={tmp_path / 'run'}", "--trainer.enable_progress_bar=false"])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == first
    assert again.model.hparams["dynamics"]["class_path"] == f"interestlab.dynamics.{dynamics}"
