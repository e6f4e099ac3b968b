"""The objectives and the trained weights, one by one."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from interestlab.batch import Inputs
from interestlab.errors import DataError
from interestlab.pretraining.base import open_base
from interestlab.pretraining.batches import Samples, fixed_loader, pad
from interestlab.pretraining.objectives import make_objective
from interestlab.pretraining.objectives.contrastive import Contrastive, PairBatch
from interestlab.pretraining.settings import Contrast, LowRank
from interestlab.pretraining.trained_weights import TrainedWeights

TEXTS = ["red lamp", "blue lamp of oak", "手 desk", "手机 手机 soft"]


@pytest.fixture
def base(masked_bert):
    return open_base(masked_bert, 24)


def objective_of(base, settings, name, **changes):
    torch.manual_seed(0)
    return make_objective(base, settings(objective=name, **changes)).eval()


def test_masked_tokens_are_predicted_and_unknown_ones_never(base, settings):
    objective = objective_of(base, settings, "mlm")
    batch = objective.collate(0)(np.zeros((40, 1)), [base.preprocess(TEXTS * 10)])
    predicted = batch.labels[batch.labels >= 0]
    assert len(predicted)
    assert not np.isin(predicted, objective.tokenizer.all_special_ids).any()
    # the loss of the predicted positions alone equals that of transformers, which computes all of them
    inputs = {"input_ids": batch.inputs.values, "attention_mask": batch.inputs.mask.long()}
    measured = objective(batch)
    objective._predicted = torch.ones_like(batch.labels, dtype=torch.bool)
    logits = objective.model(**inputs).logits[0]
    assert torch.allclose(measured.loss, F.cross_entropy(logits, batch.labels.flatten(), ignore_index=-100), atol=1e-5)


def test_the_held_out_masks_do_not_change(base, settings):
    objective = objective_of(base, settings, "mlm")
    samples = Samples(base.preprocess(TEXTS), np.arange(4)[:, None], objective.collate(0))
    loader = fixed_loader(samples, 64)
    first, second = ([batch.labels for batch in loader] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_batch_without_a_predicted_token_has_no_loss(base, settings):
    objective = objective_of(base, settings, "mlm")
    measured = objective(objective.collate(0)(np.zeros((1, 1)), [base.preprocess(["手机"])]))
    assert measured.loss.item() == 0.0
    measured.loss.backward()


def test_in_batch_negatives_exclude_texts_of_the_pair(base):
    objective = Contrastive(base, Contrast()).eval()
    rows = base.preprocess(["red lamp", "blue lamp", "soft rug", "oak desk"])

    def loss(pairs):
        first, second = np.array(pairs).T
        columns = [[rows[i] for i in column] for column in (first, second)]
        batch = PairBatch(*(pad(column, 0) for column in columns), torch.tensor(pairs))
        return objective(batch).loss.detach()

    first, second = (objective.embed(pad(rows[i : i + 2], 0)) for i in (0, 2))
    scores = first @ second.T / 0.05
    labels = torch.arange(2)
    expected = (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels)) / 2
    assert torch.allclose(loss([[0, 2], [1, 3]]), expected, atol=1e-5)
    # 2 is the positive of both pairs, so neither has a negative in that direction; 0 and 1 are negatives of each other
    assert loss([[0, 2], [0, 2]]) == pytest.approx(0.0, abs=1e-6)


def test_the_decoder_sees_the_text_through_one_vector(base, settings):
    objective = objective_of(base, settings, "denoising")
    shared = {id(p) for p in objective.trained.parameters()}
    own = [name for name, p in objective.decoder.named_parameters() if id(p) not in shared]
    assert own
    assert all("crossattention" in name or name.startswith("cls.") for name in own)
    batch = objective.collate(0)(np.zeros((4, 1)), [base.preprocess(TEXTS)])
    assert (batch.noisy.lengths < batch.inputs.lengths).any()
    assert (batch.noisy.lengths > 2).all()  # a word is left besides the special tokens
    first = objective(batch).loss
    other = batch._replace(noisy=Inputs(batch.noisy.values.flip(0), batch.noisy.lengths.flip(0)))
    assert not torch.allclose(first, objective(other).loss)


@pytest.mark.parametrize("name", ["mlm", "contrastive", "denoising"])
def test_merged_updates_give_the_same_outputs(base, settings, name):
    objective = objective_of(base, settings, name)
    weights = TrainedWeights(objective, LowRank(r=4), known_tokens=10**6)
    trained = [n for n, p in objective.trained.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in n for n in trained)
    for n, p in objective.trained.named_parameters():
        if "lora_B" in n:
            nn.init.normal_(p, std=0.3)
    inputs = pad(base.preprocess(TEXTS), 0)
    objective._predicted = inputs.mask
    arguments = {"input_ids": inputs.values, "attention_mask": inputs.mask.long()}
    with torch.no_grad():
        before = objective.trained(**arguments).last_hidden_state
        weights.merge()
        after = objective.trained(**arguments).last_hidden_state
    assert torch.allclose(before, after, atol=1e-4)
    assert not any("lora" in n for n in objective.model_to_save().state_dict())


def test_low_rank_updates_leave_the_rows_of_known_tokens(base, settings):
    objective = objective_of(base, settings, "mlm")
    known = len(objective.tokenizer) - 2
    table = objective.trained.get_input_embeddings().weight
    weights = TrainedWeights(objective, LowRank(), known)
    before = table.detach().clone()
    optimizer = torch.optim.AdamW([p for group in weights.groups.values() for p in group], lr=0.1, weight_decay=0.0)
    objective(objective.collate(0)(np.zeros((8, 1)), [base.preprocess(TEXTS * 2)])).loss.backward()
    optimizer.step()
    assert torch.equal(table[:known], before[:known])
    assert not torch.equal(table[known:], before[known:])


def test_models_and_targets_that_do_not_fit_are_refused(base, settings, bert):
    with pytest.raises(DataError, match="no mask token"):
        make_objective(open_base(bert, 24), settings())
    with pytest.raises(DataError, match="lora: "):
        TrainedWeights(objective_of(base, settings, "contrastive"), LowRank(targets=["nothing"]), 10**6)
