import copy
import pickle

import pytest
import torch

from interestlab.batch import Inputs
from interestlab.testing import pad_rows
from interestlab_encoders.text import Frozen, Full, TextEncoder

TEXTS = ["strings for a guitar", "", "red"]


def build_encoder(cls, model, **arguments):
    encoder = cls(model=model, **arguments)
    encoder.build({}, dim=8)
    return encoder


def train_step(encoder):
    """Run one step of gradient descent and return the names of the changed parameters."""
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    vectors = encoder(pad_rows(encoder.preprocess(TEXTS)))
    (vectors * torch.randn_like(vectors)).sum().backward()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter -= parameter.grad
    return {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("model", ["bert", "gpt"])
def test_full_trains_every_weight(model, request):
    encoder = build_encoder(Full, request.getfixturevalue(model), dropout=0.0).train()
    assert {name for name, _ in encoder.named_parameters()} <= train_step(encoder)


def test_checkpointing_does_not_change_gradients(bert):
    torch.manual_seed(0)
    gradients = []
    for checkpointing in (False, True):
        encoder = build_encoder(Full, bert, dropout=0.0, gradient_checkpointing=checkpointing).train()
        encoder(pad_rows(encoder.preprocess(TEXTS))).square().sum().backward()
        gradients.append([p.grad for p in encoder.parameters()])
    torch.testing.assert_close(*gradients)


def test_full_starts_in_training_mode(bert):
    encoder = build_encoder(Full, bert, dropout=0.3)
    assert all(module.training for module in encoder.modules())
    assert {m.p for m in encoder.modules() if isinstance(m, torch.nn.Dropout)} == {0.3}


def test_frozen_is_constant(bert):
    encoder = build_encoder(Frozen, bert).train()
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder.pretrained_model.training
    inputs = pad_rows(encoder.preprocess(TEXTS))
    vectors = encoder(inputs)
    assert not vectors.requires_grad
    assert torch.equal(vectors, encoder(inputs))


def test_a_subclass_selects_the_trained_parameters(bert):
    class FirstLayer(TextEncoder):
        def adapt(self, pretrained_model):
            pretrained_model.requires_grad_(False)
            pretrained_model.encoder.layer[0].requires_grad_(True)
            return pretrained_model

    encoder = build_encoder(FirstLayer, bert)
    trained = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert trained
    assert all(name.startswith("pretrained_model.encoder.layer.0.") for name in trained)


def test_values_in_the_padding_do_not_matter(bert):
    encoder = build_encoder(Frozen, bert)
    inputs = pad_rows(encoder.preprocess(TEXTS))
    other = Inputs(torch.where(inputs.mask, inputs.values, 7), inputs.lengths)
    torch.testing.assert_close(encoder(inputs), encoder(other))


def test_normalize_gives_unit_vectors(bert):
    encoder = build_encoder(Frozen, bert, normalize=True)
    torch.testing.assert_close(encoder(pad_rows(encoder.preprocess(TEXTS))).norm(dim=-1), torch.ones(3))


@pytest.mark.parametrize("model", ["bert", "gpt"])
def test_max_length_is_limited_by_the_model(model, request):
    folder = request.getfixturevalue(model)
    Frozen(model=folder, max_length=80)
    with pytest.raises(ValueError, match="max_length=81 is more than the 80 tokens"):
        Frozen(model=folder, max_length=81)


def test_can_be_copied_and_pickled(bert):
    encoder = build_encoder(Frozen, bert)
    inputs = pad_rows(encoder.preprocess(TEXTS))
    for copied in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert torch.equal(copied(inputs), encoder(inputs))
        assert (copied.preprocess(TEXTS)[0] == encoder.preprocess(TEXTS)[0]).all()
