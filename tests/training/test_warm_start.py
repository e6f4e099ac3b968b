"""`fit --from_run`: training goes on from the weights of a run, on another log."""

import json

import polars as pl
import pytest
import torch

from interestlab import load
from interestlab.cli.main import main, run

# No step: what was copied is what the run ends with.
UNTRAINED = ["--model.optim.lr=0", "--model.optim.peft.lr=0", "--model.optim.weight_decay=0", "--trainer.max_epochs=1"]
SHOP = ["--trainer.max_steps=1", "--trainer.accelerator=cpu"]
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
    return dict(zip(values, weight, strict=False))


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


def test_shuffled_ties_are_warned_of(fit, tmp_path, capsys):
    fit(*OPTIONS, "--data.ties=shuffle", steps=1, folder="old")
    assert "shuffled differently" not in capsys.readouterr().err
    fit(f"--from_run={tmp_path / 'old'}", steps=1, folder="new")
    assert "shuffled differently" in capsys.readouterr().err


def test_another_split_is_warned_of(fit, tmp_path, capsys):
    fit(*OPTIONS, steps=1, folder="old")
    fit(f"--from_run={tmp_path / 'old'}", "--data.split=global_time", steps=1, folder="new")
    assert "has split=leave_one_out and this run global_time" in capsys.readouterr().err


def test_new_values_start_as_in_a_training_from_scratch(fit, tmp_path):
    old = fit_best(fit, *OPTIONS)
    more = ["--data.source.items=60", "--data.source.seed=1", *UNTRAINED]
    scratch = fit(*OPTIONS, *more, folder="scratch")
    new = fit(f"--from_run={tmp_path / 'old'}", *more, folder="new")
    fresh = vectors(new).keys() - vectors(old).keys()
    assert fresh
    assert all(torch.equal(vectors(new)[item], vectors(scratch)[item]) for item in fresh)


def text_options(name, model):
    arguments = {"model": model, "fields": ["item.title"], "max_length": 8, "whiten": True}
    encoder = {"class_path": name, "init_args": arguments}
    return [f"--model.encoder={json.dumps(encoder)}", "--model.dynamics=ewma", "--model.dim=8", "--test_after_fit=false"]


@pytest.mark.parametrize("name", ["lora", "adalora", "frozen"])
def test_text_encoders(fit, bert, tmp_path, name):
    old = fit_best(fit, *text_options(name, bert)).model.state_dict()
    new = fit(f"--from_run={tmp_path / 'old'}", "--data.source.items=60", *UNTRAINED, folder="new").model.state_dict()
    tensors = {key: value for key, value in old.items() if isinstance(value, torch.Tensor)}
    assert [key for key, value in tensors.items() if not torch.equal(value, new[key])] == []
    assert not list((tmp_path / "new" / "id_maps").glob("*"))


def test_trained_layers_remain_where_they_are_frozen_now(fit, bert, tmp_path):
    old = fit_best(fit, *text_options("full", bert), "--model.optim.pretrained.lr=0.01").model
    new = fit(f"--from_run={tmp_path / 'old'}", *text_options("frozen", bert), *UNTRAINED, folder="new").model
    before, after = (dict(model.backbone.encoders["main"].named_parameters()) for model in (old, new))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    load(tmp_path / "new")  # its checkpoint contains them too


def test_another_text_model_is_refused(fit, bert, tmp_path, capsys):
    from transformers import AutoModel, AutoTokenizer

    fit(*text_options("frozen", bert), folder="old")
    other = AutoModel.from_pretrained(bert)
    torch.nn.init.normal_(other.embeddings.word_embeddings.weight)
    other.save_pretrained(tmp_path / "other")
    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path / "other")
    args = [*text_options("frozen", str(tmp_path / "other")), *SHOP, f"--run_dir={tmp_path / 'new'}"]
    assert "was trained from base weights" in error_of(capsys, f"--from_run={tmp_path / 'old'}", *args)
    assert not (tmp_path / "new" / "config.yaml").exists()


def test_tables_that_are_larger_than_their_values(fit, tmp_path):
    """The table of hours always has 24 rows, and the row of an hour depends on the hours that occur."""
    day = 1_700_006_400
    for name, hours in {"old": range(5, 12), "new": range(3, 14, 2)}.items():
        times = [day + 86_400 * e + 3_600 * hour for e, hour in enumerate(hours)]
        rows = [f"u{user},i{user % 5},{time}" for user in range(9) for time in times]
        (tmp_path / f"{name}.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    encoder = {"id": "id", "hour": {"class_path": "behaviour", "init_args": {"field": "event.hour"}}}
    options = ["--recipe=none", f"--model.encoder={json.dumps(encoder)}", "--model.fusion=gated", "--model.dynamics=ewma"]
    options += ["--model.objective=next_item", "--test_after_fit=false", "--trainer.accelerator=cpu", "--data.source=files"]
    old, new = tmp_path / "a", tmp_path / "b"
    run(["fit", *options, f"--data.source.interactions={tmp_path / 'old.csv'}", "--trainer.max_epochs=2", f"--run_dir={old}"])
    grown = f"--data.source.interactions={tmp_path / 'new.csv'}"
    cli = run(["fit", f"--from_run={old}", grown, *UNTRAINED, f"--run_dir={new}"])
    table = torch.load(old / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"][
        "backbone.encoders.hour.embed.weight"
    ]
    before = dict(zip(pl.read_parquet(old / "id_maps" / "hour.parquet")["value"], table, strict=False))
    after = vectors(cli, "hour", "embed")
    known = before.keys() & after.keys()
    assert len(known) == 4
    assert all(torch.equal(before[hour], after[hour]) for hour in known)


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
    shop = [*SHOP, f"--run_dir={tmp_path / 'new'}"]
    assert "leave out the options that change the model" in error_of(capsys, source, "--model.dim=16", *shop)
    assert "is not a run" in error_of(capsys, f"--from_run={tmp_path / 'none'}", *shop)
    (tmp_path / "old" / "id_maps" / "id.parquet").unlink()
    assert "id.parquet does not exist" in error_of(capsys, source, *shop)
    (tmp_path / "old" / "checkpoints" / "best.ckpt").unlink()
    assert "best.ckpt does not exist" in error_of(capsys, source, *shop)
