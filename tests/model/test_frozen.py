"""The frozen model equals the backbone and is independent of it."""

import copy

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from interestlab import dynamics, encoders, fusion, objectives, sources
from interestlab.data.datamodule import InterestData
from interestlab.errors import PluginError
from interestlab.model.frozen import FrozenModel, detached_copy, embed_all_values, freeze, look_up, to_tensor
from interestlab.training.lightning_module import InterestModel

QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture
def trained(tmp_path):
    """Return a model that reads ids, brands and event types, after two training steps, and its data."""
    torch.manual_seed(0)
    data = InterestData(sources.simulated(users=20, items=32, events=6), max_history=5, cache_dir=str(tmp_path))
    streams = {"id": encoders.id(), "brand": encoders.id(field="item.brand"), "kind": encoders.behaviour(field="event.event")}
    model = InterestModel(
        streams,
        dynamics.gru(dim=8),
        objectives.next_item(),
        data.cardinalities,
        fusion=fusion.attention(dim=8),
        dim=8,
    )
    Trainer(max_steps=2, enable_checkpointing=False, limit_val_batches=0, **QUIET).fit(model, data)
    return model.eval(), data


def read_batch(model, data):
    batch = next(iter(data.loader("test")))
    rows = batch.event_index.numpy()
    streams = model.backbone.event_streams
    return batch, {s.name: to_tensor(model.backbone.features[s.name].codes[rows], batch.items.device) for s in streams}


def test_frozen_model_equals_the_backbone(trained):
    model, data = trained
    frozen, backbone = freeze(model.backbone), model.backbone
    batch, codes = read_batch(model, data)
    with torch.no_grad():
        items = backbone.embed_items(np.arange(backbone.num_items))
        states = backbone(backbone.embed_events(batch, items[batch.items]), batch.dt, batch.mask)
    last = states[torch.arange(len(states)), batch.mask.sum(1) - 1]
    assert frozen.items.dtype == frozen.last_user_state(batch, codes).dtype == torch.float64
    torch.testing.assert_close(frozen.items.float(), items, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(frozen.last_user_state(batch, codes).float(), last, rtol=1e-5, atol=1e-5)


def test_steps_equal_the_state_of_the_full_history(trained):
    model, data = trained
    frozen = freeze(model.backbone)
    batch, codes = read_batch(model, data)
    expected = frozen.last_user_state(batch, codes)
    events = frozen.embed_events(batch.items, codes)
    for user in range(3):
        state = frozen.init_state(1)
        for t in range(int(batch.mask[user].sum())):
            state, _ = frozen.step(state, events[user, t : t + 1], batch.dt[user, t : t + 1].double())
        torch.testing.assert_close(frozen.normalize(frozen.readout(state))[0], expected[user], rtol=0, atol=1e-9)


def test_state_dict_and_spec_rebuild_an_equal_model(trained, tmp_path):
    model, data = trained
    frozen = freeze(model.backbone)
    batch, codes = read_batch(model, data)
    torch.save({"spec": frozen.spec, "state": frozen.state_dict()}, tmp_path / "frozen.pt")
    file = torch.load(tmp_path / "frozen.pt", weights_only=True)
    rebuilt = FrozenModel.from_state_dict(file["spec"], file["state"])
    interests = frozen.last_user_state(batch, codes)
    assert torch.equal(rebuilt.last_user_state(batch, codes), interests)
    items, scores = frozen.top_k(interests, batch.history_items, 5)
    other_items, other_scores = rebuilt.top_k(interests, batch.history_items, 5)
    assert torch.equal(items, other_items)
    assert torch.equal(scores, other_scores)
    torch.testing.assert_close(scores, frozen.score(interests).float().gather(1, items), rtol=0, atol=0)


def test_a_spec_without_a_plugin_is_reported_in_one_line(trained):
    frozen = freeze(trained[0].backbone)
    for path in ("os.system", "interestlab.dynamics.nothing"):
        with pytest.raises(PluginError, match="cannot be built") as error:
            FrozenModel.from_state_dict(frozen.spec | {"dynamics": {"class_path": path}}, frozen.state_dict())
        assert "\n" not in str(error.value)


def test_freezing_copies_the_weights_and_does_not_change_them(trained):
    model, _ = trained
    before = copy.deepcopy(model.backbone.state_dict())
    frozen = freeze(model.backbone)
    with torch.no_grad():
        for tensor in (*frozen.parameters(), *frozen.buffers()):
            tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.backbone.state_dict().items())
    assert any(p.requires_grad for p in model.backbone.dynamics.parameters())
    assert not any(p.requires_grad for p in frozen.parameters())


def test_copies_leave_the_trainer_and_gradients_behind(trained):
    part = trained[0].backbone.dynamics
    assert part._trainer is not None
    part.remembered = next(part.parameters()).sum()  # part of a graph, which torch does not copy
    copied = detached_copy(part)
    assert copied._trainer is None
    assert not copied.remembered.requires_grad
    assert part._trainer is not None


def test_event_streams_need_their_values(trained):
    backbone = trained[0].backbone
    frozen = freeze(backbone, embed_all_values(backbone, backbone.item_streams))
    assert list(frozen.values.buffers()) == []
    with pytest.raises(AttributeError, match="kind"):
        frozen.embed_events(torch.tensor([0]), {"kind": torch.tensor([0])})


def test_missing_values_are_zeros():
    vectors, present = look_up(torch.tensor([[1.0, -2.0], [3.0, 4.0]]), torch.tensor([[1, -1], [0, 1]]))
    assert vectors.tolist() == [[[3.0, 4.0], [0.0, 0.0]], [[1.0, -2.0], [3.0, 4.0]]]
    assert present.tolist() == [[True, False], [True, True]]
