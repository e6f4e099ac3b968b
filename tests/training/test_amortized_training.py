"""Training with amortised encoding."""

import json

import pytest
import torch

from interestlab.training.loggers.jsonl import read_metrics

EPOCHS = ["--trainer.max_epochs=2", "--data.batch_events=64", "--model.dynamics=momentum", "--trainer.log_every_n_steps=1"]


@pytest.fixture
def train(fit, bert, tmp_path):
    """Return a function that trains with some options, and returns the weights and the logged metrics."""

    def run_training(folder, *options):
        args = {"model": bert, "max_length": 8, "fields": ["item.title"], "dropout": 0.1}
        encoder = f"--model.encoder={json.dumps({'class_path': 'lora', 'init_args': args})}"
        batch = "--model.objective=next_item", "--model.objective.candidates=batch"
        model = fit(encoder, *batch, *EPOCHS, "--test_after_fit=false", *options, steps=4, folder=folder).model
        weights = {k: v for k, v in model.state_dict().items() if isinstance(v, torch.Tensor)}
        return weights, read_metrics(tmp_path / folder / "metrics.jsonl")

    return run_training


def test_a_share_that_covers_every_step_is_exact_training_bit_for_bit(train):
    """The table is in use, but each step encodes all of its texts: 0.999 of a few texts is rounded to all."""
    exact, exact_metrics = train("exact")
    amortised, metrics = train("amortised", "--model.amortize.share=0.999")
    assert exact_metrics["train/loss"].equals(metrics["train/loss"])
    assert exact_metrics["val/ndcg@10"].equals(metrics["val/ndcg@10"])
    assert all(torch.equal(exact[name], amortised[name]) for name in exact)
    assert metrics["train/encoded_share"].drop_nulls().eq(1).all()
    assert "train/encoded_share" not in exact_metrics.columns


def test_a_small_share_trains_and_logs_share_and_staleness(train):
    weights, metrics = train("amortised", "--model.amortize={share: 0.3, refresh: start}")
    assert metrics["train/encoded_share"].drop_nulls().is_between(0.25, 0.35).all()
    staleness = metrics["train/staleness"].drop_nulls()
    assert staleness[0] == 0
    assert staleness[-1] > 0
    assert all(weight.isfinite().all() for weight in weights.values())
