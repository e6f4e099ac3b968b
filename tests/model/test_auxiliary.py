"""Auxiliary objectives, and the candidates that the objectives of a model share."""

import json

import pytest
import torch
from lightning.pytorch import Trainer

from interestlab import dynamics, encoders, objectives, sources
from interestlab.cli.main import run
from interestlab.contract import Objective
from interestlab.data.datamodule import InterestData
from interestlab.registry import OBJECTIVES
from interestlab.training.auxiliary import Auxiliary
from interestlab.training.lightning_module import InterestModel
from interestlab.training.loggers.jsonl import read_metrics


class Fixed(Objective):
    """A term with a constant value."""

    auxiliary = True

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, step):
        return 0 * step.user_states.sum() + self.value


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return InterestData(sources.simulated(users=30, items=200, events=6), max_history=8, cache_dir=cache)


@pytest.fixture
def build_model(data, monkeypatch):
    """Return a function that builds a model from objectives, and returns it with its logged values and a batch."""

    def build(objective, **auxiliary):
        torch.manual_seed(0)
        model = InterestModel(encoders.id(), dynamics.ewma(dim=8), objective, data.cardinalities, auxiliary=auxiliary, dim=8)
        model.attach(data)
        logged = {}
        monkeypatch.setattr(model, "log", lambda name, value, **kwargs: logged.update({name: value.item()}))
        return model, logged, next(iter(data.loader("train")))

    return build


def batch_items(batch):
    """Return the items of a batch."""
    return torch.cat([batch.items[batch.mask], batch.targets[batch.targets >= 0]]).unique()


def test_the_loss_is_the_weighted_sum(build_model):
    terms = {"two": Auxiliary(Fixed(2.0), 0.5), "seven": Auxiliary(Fixed(7.0), 0.0), "plain": Auxiliary(Fixed(3.0))}
    model, logged, batch = build_model(objectives.next_item(), **terms)
    loss = model.training_step(batch).item()
    main = model.make_step(batch).loss.item()
    assert logged == pytest.approx({"train/two": 1.0, "train/seven": 0.0, "train/plain": 0.3, "train/loss": main + 1.3})
    assert loss == pytest.approx(main + 1.3)


def test_a_main_objective_can_be_an_auxiliary_term_with_its_own_weights(build_model):
    model, logged, batch = build_model(objectives.next_item(), wants=Auxiliary(objectives.interest(negatives=8), 0.2))
    model.training_step(batch).backward()
    assert logged["train/wants"] > 0
    assert model.auxiliary["wants"].logit.bias.grad != 0


@pytest.mark.parametrize("added", [False, True], ids=["main", "added"])
def test_sampled_softmax_adds_candidates(build_model, data, added):
    sampled, plain = objectives.sampled_softmax(num_sampled=100), objectives.next_item(candidates="batch")
    model, _, batch = build_model(plain, drawn=Auxiliary(sampled)) if added else build_model(sampled)
    narrow = build_model(plain)[0].make_step(batch).candidates
    wide = model.make_step(batch).candidates
    assert torch.equal(narrow.items, batch_items(batch))
    assert set(batch_items(batch).tolist()) < set(wide.items.tolist())
    assert len(wide.items) < wide.catalogue_size == data.cardinalities["item.id"]
    assert torch.equal(wide.items, wide.items.unique())
    # Items that can also be sampled have a higher inclusion probability.
    assert (wide.log_inclusion[wide.index_of(narrow.items)] > narrow.log_inclusion).all()
    assert model.training_step(batch).isfinite()


def test_all_objectives_share_the_catalogue_if_one_needs_it(build_model, data):
    terms = {"forecast": Auxiliary(objectives.forecast(candidates="catalogue"))}
    model, _, batch = build_model(objectives.sampled_softmax(num_sampled=10), **terms)
    candidates = model.make_step(batch).candidates
    assert candidates.items.tolist() == list(range(data.cardinalities["item.id"]))
    assert not candidates.log_inclusion.any()


def test_fields_reach_the_candidates(build_model, data):
    terms = {"turn": Auxiliary(objectives.forecast(field="item.brand", candidates="batch"))}
    model, _, batch = build_model(objectives.next_item(candidates="batch"), **terms)
    candidates = model.make_step(batch).candidates
    assert set(candidates.field_codes) == {"item.brand"}
    assert candidates.field_codes["item.brand"].tolist() == data.codes("item.brand")[candidates.items].tolist()
    assert not build_model(objectives.next_item())[0].make_step(batch).candidates.field_codes


def test_a_missing_field_is_reported_in_one_line(fit, capsys):
    with pytest.raises(SystemExit) as exit_info:
        fit("--model.encoder=id", "--model.dynamics=ewma", "--model.objective=forecast", "--model.objective.field=item.colour")
    err = capsys.readouterr().err
    assert (exit_info.value.code, err.count("\n")) == (2, 1)
    assert "item.colour" in err


TERMS = {
    "views": {"objective": "contrastive", "weight": 0.1},
    "agree": {"objective": {"class_path": "rdrop", "init_args": {"temperature": 0.5}}, "weight": 0.2},
    "worst": {"objective": "pgd"},
    "wants": {"objective": {"class_path": "interest", "init_args": {"candidates": "batch"}}},
}


def test_fits_and_reloads(fit, tmp_path):
    every_step = "--trainer.log_every_n_steps=1"
    fit("--model.encoder=id", "--model.dynamics=transformer", f"--model.auxiliary={json.dumps(TERMS)}", every_step, steps=2)
    logged = read_metrics(tmp_path / "run" / "metrics.jsonl").drop_nulls("train/loss")
    assert len(logged) == 2
    assert all((logged[f"train/{name}"] > 0).all() for name in TERMS)
    (file,) = (tmp_path / "run").rglob("best.ckpt")
    checkpoint = torch.load(file, weights_only=True)
    reloaded = InterestModel.load_from_checkpoint(file, weights_only=True)
    assert reloaded.term_weights == {"views": 0.1, "agree": 0.2, "worst": 0.1, "wants": 0.1}
    assert {name: term["objective"]["class_path"] for name, term in reloaded.hparams["auxiliary"].items()} == {
        name: f"interestlab.objectives.{kind}"
        for name, kind in {"views": "contrastive", "agree": "rdrop", "worst": "pgd", "wants": "interest"}.items()
    }
    assert reloaded.auxiliary["agree"].temperature == 0.5
    assert torch.equal(reloaded.auxiliary["wants"].logit.bias, checkpoint["state_dict"]["auxiliary.wants.logit.bias"])

    first = json.loads((tmp_path / "run" / "metrics.json").read_text())
    run(["test", f"--run_dir={tmp_path / 'run'}", "--trainer.enable_progress_bar=false"])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == first


def test_resumes_with_auxiliary_terms(fit, tmp_path):
    model = ["--model.encoder=id", "--model.dynamics=ewma", f"--model.auxiliary={json.dumps({'wants': TERMS['wants']})}"]
    fit(*model, steps=1)
    (last,) = (tmp_path / "run").rglob("last.ckpt")
    cli = fit(*model, f"--ckpt_path={last}", steps=2, folder="more")
    assert cli.trainer.global_step == 2


@pytest.mark.parametrize("name", ["contrastive", "rdrop", "fgm", "pgd"])
def test_an_auxiliary_objective_alone_is_rejected_in_one_line(fit, capsys, name):
    with pytest.raises(SystemExit) as exit_info:
        fit("--model.encoder=id", "--model.dynamics=ewma", f"--model.objective={name}")
    err = capsys.readouterr().err
    assert (exit_info.value.code, err.count("\n")) == (2, 1)
    assert "is an auxiliary term; name it under model.auxiliary instead" in err


def test_a_negative_weight_is_rejected():
    with pytest.raises(ValueError, match=r"weight must be 0 or more, not -0\.1"):
        Auxiliary(Fixed(1.0), -0.1)


@pytest.mark.parametrize("name", ["loss", "penalty", "peak_memory_mb", "items", "a.b", ""])
def test_reserved_and_invalid_names_are_rejected(build_model, name):
    with pytest.raises(ValueError, match="a term of the loss cannot be called"):
        build_model(objectives.next_item(), **{name: Auxiliary(Fixed(1.0))})


@pytest.mark.parametrize("interests", [1, 3])
@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_every_objective_fits_as_the_main_or_an_auxiliary_objective(data, name, interests):
    objective = OBJECTIVES.load(name)()
    main, terms = (objectives.gbce(), {"it": Auxiliary(objective)}) if objective.auxiliary else (objective, {})
    user_dynamics = (
        dynamics.multi_interest(dim=8, num_interests=interests, extractor="attention")
        if interests > 1
        else dynamics.transformer(dim=8)
    )
    model = InterestModel(encoders.id(), user_dynamics, main, data.cardinalities, auxiliary=terms, dim=8)
    before = {name: p.clone() for name, p in model.named_parameters()}
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    Trainer(max_steps=1, limit_val_batches=0, enable_checkpointing=False, **quiet).fit(model, data)
    assert model.trainer.callback_metrics["train/loss"].isfinite()
    assert [name for name, p in model.named_parameters() if torch.equal(p, before[name])] == []
