import pytest
import torch
from torch import nn

from interestlab.training.optimizers import Optim, make_optimizer


def test_groups_have_learning_rates_of_their_own():
    matrix, vector, gain = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optim = Optim(lr=0.01, weight_decay=0.1, gains_lr=4.0)
    optimizer, rates = make_optimizer(optim, [matrix, vector, gain], {"gains": [gain]}, fused=False)
    settings = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert settings == {id(matrix): (0.01, 0.1), id(vector): (0.01, 0.0), id(gain): (0.04, 0.0)}
    assert len(rates) == 3


def test_a_negative_rate_of_gains_is_rejected():
    with pytest.raises(ValueError, match="gains_lr"):
        Optim(gains_lr=-1.0)


def test_gains_of_a_model_train_at_their_own_rate(fit):
    cli = fit("--model.encoder=id", "--model.dynamics=momentum", "--model.optim.lr=0.01", "--model.optim.gains_lr=3")
    gains = {id(p) for name, p in cli.model.named_parameters() if "raw_" in name}
    assert gains
    for group in cli.trainer.optimizers[0].param_groups:
        assert group["lr"] == pytest.approx(0.03 if {id(p) for p in group["params"]} <= gains else 0.01)
