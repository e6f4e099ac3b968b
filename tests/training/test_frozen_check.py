"""Training that changes frozen weights, or does not change trained ones, is an error."""

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
def build(bert):
    """Return a function that builds a model and its data: ``build("lora", layers=1)``."""

    def build(method, **arguments):
        torch.manual_seed(0)
        data = InterestData(sources.simulated(users=20, items=32, events=5), batch_events=60)
        own = {} if method == "id" else {"model": bert, "max_length": 24}
        encoder = getattr(encoders, method)(**own, **METHODS[method], **arguments)
        return InterestModel(encoder, dynamics.momentum(dim=8), objectives.next_item(), data.cardinalities, dim=8, ks=[5]), data

    return build


def fit(model, data, steps=4, **options):
    trainer = Trainer(max_steps=steps, enable_checkpointing=False, limit_val_batches=0, **QUIET | options)
    trainer.fit(model, data)
    assert trainer.global_step == steps


def training_error(model, data, steps=4, **options):
    """Return the message of the training error, which must be one line."""
    with pytest.raises(TrainingError) as raised:
        fit(model, data, steps, **options)
    message = str(raised.value)
    assert "\n" not in message
    return message


def trainable(model):
    return {name: p for name, p in model.backbone.encoders["main"].named_parameters() if p.requires_grad}


# ---- correct training


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("method", METHODS)
def test_correct_training_passes(build, method, steps):
    fit(*build(method), steps)


@pytest.mark.parametrize("method", ["full", "bitfit", "adapter", "lora", "adalora", "ia3", "peft"])
def test_training_of_the_top_layers_passes(build, method):
    fit(*build(method, layers=1))


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_a_single_step_changes_enough(build, method):
    """Weights that are initially zero change first; those below them have no gradient yet."""
    model, data = build(method)
    before = {name: p.detach().clone() for name, p in trainable(model).items()}
    fit(model, data, steps=1)
    changed = {name for name, p in trainable(model).items() if not torch.equal(p, before[name])}
    assert set() < changed < before.keys()


def test_resumed_training_is_checked_from_its_first_step(build, tmp_path):
    model, data = build("lora")
    trainer = Trainer(max_steps=4, limit_val_batches=0, default_root_dir=tmp_path, **QUIET)
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    model, data = build("lora")
    trainer = Trainer(max_steps=5, limit_val_batches=0, enable_checkpointing=False, **QUIET)
    trainer.fit(model, data, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert model._frozen_check._first_step == 0


# ---- trained weights that do not change


@pytest.mark.parametrize("method", ["lora", "adapter", "bitfit"])
def test_parameters_frozen_after_building(build, method):
    model, data = build(method)
    names = set(trainable(model))
    for p in trainable(model).values():
        p.requires_grad_(False)
    message = training_error(model, data)
    assert f"4 steps of training did not change {len(names)} tensors, " in message
    assert any(f"encoders.main.{name} among them" in message for name in names)
    assert "was it frozen after it was built" in message


@pytest.mark.parametrize("steps", [2, 4])
@pytest.mark.parametrize("method", ["lora", "ia3", "full"])
def test_parameters_missing_from_the_optimiser(build, monkeypatch, method, steps):
    model, data = build(method)
    excluded = {id(p) for p in trainable(model).values()}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in excluded]
    assert others
    monkeypatch.setattr(model, "configure_optimizers", lambda: torch.optim.AdamW(others, lr=0.01))
    message = training_error(model, data, steps)
    assert f"{steps} steps of training did not change {len(excluded)} tensors, encoders.main." in message
    assert "left out of the optimiser" in message


def test_a_single_unchanged_tensor_is_named(build):
    model, data = build("lora")
    name, p = next(iter(trainable(model).items()))
    p.register_hook(torch.zeros_like)
    assert f"4 steps of training did not change encoders.main.{name}; " in training_error(model, data)


def test_a_learning_rate_too_small_for_the_precision(build):
    model, data = build("full")
    assert "is its learning rate too small for its precision?" in training_error(model, data, precision="bf16-true")


# ---- frozen weights that change


@pytest.mark.parametrize("method", ["lora", "side", "frozen", "bitfit"])
def test_a_changed_base_weight(build, method):
    class ChangeFrozenWeight(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            with torch.no_grad():
                pl_module.backbone.encoders["main"].layer_stack.layers[0].get_parameter(name).add_(1e-3)

    model, data = build(method)
    layer = model.backbone.encoders["main"].layer_stack.layers[0]
    name = next(name for name, p in layer.named_parameters() if name.endswith("output.dense.weight") and not p.requires_grad)
    message = training_error(model, data, callbacks=[ChangeFrozenWeight()])
    assert message.startswith("training changed encoders.main.pretrained_model.")
    assert f"{name}, frozen when the model was built" in message


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_base_weights_unfrozen_after_building(build, method):
    model, data = build(method)
    base = [p for p in model.backbone.encoders["main"].base.parameters if not p.requires_grad]
    for p in base:
        p.requires_grad_(True)
    message = training_error(model, data)
    assert f"training changed {len(base)} tensors, encoders.main.pretrained_model." in message


# ---- the check without a trainer


def test_every_bit_counts():
    module = nn.Linear(3, 3).requires_grad_(False)
    check = FrozenWeightCheck({"part": module})
    check.start(0)
    check.check(100)
    with torch.no_grad():
        module.bias[1] = torch.nextafter(module.bias[1], torch.tensor(9.0))
    with pytest.raises(TrainingError, match=r"training changed part\.bias, frozen"):
        check.check(100)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision(dtype):
    module = nn.Linear(3, 3).to(dtype)
    check = FrozenWeightCheck({"part": module})
    check.start(0)
    with pytest.raises(TrainingError, match=r"did not change 2 tensors, part\.bias among them"):
        check.check(2)
    with torch.no_grad():
        module.weight.add_(1)
        check.check(MIN_STEPS - 1)
        with pytest.raises(TrainingError, match=r"3 steps of training did not change part\.bias"):
            check.check(MIN_STEPS)
        module.bias.add_(1)
    check.check(MIN_STEPS)


@pytest.mark.parametrize("steps", [0, 1])
def test_too_few_steps_pass(steps):
    check = FrozenWeightCheck({"part": nn.Linear(2, 2)})
    check.start(7)
    check.check(7 + steps)


def test_resumed_training_compares_with_the_initial_weights():
    module = nn.Linear(2, 2).requires_grad_(False)
    first, second = FrozenWeightCheck({"part": module}), FrozenWeightCheck({"part": module})
    first.start(0)
    with torch.no_grad():
        module.bias.add_(1)
    second.load_state_dict(first.state_dict())
    second.start(5)
    with pytest.raises(TrainingError, match=r"training changed part\.bias, frozen"):
        second.check(6)


def test_another_precision_restarts_the_check():
    first, second = FrozenWeightCheck({"part": nn.Linear(2, 2)}), FrozenWeightCheck({"part": nn.Linear(2, 2).double()})
    first.start(0)
    second.load_state_dict(first.state_dict())
    second.start(5)
    second.check(6)
    assert second.state_dict()["first_step"] == 5


# ---- on the command line


def test_the_command_line_reports_one_line_and_writes_no_metrics(bert, tmp_path, monkeypatch, capsys):
    lora = encoders.lora

    def freeze(self):
        for p in self.parameters():
            p.requires_grad_(False)

    monkeypatch.setattr(lora, "on_fit_start", freeze)
    encoder = f"--model.encoder={{class_path: lora, init_args: {{model: {bert}, max_length: 8}}}}"
    shop = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"]
    parts = ["--model.dynamics=ewma", "--model.objective=next_item", "--trainer.enable_progress_bar=false"]
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", encoder, *shop, *parts, "--trainer.max_steps=2", f"--run_dir={tmp_path / 'run'}"])
    assert exit_info.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("interestlab: ")]
    assert "2 steps of training did not change 8 tensors, encoders.main.pretrained_model." in line
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not (tmp_path / "run" / "ranks.parquet").exists()


def test_empty_tensors_need_not_change():
    module = nn.Linear(2, 2)
    module.empty = nn.Parameter(torch.empty(0, 2))
    check = FrozenWeightCheck({"main": module})
    check.start(0)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(1)
    check.check(MIN_STEPS)


def test_a_check_that_never_started_passes():
    FrozenWeightCheck({"part": nn.Linear(2, 2).requires_grad_(False)}).check(MIN_STEPS)
