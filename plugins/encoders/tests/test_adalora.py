import copy
import io

import pytest
import torch

from interestlab.errors import TrainingError
from interestlab.testing import pad_rows

TEXTS = ["strings for a guitar", "", "red", "wireless headphones"]


class Loop:
    """What a trainer does around an encoder: ``total`` steps in all, of which one is taken at a time."""

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

    def go(self, steps):
        for _ in range(steps):
            self.batch()
        return self

    def of(self, name):
        return [value for _, logged, value in self.logged if logged == name]


def svd(encoder, letter):
    return [p for name, p in encoder.named_parameters() if name.endswith(f"lora_{letter}.default")]


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# ---- the orthogonality term


def test_the_penalty_is_the_orthogonality_term(build, folder):
    encoder = build("adalora", folder, orthogonality=0.3)
    gaps = [torch.linalg.matrix_norm(a @ a.T - torch.eye(3)) for a in svd(encoder, "A")]
    gaps += [torch.linalg.matrix_norm(b.T @ b - torch.eye(3)) for b in svd(encoder, "B")]
    assert len(gaps) == {"bert": 8, "gpt2": 4}[encoder.chain.model.config.model_type]
    torch.testing.assert_close(encoder.penalty(), 0.3 * sum(gaps) / len(gaps))


def test_its_gradient_reaches_every_a_and_b_and_nothing_else(build, folder):
    encoder = build("adalora", folder)
    encoder.penalty().backward()
    assert all(p.grad.abs().sum() > 0 for p in svd(encoder, "A") + svd(encoder, "B"))
    assert {name.rpartition("lora_")[2] for name, p in encoder.named_parameters() if p.grad is not None} == {
        "A.default",
        "B.default",
    }


def test_orthogonal_updates_have_no_penalty(build, bert):
    encoder = build("adalora", bert)
    for p in svd(encoder, "A") + svd(encoder, "B"):
        torch.nn.init.orthogonal_(p)
    assert encoder.penalty() < 1e-5


def test_the_penalty_makes_updates_more_orthogonal(build, bert):
    encoder = build("adalora", bert)
    before = encoder.penalty().item()
    Loop(encoder, 40).go(40)
    assert encoder.penalty().item() < before / 2


def test_no_weight_no_penalty(build, bert):
    assert build("adalora", bert, orthogonality=0.0).penalty() is None


# ---- ranks


def test_ranks_fall_from_the_first_to_the_target(build, folder):
    loop = Loop(build("adalora", folder), 30).go(30)
    mean = loop.of("train/rank_mean")
    assert len(mean) == 30
    assert mean[:3] == [3.0] * 3  # the warm-up, a tenth
    assert sorted(mean, reverse=True) == mean
    assert set(mean[:21]) > {3.0, 1.0}
    assert mean[20:] == [1.0] * 10  # the last, three tenths
    ranks = loop.encoder.ranks()
    assert sum(ranks.values()) == len(ranks)
    assert loop.of("train/rank_min")[-1] == min(ranks.values())
    assert loop.of("train/rank_max")[-1] == max(ranks.values())


def test_ranks_follow_the_cubic_schedule(build, bert):
    loop = Loop(build("adalora", bert, init_r=12, target_r=4, warmup=0.2, final=0.4), 20).go(20)
    first, target = 4 * 12, 4 * 4
    for step, mean in enumerate(loop.of("train/rank_mean"), 1):
        share = 1 - max(0.0, (step - 4) / 8)
        expected = first if step <= 4 else target if step >= 12 else int((first - target) * share**3 + target)
        assert mean * 4 == expected, step


def test_ranks_go_where_they_are_needed(build, bert):
    """In the upper layer alone, where the loss hardly depends on the updates of the lower one."""
    encoder = build("adalora", bert)
    for name, p in encoder.named_parameters():
        if "layer.0" in name and p.requires_grad:
            p.register_hook(lambda gradient: gradient * 1e-6)
    Loop(encoder, 30).go(30)
    ranks = encoder.ranks()
    assert {name: r for name, r in ranks.items() if "layer.0" in name and r} == {}
    assert sum(ranks.values()) == len(ranks)


def test_a_masked_rank_adds_nothing(build, bert):
    encoder = Loop(build("adalora", bert), 30).go(30).encoder.eval()
    inputs = pad_rows(encoder.preprocess(TEXTS))
    before = encoder(inputs)
    with torch.no_grad():
        for a, e in zip(svd(encoder, "A"), svd(encoder, "E"), strict=True):
            a[(e == 0).view(-1)] = 7.0
    torch.testing.assert_close(encoder(inputs), before)


def test_an_interval_lets_steps_pass_between_allocations(build, bert, monkeypatch):
    encoder = build("adalora", bert, interval=5)
    allocator = encoder.tuner.rankallocator
    met = []
    original = allocator.mask_to_budget
    monkeypatch.setattr(allocator, "mask_to_budget", lambda *args: met.append(encoder.trainer.global_step) or original(*args))
    Loop(encoder, 40).go(40)
    assert met == [5, 10, 15, 20, 25, 28]  # and where the last phase begins


def test_ranks_are_allocated_only_where_the_optimiser_stepped(build, bert, monkeypatch):
    encoder = build("adalora", bert)
    loop = Loop(encoder, 10)
    met = []
    original = encoder.tuner.update_and_allocate
    monkeypatch.setattr(encoder.tuner, "update_and_allocate", lambda step: met.append(step) or original(step))
    for number in range(20):
        loop.batch(stepping=number % 2 == 1)
    assert met == list(range(1, 11))


def test_the_first_batch_of_a_resumed_training_is_no_step(build, bert, monkeypatch):
    """The trainer knows its step only after ``on_fit_start``."""
    encoder = build("adalora", bert)
    met = []
    monkeypatch.setattr(encoder.tuner, "update_and_allocate", met.append)
    loop = Loop(encoder, 10)
    loop.global_step = 4
    encoder.on_train_start()
    loop.batch(stepping=False)
    assert met == []
    loop.batch()
    assert met == [5]


def test_too_few_steps_keep_every_rank_and_say_so(build, bert):
    encoder = build("adalora", bert)
    with pytest.warns(UserWarning, match="1 steps are too few for ranks to fall; all 3 are kept"):
        loop = Loop(encoder, 1)
    assert loop.go(1).of("train/rank_mean") == [3.0]


@pytest.mark.parametrize("total", range(2, 12))
def test_a_short_training_has_its_target_too(build, bert, total):
    assert Loop(build("adalora", bert), total).go(total).of("train/rank_mean")[-1] == 1.0


def test_training_without_an_end_is_refused_in_one_line(build, bert):
    with pytest.raises(TrainingError, match=r"set --trainer\.max_epochs or max_steps") as raised:
        Loop(build("adalora", bert), float("inf"))
    assert "\n" not in str(raised.value)


# ---- resuming


@pytest.mark.parametrize("stop", [2, 11, 25])
def test_a_resumed_training_ends_as_one_that_was_not_interrupted(build, bert, stop):
    """In the warm-up, while ranks fall, and after."""
    whole = Loop(build("adalora", bert), 30).go(30).encoder
    first = Loop(build("adalora", bert), 30).go(stop)
    second = build("adalora", bert)
    second.load_state_dict(through_a_file(first.encoder.state_dict()))
    loop = Loop(second, 30, step=stop)
    loop.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    loop.go(30 - stop)
    assert second.ranks() == whole.ranks()
    told, expected = second.get_extra_state(), whole.get_extra_state()
    assert told.keys() == expected.keys() == {"ipt", "exp_avg_ipt", "exp_avg_unc", "rank_pattern"}
    assert told["rank_pattern"] == expected["rank_pattern"]
    torch.testing.assert_close(told, expected)
    torch.testing.assert_close([*second.parameters()], [*whole.parameters()])


def test_what_the_allocator_remembers_is_kept(build, bert):
    first = Loop(build("adalora", bert), 30).go(11).encoder
    again = build("adalora", bert)
    again.load_state_dict(through_a_file(first.state_dict()))
    memory = first.get_extra_state()
    assert all(len(memory[name]) == len(svd(first, "A")) * 3 for name in ("ipt", "exp_avg_ipt", "exp_avg_unc"))
    assert sum(map(sum, memory["rank_pattern"].values())) < 12
    torch.testing.assert_close(again.get_extra_state(), memory)


def test_a_copy_has_a_memory_of_its_own(build, bert):
    first = Loop(build("adalora", bert), 30).go(11).encoder
    first.trainer = None
    again = copy.deepcopy(first)
    before = copy.deepcopy(again.get_extra_state())
    Loop(first, 30, step=11).go(5)
    torch.testing.assert_close(again.get_extra_state(), before)
    assert before["rank_pattern"] != first.get_extra_state()["rank_pattern"]
