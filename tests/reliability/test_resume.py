"""A run that was killed and resumed ends as one that was not, to the last bit."""

import json
import random

import pytest

EPOCHS = 3
METHODS = {
    "frozen": {},
    "full": {},
    "bitfit": {},
    "adapter": {"reduction": 4},
    "lora": {"r": 2, "dropout": 0.1},
    "adalora": {"init_r": 4, "target_r": 2, "dropout": 0.1},
    "ia3": {},
    "side": {"width": 8},
    "peft": {"method": "vera", "config": {"r": 4}},
}
DYNAMICS = [
    *("ewma", "momentum", "transformer", "time_transformer", "gru", "lru", "mamba", "ode", "evolution", "multi_interest"),
]
KILLS = {"batch": ("SIGKILL", "SIGTERM"), "logging": ("SIGKILL", "SIGTERM"), "validation": ("SIGKILL", "SIGTERM"), "writing": ("SIGKILL",)}
counted: list[str] = []


def encoder(method, bert):
    if method == "id":
        return ["--model.encoder=id"]
    args = {"model": bert, "max_length": 8, "fields": ["item.title"]} | METHODS[method]
    return [f"--model.encoder={json.dumps({'class_path': method, 'init_args': args})}"]


def chain(fit, args, kills, folder="parted"):
    """Run, be killed, go on, be killed, ..., and come to an end."""
    go_on = []
    for when in kills:
        status = fit(folder, *args, *go_on, when=when)
        assert status == (143 if when[0] == "SIGTERM" else -9), when
        counted.append(when[1])
        go_on = ["--ckpt_path=last"]
    assert fit(folder, *args, *go_on) == 0


def kills(seed, batches, number=2):
    """Random kills, each later in the training than the one before."""
    rng = random.Random(seed)
    made = []
    for at in sorted(rng.sample(range(1, EPOCHS * batches - 1), number)):
        place = rng.choice(sorted(KILLS))
        moment = {"validation": at // batches, "writing": rng.randint(1, 2)}.get(place, at)
        made.append((rng.choice(KILLS[place]), place, moment))
    return made


def test_smoke(fit, bert, tmp_path, small, same):
    args = [*small, *encoder("adalora", bert), "--model.dynamics=transformer", f"--trainer.max_epochs={EPOCHS}"]
    assert fit("whole", *args) == 0
    chain(fit, args, [("SIGKILL", "batch", 1), ("SIGTERM", "batch", 4)])
    same(tmp_path / "whole", tmp_path / "parted")
