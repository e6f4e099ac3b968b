"""Training that changes what it should not, or does not what it should, is an error and no number."""

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from interestlab import dynamics, encoders, objectives, sources
from interestlab.cli.main import main
from interestlab.data.datamodule import InterestData
from interestlab.errors import TrainingError
from interestlab.training.frozen_check import MIN_STEPS, FrozenWeightCheck
from interestlab.training.lightning_module import InterestModel

METHODS = {
    "id": {},
    "frozen": {},
    "full": {},
    "bitfit": {},
    "adapter": {"reduction": 4},
    "lora": {},
    "adalora": {},
    "ia3": {},
    "side": {"width": 8},
    "peft": {"method": "vera", "config": {"r": 4}},
}
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture
def made(bert):
    """``made("lora", layers=1)``: a model and its data."""

    def made(method, **arguments):
        torch.manual_seed(0)
        data = InterestData(sources.simulated(users=20, items=32, events=5), batch_events=60)
        own = {} if method == "id" else {"model": bert, "max_length": 24}
        encoder = getattr(encoders, method)(**own, **METHODS[method], **arguments)
        return InterestModel(encoder, dynamics.momentum(dim=8), objectives.next_item(), data.cardinalities, dim=8, ks=[5]), data

    return made


def fit(model, data, steps=4, **options):
    trainer = Trainer(max_steps=steps, enable_checkpointing=False, limit_val_batches=0, **QUIET | options)
    trainer.fit(model, data)
    assert trainer.global_step == steps


def caught(model, data, steps=4, **options):
    """What the guard says, in one line."""
    with pytest.raises(TrainingError) as raised:
        fit(model, data, steps, **options)
    said = str(raised.value)
    assert "\n" not in said
    return said


def trainable(model):
    return {name: p for name, p in model.backbone.encoders["main"].named_parameters() if p.requires_grad}


# ---- silent


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("method", METHODS)
def test_is_silent_on_training_as_it_should_be(made, method, steps):
    fit(*made(method), steps)


@pytest.mark.parametrize("method", ["full", "bitfit", "adapter", "lora", "adalora", "ia3", "peft"])
def test_is_silent_on_training_of_the_top_layers(made, method):
    fit(*made(method, layers=1))


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_a_single_step_moves_enough(made, method):
    """What starts at zero has to move before what lies under it can."""
    model, data = made(method)
    before = {name: p.detach().clone() for name, p in trainable(model).items()}
    fit(model, data, steps=1)
    moved = {name for name, p in trainable(model).items() if not torch.equal(p, before[name])}
    assert set() < moved < before.keys()


def test_training_that_goes_on_is_looked_at_from_where_it_began(made, tmp_path):
    model, data = made("lora")
    trainer = Trainer(max_steps=4, limit_val_batches=0, default_root_dir=tmp_path, **QUIET)
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    model, data = made("lora")
    trainer = Trainer(max_steps=5, limit_val_batches=0, enable_checkpointing=False, **QUIET)
    trainer.fit(model, data, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert model._frozen_check._first_step == 0


# ---- what does not learn


@pytest.mark.parametrize("method", ["lora", "adapter", "bitfit"])
def test_what_was_frozen_after_it_was_built(made, method):
    model, data = made(method)
    names = set(trainable(model))
    for p in trainable(model).values():
        p.requires_grad_(False)
    said = caught(model, data)
    assert f"4 steps of training did not change {len(names)} tensors, " in said
    assert any(f"encoders.main.{name} among them" in said for name in names)
    assert "was it frozen after it was built" in said


@pytest.mark.parametrize("steps", [2, 4])
@pytest.mark.parametrize("method", ["lora", "ia3", "full"])
def test_what_was_left_out_of_the_optimiser(made, monkeypatch, method, steps):
    model, data = made(method)
    left_out = {id(p) for p in trainable(model).values()}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in left_out]
    assert others
    monkeypatch.setattr(model, "configure_optimizers", lambda: torch.optim.AdamW(others, lr=0.01))
    said = caught(model, data, steps)
    assert f"{steps} steps of training did not change {len(left_out)} tensors, encoders.main." in said
    assert "left out of the optimiser" in said


def test_a_single_tensor_that_does_not_learn_is_named(made):
    model, data = made("lora")
    name, p = next(iter(trainable(model).items()))
    p.register_hook(torch.zeros_like)
    assert f"4 steps of training did not change encoders.main.{name}; " in caught(model, data)


def test_a_rate_too_small_for_the_precision(made):
    model, data = made("full")
    assert "is its learning rate too small for its precision?" in caught(model, data, precision="bf16-true")


# ---- what should not learn


@pytest.mark.parametrize("method", ["lora", "side", "frozen", "bitfit"])
def test_a_base_that_was_changed(made, method):
    class Slip(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            with torch.no_grad():
                pl_module.backbone.encoders["main"].layer_stack.layers[0].get_parameter(name).add_(1e-3)

    model, data = made(method)
    layer = model.backbone.encoders["main"].layer_stack.layers[0]
    name = next(name for name, p in layer.named_parameters() if name.endswith("output.dense.weight") and not p.requires_grad)
    said = caught(model, data, callbacks=[Slip()])
    assert said.startswith("training changed encoders.main.pretrained_model.")
    assert f"{name}, frozen when the model was built" in said


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_a_base_that_was_freed_after_it_was_built(made, method):
    model, data = made(method)
    base = [p for p in model.backbone.encoders["main"].base.parameters if not p.requires_grad]
    for p in base:
        p.requires_grad_(True)
    said = caught(model, data)
    assert f"training changed {len(base)} tensors, encoders.main.pretrained_model." in said


# ---- alone


def test_every_bit_counts():
    module = nn.Linear(3, 3).requires_grad_(False)
    guard = FrozenWeightCheck({"part": module})
    guard.start(0)
    guard.check(100)
    with torch.no_grad():
        module.bias[1] = torch.nextafter(module.bias[1], torch.tensor(9.0))
    with pytest.raises(TrainingError, match=r"training changed part\.bias, frozen"):
        guard.check(100)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision(dtype):
    module = nn.Linear(3, 3).to(dtype)
    guard = FrozenWeightCheck({"part": module})
    guard.start(0)
    with pytest.raises(TrainingError, match=r"did not change 2 tensors, part\.bias among them"):
        guard.check(2)
    with torch.no_grad():
        module.weight.add_(1)
        guard.check(MIN_STEPS - 1)
        with pytest.raises(TrainingError, match=r"3 steps of training did not change part\.bias"):
            guard.check(MIN_STEPS)
        module.bias.add_(1)
    guard.check(MIN_STEPS)


@pytest.mark.parametrize("steps", [0, 1])
def test_too_few_steps_to_tell(steps):
    guard = FrozenWeightCheck({"part": nn.Linear(2, 2)})
    guard.start(7)
    guard.check(7 + steps)


def test_a_training_that_goes_on_remembers_what_was():
    module = nn.Linear(2, 2).requires_grad_(False)
    first, second = FrozenWeightCheck({"part": module}), FrozenWeightCheck({"part": module})
    first.start(0)
    with torch.no_grad():
        module.bias.add_(1)
    second.load_state_dict(first.state_dict())
    second.start(5)
    with pytest.raises(TrainingError, match=r"training changed part\.bias, frozen"):
        second.check(6)


def test_in_another_precision_it_begins_anew():
    first, second = FrozenWeightCheck({"part": nn.Linear(2, 2)}), FrozenWeightCheck({"part": nn.Linear(2, 2).double()})
    first.start(0)
    second.load_state_dict(first.state_dict())
    second.start(5)
    second.check(6)
    assert second.state_dict()["first_step"] == 5


# ---- on the command line


def test_the_command_line_ends_in_one_line_and_measures_nothing(bert, tmp_path, monkeypatch, capsys):
    lora = encoders.lora

    def freeze(self):
        for p in self.parameters():
            p.requires_grad_(False)

    monkeypatch.setattr(lora, "on_fit_start", freeze)
    encoder = f"--model.encoder={{class_path: lora, init_args: {{model: {bert}, max_length: 8}}}}"
    shop = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"]
    parts = ["--model.dynamics=ewma", "--model.objective=next_item", "--trainer.enable_progress_bar=false"]
    with pytest.raises(SystemExit) as done:
        main(["fit", encoder, *shop, *parts, "--trainer.max_steps=2", f"--run_dir={tmp_path / 'run'}"])
    assert done.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("interestlab: ")]
    assert "2 steps of training did not change 8 tensors, encoders.main.pretrained_model." in line
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not (tmp_path / "run" / "ranks.parquet").exists()


def test_what_has_no_numbers_need_not_move():
    module = nn.Linear(2, 2)
    module.empty = nn.Parameter(torch.empty(0, 2))
    guard = FrozenWeightCheck({"main": module})
    guard.start(0)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(1)
    guard.check(MIN_STEPS)


def test_of_a_training_that_never_began_nothing_is_said():
    FrozenWeightCheck({"part": nn.Linear(2, 2).requires_grad_(False)}).check(MIN_STEPS)
