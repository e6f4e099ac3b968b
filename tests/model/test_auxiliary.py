"""Objectives that are added to the main one, and what all of them ask of the candidates."""

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
    """A term of a given value, whatever is learnt."""

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
def model(data, monkeypatch):
    """An attached model of given objectives, what it logs, and a batch."""

    def make(objective, **auxiliary):
        torch.manual_seed(0)
        made = InterestModel(encoders.id(), dynamics.ewma(dim=8), objective, data.cardinalities, auxiliary=auxiliary, dim=8)
        made.attach(data)
        logged = {}
        monkeypatch.setattr(made, "log", lambda name, value, **kwargs: logged.update({name: value.item()}))
        return made, logged, next(iter(data.loader("train")))

    return make


def met(batch):
    """The items of a batch."""
    return torch.cat([batch.items[batch.mask], batch.targets[batch.targets >= 0]]).unique()


def test_the_loss_is_the_weighted_sum(model):
    terms = {"two": Auxiliary(Fixed(2.0), 0.5), "seven": Auxiliary(Fixed(7.0), 0.0), "plain": Auxiliary(Fixed(3.0))}
    made, logged, batch = model(objectives.next_item(), **terms)
    loss = made.training_step(batch).item()
    main = made.make_step(batch).loss.item()
    assert logged == pytest.approx({"train/two": 1.0, "train/seven": 0.0, "train/plain": 0.3, "train/loss": main + 1.3})
    assert loss == pytest.approx(main + 1.3)


def test_a_main_objective_may_be_added_to_another_and_learns_its_own_weights(model):
    made, logged, batch = model(objectives.next_item(), wants=Auxiliary(objectives.interest(negatives=8), 0.2))
    made.training_step(batch).backward()
    assert logged["train/wants"] > 0
    assert made.auxiliary["wants"].logit.bias.grad != 0


@pytest.mark.parametrize("added", [False, True], ids=["main", "added"])
def test_sampled_widens_the_candidates(model, data, added):
    drawing, plain = objectives.sampled_softmax(num_sampled=100), objectives.next_item(candidates="batch")
    made, _, batch = model(plain, drawn=Auxiliary(drawing)) if added else model(drawing)
    narrow = model(plain)[0].make_step(batch).candidates
    wide = made.make_step(batch).candidates
    assert torch.equal(narrow.items, met(batch))
    assert set(met(batch).tolist()) < set(wide.items.tolist())
    assert len(wide.items) < wide.catalogue_size == data.cardinalities["item.id"]
    assert torch.equal(wide.items, wide.items.unique())
    # What is drawn as well is likelier to be there.
    assert (wide.log_inclusion[wide.index_of(narrow.items)] > narrow.log_inclusion).all()
    assert made.training_step(batch).isfinite()


def test_one_that_wants_the_catalogue_gives_it_to_all(model, data):
    terms = {"forecast": Auxiliary(objectives.forecast(candidates="catalogue"))}
    made, _, batch = model(objectives.sampled_softmax(num_sampled=10), **terms)
    candidates = made.make_step(batch).candidates
    assert candidates.items.tolist() == list(range(data.cardinalities["item.id"]))
    assert not candidates.log_inclusion.any()


def test_fields_reach_the_candidates(model, data):
    terms = {"turn": Auxiliary(objectives.forecast(field="item.brand", candidates="batch"))}
    made, _, batch = model(objectives.next_item(candidates="batch"), **terms)
    candidates = made.make_step(batch).candidates
    assert set(candidates.field_codes) == {"item.brand"}
    assert candidates.field_codes["item.brand"].tolist() == data.codes("item.brand")[candidates.items].tolist()
    assert not model(objectives.next_item())[0].make_step(batch).candidates.field_codes


def test_a_field_that_is_not_there_is_told_in_one_line(fit, capsys):
    with pytest.raises(SystemExit) as done:
        fit("--model.encoder=id", "--model.dynamics=ewma", "--model.objective=forecast", "--model.objective.field=item.colour")
    err = capsys.readouterr().err
    assert (done.value.code, err.count("\n")) == (2, 1)
    assert "item.colour" in err


TERMS = {
    "views": {"objective": "contrastive", "weight": 0.1},
    "agree": {"objective": {"class_path": "rdrop", "init_args": {"temperature": 0.5}}, "weight": 0.2},
    "worst": {"objective": "pgd"},
    "wants": {"objective": {"class_path": "interest", "init_args": {"candidates": "batch"}}},
}


def test_fits_and_reloads_by_itself(fit, tmp_path):
    every_step = "--trainer.log_every_n_steps=1"
    fit("--model.encoder=id", "--model.dynamics=transformer", f"--model.auxiliary={json.dumps(TERMS)}", every_step, steps=2)
    logged = read_metrics(tmp_path / "run" / "metrics.jsonl").drop_nulls("train/loss")
    assert len(logged) == 2
    assert all((logged[f"train/{name}"] > 0).all() for name in TERMS)
    (file,) = (tmp_path / "run").rglob("best.ckpt")
    held = torch.load(file, weights_only=True)
    again = InterestModel.load_from_checkpoint(file, weights_only=True)
    assert again.term_weights == {"views": 0.1, "agree": 0.2, "worst": 0.1, "wants": 0.1}
    assert {name: term["objective"]["class_path"] for name, term in again.hparams["auxiliary"].items()} == {
        name: f"interestlab.objectives.{kind}"
        for name, kind in {"views": "contrastive", "agree": "rdrop", "worst": "pgd", "wants": "interest"}.items()
    }
    assert again.auxiliary["agree"].temperature == 0.5
    assert torch.equal(again.auxiliary["wants"].logit.bias, held["state_dict"]["auxiliary.wants.logit.bias"])

    first = json.loads((tmp_path / "run" / "metrics.json").read_text())
    run(["test", f"--run_dir={tmp_path / 'run'}", "--trainer.enable_progress_bar=false"])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == first


def test_a_fit_goes_on_with_them(fit, tmp_path):
    model = ["--model.encoder=id", "--model.dynamics=ewma", f"--model.auxiliary={json.dumps({'wants': TERMS['wants']})}"]
    fit(*model, steps=1)
    (last,) = (tmp_path / "run").rglob("last.ckpt")
    cli = fit(*model, f"--ckpt_path={last}", steps=2, folder="more")
    assert cli.trainer.global_step == 2


@pytest.mark.parametrize("name", ["contrastive", "rdrop", "fgm", "pgd"])
def test_a_term_alone_is_refused_in_one_line(fit, capsys, name):
    with pytest.raises(SystemExit) as done:
        fit("--model.encoder=id", "--model.dynamics=ewma", f"--model.objective={name}")
    err = capsys.readouterr().err
    assert (done.value.code, err.count("\n")) == (2, 1)
    assert "is an auxiliary term; name it under model.auxiliary instead" in err


def test_a_weight_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"weight must be 0 or more, not -0\.1"):
        Auxiliary(Fixed(1.0), -0.1)


@pytest.mark.parametrize("name", ["loss", "penalty", "peak_memory_mb", "items", "a.b", ""])
def test_a_name_that_is_taken_or_none_is_refused(model, name):
    with pytest.raises(ValueError, match="a term of the loss cannot be called"):
        model(objectives.next_item(), **{name: Auxiliary(Fixed(1.0))})


@pytest.mark.parametrize("interests", [1, 3])
@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_every_objective_fits_by_itself_or_as_a_term(data, name, interests):
    objective = OBJECTIVES.load(name)()
    main, terms = (objectives.gbce(), {"it": Auxiliary(objective)}) if objective.auxiliary else (objective, {})
    moved = dynamics.multi_interest(dim=8, num_interests=interests) if interests > 1 else dynamics.transformer(dim=8)
    model = InterestModel(encoders.id(), moved, main, data.cardinalities, auxiliary=terms, dim=8)
    before = {name: p.clone() for name, p in model.named_parameters()}
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    Trainer(max_steps=1, limit_val_batches=0, enable_checkpointing=False, **quiet).fit(model, data)
    assert model.trainer.callback_metrics["train/loss"].isfinite()
    assert [name for name, p in model.named_parameters() if torch.equal(p, before[name])] == []
