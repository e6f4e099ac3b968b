import copy
import io

import pytest
import torch

from interestlab.errors import TrainingError
from interestlab.testing import pad_rows

TEXTS = ["strings for a guitar", "", "red", "wireless headphones"]


class TrainingLoop:
    """A minimal training loop with ``total`` steps, which run one at a time."""

    def __init__(self, encoder, total, step=0, lr=0.01):
        self.encoder = encoder
        for module in encoder.modules():
            if type(module) is torch.nn.Dropout:
                module.p = 0.0
        self.estimated_stepping_batches, self.global_step = total, step
        self.lightning_module = self
        self.logged = []
        encoder.trainer = self
        encoder.on_fit_start()
        encoder.on_train_start()
        encoder.train()
        self.optimizer = torch.optim.AdamW([p for p in encoder.parameters() if p.requires_grad], lr=lr, weight_decay=0.0)
        self.target = torch.randn(len(TEXTS), encoder.out_dim, generator=torch.Generator().manual_seed(0))

    def log(self, name, value):
        self.logged.append((self.global_step, name, value))

    def batch(self, stepping=True):
        self.optimizer.zero_grad()
        vectors = self.encoder(pad_rows(self.encoder.preprocess(TEXTS)))
        ((vectors - self.target).square().mean() + self.encoder.penalty()).backward()
        if stepping:
            self.optimizer.step()
            self.global_step += 1
        self.encoder.on_train_batch_end(None, None, 0)

    def run(self, steps):
        for _ in range(steps):
            self.batch()
        return self

    def values_of(self, name):
        return [value for _, logged_name, value in self.logged if logged_name == name]


def factors(encoder, letter):
    return [p for name, p in encoder.named_parameters() if name.endswith(f"lora_{letter}.default")]


def save_and_load(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# ---- the orthogonality term


def test_penalty_is_the_orthogonality_term(build, folder):
    encoder = build("adalora", folder, orthogonality=0.3)
    norms = [torch.linalg.matrix_norm(a @ a.T - torch.eye(3)) for a in factors(encoder, "A")]
    norms += [torch.linalg.matrix_norm(b.T @ b - torch.eye(3)) for b in factors(encoder, "B")]
    assert len(norms) == {"bert": 8, "gpt2": 4}[encoder.layer_stack.model.config.model_type]
    torch.testing.assert_close(encoder.penalty(), 0.3 * sum(norms) / len(norms))


def test_penalty_gradient_reaches_exactly_the_factors(build, folder):
    encoder = build("adalora", folder)
    encoder.penalty().backward()
    assert all(p.grad.abs().sum() > 0 for p in factors(encoder, "A") + factors(encoder, "B"))
    assert {name.rpartition("lora_")[2] for name, p in encoder.named_parameters() if p.grad is not None} == {
        "A.default",
        "B.default",
    }


def test_orthogonal_factors_have_no_penalty(build, bert):
    encoder = build("adalora", bert)
    for p in factors(encoder, "A") + factors(encoder, "B"):
        torch.nn.init.orthogonal_(p)
    assert encoder.penalty() < 1e-5


def test_training_with_the_penalty_makes_factors_more_orthogonal(build, bert):
    encoder = build("adalora", bert)
    before = encoder.penalty().item()
    TrainingLoop(encoder, 40).run(40)
    assert encoder.penalty().item() < before / 2


def test_weight_zero_gives_no_penalty(build, bert):
    assert build("adalora", bert, orthogonality=0.0).penalty() is None


# ---- ranks


def test_ranks_fall_from_initial_to_target(build, folder):
    loop = TrainingLoop(build("adalora", folder), 30).run(30)
    mean = loop.values_of("train/rank_mean")
    assert len(mean) == 30
    assert mean[:3] == [3.0] * 3  # the warm-up: 10%
    assert sorted(mean, reverse=True) == mean
    assert set(mean[:21]) > {3.0, 1.0}
    assert mean[20:] == [1.0] * 10  # the final phase: 30%
    ranks = loop.encoder.ranks()
    assert sum(ranks.values()) == len(ranks)
    assert loop.values_of("train/rank_min")[-1] == min(ranks.values())
    assert loop.values_of("train/rank_max")[-1] == max(ranks.values())


def test_ranks_follow_the_cubic_schedule(build, bert):
    loop = TrainingLoop(build("adalora", bert, init_r=12, target_r=4, warmup=0.2, final=0.4), 20).run(20)
    initial, target = 4 * 12, 4 * 4
    for step, mean in enumerate(loop.values_of("train/rank_mean"), 1):
        share = 1 - max(0.0, (step - 4) / 8)
        expected = initial if step <= 4 else target if step >= 12 else int((initial - target) * share**3 + target)
        assert mean * 4 == expected, step


def test_ranks_are_allocated_by_importance(build, bert):
    """If the gradients of the lower layer are tiny, all remaining ranks are in the upper layer."""
    encoder = build("adalora", bert)
    for name, p in encoder.named_parameters():
        if "layer.0" in name and p.requires_grad:
            p.register_hook(lambda gradient: gradient * 1e-6)
    TrainingLoop(encoder, 30).run(30)
    ranks = encoder.ranks()
    assert {name: r for name, r in ranks.items() if "layer.0" in name and r} == {}
    assert sum(ranks.values()) == len(ranks)


def test_masked_ranks_have_no_effect(build, bert):
    encoder = TrainingLoop(build("adalora", bert), 30).run(30).encoder.eval()
    inputs = pad_rows(encoder.preprocess(TEXTS))
    before = encoder(inputs)
    with torch.no_grad():
        for a, e in zip(factors(encoder, "A"), factors(encoder, "E"), strict=True):
            a[(e == 0).view(-1)] = 7.0
    torch.testing.assert_close(encoder(inputs), before)


def test_interval_between_allocations(build, bert, monkeypatch):
    encoder = build("adalora", bert, interval=5)
    allocator = encoder.tuner.rankallocator
    steps = []
    original = allocator.mask_to_budget
    monkeypatch.setattr(allocator, "mask_to_budget", lambda *args: steps.append(encoder.trainer.global_step) or original(*args))
    TrainingLoop(encoder, 40).run(40)
    assert steps == [5, 10, 15, 20, 25, 28]  # 28 is the start of the final phase


def test_no_allocation_while_gradients_accumulate(build, bert, monkeypatch):
    encoder = build("adalora", bert)
    loop = TrainingLoop(encoder, 10)
    steps = []
    original = encoder.tuner.update_and_allocate
    monkeypatch.setattr(encoder.tuner, "update_and_allocate", lambda step: steps.append(step) or original(step))
    for number in range(20):
        loop.batch(stepping=number % 2 == 1)
    assert steps == list(range(1, 11))


def test_no_allocation_before_the_first_step_of_resumed_training(build, bert, monkeypatch):
    """The trainer restores its step counter only after ``on_fit_start``."""
    encoder = build("adalora", bert)
    steps = []
    monkeypatch.setattr(encoder.tuner, "update_and_allocate", steps.append)
    loop = TrainingLoop(encoder, 10)
    loop.global_step = 4
    encoder.on_train_start()
    loop.batch(stepping=False)
    assert steps == []
    loop.batch()
    assert steps == [5]


def test_too_few_steps_cause_a_warning(build, bert):
    encoder = build("adalora", bert)
    with pytest.warns(UserWarning, match="1 steps are too few to reduce ranks"):
        loop = TrainingLoop(encoder, 1)
    assert loop.run(1).values_of("train/rank_mean") == [3.0]


@pytest.mark.parametrize("total", range(2, 12))
def test_short_training_reaches_the_target(build, bert, total):
    assert TrainingLoop(build("adalora", bert), total).run(total).values_of("train/rank_mean")[-1] == 1.0


def test_training_without_a_step_limit_is_rejected(build, bert):
    with pytest.raises(TrainingError, match=r"set --trainer\.max_epochs or --trainer\.max_steps") as raised:
        TrainingLoop(build("adalora", bert), float("inf"))
    assert "\n" not in str(raised.value)


# ---- resuming


@pytest.mark.parametrize("stop", [2, 11, 25])
def test_resumed_training_equals_uninterrupted_training(build, bert, stop):
    """Interrupted in the warm-up, while ranks fall, and in the final phase."""
    uninterrupted = TrainingLoop(build("adalora", bert), 30).run(30).encoder
    first = TrainingLoop(build("adalora", bert), 30).run(stop)
    second = build("adalora", bert)
    second.load_state_dict(save_and_load(first.encoder.state_dict()))
    loop = TrainingLoop(second, 30, step=stop)
    loop.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    loop.run(30 - stop)
    assert second.ranks() == uninterrupted.ranks()
    state, expected = second.get_extra_state(), uninterrupted.get_extra_state()
    assert state.keys() == expected.keys() == {"ipt", "exp_avg_ipt", "exp_avg_unc", "rank_pattern"}
    assert state["rank_pattern"] == expected["rank_pattern"]
    torch.testing.assert_close(state, expected)
    torch.testing.assert_close([*second.parameters()], [*uninterrupted.parameters()])


def test_allocator_state_is_saved(build, bert):
    first = TrainingLoop(build("adalora", bert), 30).run(11).encoder
    reloaded = build("adalora", bert)
    reloaded.load_state_dict(save_and_load(first.state_dict()))
    scores = first.get_extra_state()
    assert all(len(scores[name]) == len(factors(first, "A")) * 3 for name in ("ipt", "exp_avg_ipt", "exp_avg_unc"))
    assert sum(map(sum, scores["rank_pattern"].values())) < 12
    torch.testing.assert_close(reloaded.get_extra_state(), scores)


def test_a_deep_copy_has_its_own_scores(build, bert):
    first = TrainingLoop(build("adalora", bert), 30).run(11).encoder
    first.trainer = None
    copied = copy.deepcopy(first)
    before = copy.deepcopy(copied.get_extra_state())
    TrainingLoop(first, 30, step=11).run(5)
    torch.testing.assert_close(copied.get_extra_state(), before)
    assert before["rank_pattern"] != first.get_extra_state()["rank_pattern"]
