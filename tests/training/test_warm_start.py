"""`fit --from_run`: training goes on from the weights of a run, on another log."""

import json

import polars as pl
import pytest
import torch

from interestlab.cli.main import main

# No step: what was copied is what the run ends with.
UNTRAINED = ["--model.optim.lr=0", "--model.optim.peft.lr=0", "--model.optim.weight_decay=0", "--trainer.max_epochs=1"]
STREAMS = {
    "id": "id",
    "brand": {"class_path": "id", "init_args": {"field": "item.brand"}},
    "rating": {"class_path": "behaviour", "init_args": {"field": "event.rating"}},
    "action": {"class_path": "behaviour", "init_args": {"field": "event.event"}},
}
OPTIONS = [f"--model.encoder={json.dumps(STREAMS)}", "--model.fusion=gated", "--model.dynamics=gru", "--test_after_fit=false"]


def vectors(cli, encoder="id", table="embedding"):
    """Return the row of each value of a table."""
    backbone = cli.model.backbone
    (stream,) = (s for s in backbone.streams if s.encoder == encoder)
    values = pl.read_parquet(backbone.features[stream.name].folder / "values.parquet", glob=False)["value"]
    weight = getattr(backbone.encoders[encoder], table).weight.detach()
    assert len(weight) == len(values)
    return dict(zip(values, weight, strict=True))


def fit_best(fit, *args, folder="old"):
    """Fit, and load the best weights, from which another run starts."""
    cli = fit(*args, steps=6, folder=folder)
    weights = torch.load(cli.run_dir / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    cli.model.load_state_dict(weights, strict=False)
    return cli


def error_of(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *args])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_values_that_the_run_knew_keep_their_vectors(fit, tmp_path):
    old = fit_best(fit, *OPTIONS)
    more = ["--data.source.items=60", "--data.source.users=50", "--data.source.seed=1"]
    new = fit(f"--from_run={tmp_path / 'old'}", *UNTRAINED, *more, folder="new")
    for encoder, table in (("id", "embedding"), ("brand", "embedding"), ("action", "embed")):
        before, after = vectors(old, encoder, table), vectors(new, encoder, table)
        known = before.keys() & after.keys()
        assert known
        assert all(torch.equal(before[value], after[value]) for value in known)
    before, after = vectors(old), vectors(new)
    assert after.keys() - before.keys()  # new items
    assert [*before] != [value for value in after if value in before] or len(before) != len(after)
    old_weights, new_weights = old.model.state_dict(), new.model.state_dict()
    tables = {f"backbone.encoders.{name}.weight" for name in ("id.embedding", "brand.embedding", "action.embed")}
    assert all(torch.equal(old_weights[name], new_weights[name]) for name in old_weights.keys() - tables)


def test_shuffled_ties_are_warned_of(fit, tmp_path, caplog):
    fit(*OPTIONS, "--data.ties=shuffle", steps=1, folder="old")
    assert "shuffled differently" not in caplog.text
    fit(f"--from_run={tmp_path / 'old'}", steps=1, folder="new")
    assert "shuffled differently" in caplog.text


def test_new_values_start_as_in_a_training_from_scratch(fit, tmp_path):
    old = fit_best(fit, *OPTIONS)
    more = ["--data.source.items=60", "--data.source.seed=1", *UNTRAINED]
    scratch = fit(*OPTIONS, *more, folder="scratch")
    new = fit(f"--from_run={tmp_path / 'old'}", *more, folder="new")
    fresh = vectors(new).keys() - vectors(old).keys()
    assert fresh
    assert all(torch.equal(vectors(new)[item], vectors(scratch)[item]) for item in fresh)


@pytest.mark.parametrize("name", ["lora", "frozen"])
def test_text_encoders(fit, bert, tmp_path, name):
    encoder = {"class_path": name, "init_args": {"model": bert, "fields": ["item.title"], "max_length": 8, "whiten": True}}
    options = [f"--model.encoder={json.dumps(encoder)}", "--model.dynamics=ewma", "--model.dim=8", "--test_after_fit=false"]
    old = fit_best(fit, *options).model.state_dict()
    new = fit(f"--from_run={tmp_path / 'old'}", "--data.source.items=60", *UNTRAINED, folder="new").model.state_dict()
    assert [key for key in old if not torch.equal(old[key], new[key])] == []
    assert not list((tmp_path / "new" / "id_maps").glob("*"))


def test_a_resumed_run_equals_an_uninterrupted_one(fit, tmp_path):
    fit(*OPTIONS, steps=6, folder="old")
    more = [f"--from_run={tmp_path / 'old'}", "--data.source.items=60", "--data.batch_events=64", "--trainer.max_steps=-1"]
    whole = fit(*more, "--trainer.max_epochs=3", folder="whole").model.state_dict()
    fit(*more, "--trainer.max_epochs=1", folder="resumed")
    resumed = fit("--ckpt_path=last", "--trainer.max_epochs=3", "--trainer.max_steps=-1", *more[1:3], folder="resumed")
    assert all(torch.equal(whole[key], weight) for key, weight in resumed.model.state_dict().items())


def test_errors_are_one_line(fit, tmp_path, capsys):
    fit(*OPTIONS, steps=1, folder="old")
    source = f"--from_run={tmp_path / 'old'}"
    shop = ["--trainer.max_steps=1", "--trainer.accelerator=cpu", f"--run_dir={tmp_path / 'new'}"]
    assert "leave out the options that change the model" in error_of(capsys, source, "--model.dim=16", *shop)
    assert "is not a run" in error_of(capsys, f"--from_run={tmp_path / 'none'}", *shop)
    (tmp_path / "old" / "id_maps" / "id.parquet").unlink()
    assert "id.parquet does not exist" in error_of(capsys, source, *shop)
    (tmp_path / "old" / "checkpoints" / "best.ckpt").unlink()
    assert "best.ckpt does not exist" in error_of(capsys, source, *shop)
