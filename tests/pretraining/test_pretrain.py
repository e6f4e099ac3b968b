"""Pretraining: the loss falls, and what it writes is a model that every text encoder reads."""

import pytest
import torch
from safetensors.torch import load_file

from interestlab import encoders
from interestlab.errors import DataError, TrainingError
from interestlab.pretraining.base import load_masked_lm

TEXTS = ("red lamp", "soft rug")
METHODS = ["frozen", "full", "static", "bitfit", "adapter", "lora", "adalora", "ia3", "side"]
CASES = [
    ("mlm", "full"),
    ("contrastive", "lora"),
    ("denoising", "full"),
    pytest.param("mlm", "lora", marks=pytest.mark.slow),
    pytest.param("contrastive", "full", marks=pytest.mark.slow),
    pytest.param("denoising", "lora", marks=pytest.mark.slow),
]


def weights(folder):
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(("objective", "train"), CASES)
def test_the_held_out_loss_falls_and_the_vectors_change(run_pretrain, embed, masked_bert, objective, train):
    folder, metrics = run_pretrain(objective=objective, train=train, steps=30, batch_tokens=1024)
    assert metrics["steps"] == 30
    assert metrics["after"]["heldout/loss"] < metrics["before"]["heldout/loss"]
    assert ("heldout/perplexity" in metrics["after"]) == (objective != "contrastive")
    assert metrics["fingerprint"]["text"] == "event.text"
    assert not torch.allclose(embed(folder, *TEXTS), embed(masked_bert, *TEXTS), atol=1e-3)
    names = {file.name for file in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "metrics.json", "metrics.jsonl"}
    assert not any(name.startswith("adapter") for name in names)


@pytest.fixture(scope="module")
def pretrained(shop, settings, tmp_path_factory):
    from interestlab.pretraining.run import pretrain

    folder = tmp_path_factory.mktemp("module") / "model"
    pretrain(settings(steps=3), shop, folder, {"enable_progress_bar": False, "accelerator": "cpu"})
    return folder


@pytest.mark.parametrize("name", METHODS)
def test_every_text_encoder_reads_the_folder(pretrained, embed, name):
    assert set(METHODS) <= set(dir(encoders))
    vectors = embed(pretrained, *TEXTS, name=name)
    assert vectors.isfinite().all()
    if name in ("frozen", "full", "lora"):
        assert torch.allclose(vectors, embed(pretrained, *TEXTS), atol=1e-6)


def test_the_folder_keeps_a_head_that_is_tied_to_the_embeddings(pretrained):
    model, new = load_masked_lm(pretrained)
    assert not new
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_equal_seeds_give_equal_weights(run_pretrain):
    folders = [run_pretrain(out=f"{seed}{i}", seed=seed, steps=2)[0] for i, seed in enumerate((0, 0, 1))]
    first, again, other = map(weights, folders)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_early_stopping_keeps_the_weights_of_the_lowest_loss(run_pretrain):
    from interestlab.training.optimizers import Optim, Rates

    diverging = Optim(lr=0.3, pretrained=Rates(lr=0.3))
    _, metrics = run_pretrain(optim=diverging, epochs=4, patience=2, check_every=1)
    _, trained_on = run_pretrain(out="other", optim=diverging, steps=metrics["steps"])
    assert metrics["after"] == pytest.approx(trained_on["after"], rel=1e-4)


def test_files_of_another_kind_are_never_replaced(shop, settings, tmp_path):
    from interestlab.pretraining.run import pretrain

    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(DataError, match="contains files that pretrain did not write"):
        pretrain(settings(base="nowhere"), shop, tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").exists()


def test_a_last_step_that_diverges_leaves_no_model(run_pretrain, tmp_path):
    from interestlab.training.optimizers import Optim, Rates

    with pytest.raises(TrainingError, match="the held-out loss after training is nan; lower"):
        run_pretrain(optim=Optim(lr=1e30, pretrained=Rates(lr=1e30)), steps=1)
    assert not list(tmp_path.iterdir())


def test_mixed_precision_and_a_new_run_from_a_pretrained_folder(shop, settings, pretrained, tmp_path):
    from interestlab.pretraining.run import pretrain

    options = {"enable_progress_bar": False, "accelerator": "cpu", "precision": "bf16-mixed"}
    metrics = pretrain(settings(base=str(pretrained), steps=2), shop, tmp_path / "again", options)
    assert not metrics["new_head"]
    assert weights(tmp_path / "again")["bert.embeddings.word_embeddings.weight"].dtype == torch.float32
