"""The step of a frozen model, exported with torch.export."""

import pytest
import torch
from torch.nn import functional as F

from interestlab.model.export import export_step, flatten_state, has_constant_state
from interestlab.model.frozen import FrozenModel
from interestlab.registry import DYNAMICS

DIM = 8


@pytest.fixture
def freeze_dynamics():
    """Return a function that builds a frozen model of a dynamics with random weights over twenty items."""

    def freeze_dynamics(name, **arguments):
        torch.manual_seed(0)
        dynamics = DYNAMICS.load(name)(dim=DIM, **arguments)
        with torch.no_grad():
            for p in dynamics.parameters():
                p.add_(torch.randn_like(p), alpha=0.05)
        return FrozenModel(dynamics.double(), F.normalize(torch.randn(20, DIM).double(), dim=-1), "cosine")

    return freeze_dynamics


def assert_equal_steps(frozen, program, batch_size, events=5):
    """Run both through the same random events from the initial state, and require equal results."""
    state = frozen.init_state(batch_size)
    exported = flatten_state(state)
    for _ in range(events):
        x, dt = frozen.items[torch.randint(20, (batch_size,))], torch.rand(batch_size).double() * 100 - 1
        state, interest = frozen.step(state, x, dt)
        exported, exported_interest = program(exported, x, dt)
        for a, b in zip([interest, *flatten_state(state)], [exported_interest, *exported], strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", DYNAMICS.names())
def test_exported_step_equals_eager_step(freeze_dynamics, name):
    frozen = freeze_dynamics(name)
    if not has_constant_state(frozen):
        with pytest.raises(ValueError, match="grows with the history, so its step cannot be exported"):
            export_step(frozen)
        return
    program = export_step(frozen).module()
    for batch_size in (1, 2, 5):
        assert_equal_steps(frozen, program, batch_size)


def test_only_attention_over_the_whole_history_has_a_growing_state(freeze_dynamics):
    growing = {name for name in DYNAMICS.names() if not has_constant_state(freeze_dynamics(name))}
    assert growing == {"transformer", "time_transformer", "core", "bsarec", "hybrid"} & set(DYNAMICS.names())


def test_exported_step_of_several_interests(freeze_dynamics):
    frozen = freeze_dynamics("multi_interest", num_interests=3)
    assert_equal_steps(frozen, export_step(frozen).module(), 4)


def test_exported_step_is_saved_and_loaded(freeze_dynamics, tmp_path):
    frozen = freeze_dynamics("momentum")
    torch.export.save(export_step(frozen), tmp_path / "step.pt2")
    assert_equal_steps(frozen, torch.export.load(tmp_path / "step.pt2").module(), 3)
