"""A state, and the events that move it on."""

from copy import deepcopy

import pytest
import torch

from interestlab.inference.featurize import EventFeaturizer
from interestlab.registry import DYNAMICS


def same(one, other, tolerance=0.0):
    torch.testing.assert_close(one.dynamics_state, other.dynamics_state, atol=tolerance, rtol=0)
    assert (one.last_time, one.history_items, one.num_events) == (other.last_time, other.history_items, other.num_events)


@pytest.mark.parametrize("dynamics", DYNAMICS.names())
def test_an_update_is_the_longer_history(shop, histories, dynamics):
    recommender = shop(dynamics)
    history = max(histories(recommender).values(), key=len)[: recommender.data.max_history]
    state = recommender.state([])
    for event in history:
        before = deepcopy(state)
        after = recommender.update(state, event)
        same(state, before)
        same(recommender.update(state, event), after)
        state = after
    same(state, recommender.state(history))
    assert recommender.recommend(state).equals(recommender.recommend(history))


def test_of_events_with_signals_too(shop, histories):
    recommender = shop("events")
    history = max(histories(recommender).values(), key=len)[: recommender.data.max_history]
    history[3] = history[3] | {"timestamp": None}
    state = recommender.state([])
    for event in history:
        state = recommender.update(state, event)
    # Texts of one length are encoded together, and rounded a little otherwise.
    same(state, recommender.state(history), 1e-6)


def test_an_update_costs_one_step_and_reads_one_event(shop, histories, monkeypatch):
    recommender = shop("events")
    calls = {"steps": 0, "events": 0}
    dynamics = type(recommender.model.backbone.dynamics)
    step, events = dynamics.step, EventFeaturizer.embed_events

    silences = []

    def counted_step(self, state, x, dt):
        calls["steps"] += 1
        silences.append(dt.item())
        return step(self, state, x, dt)

    def counted_events(self, told, since):
        calls["events"] += len(told)
        return events(self, told, since)

    monkeypatch.setattr(dynamics, "step", counted_step)
    monkeypatch.setattr(EventFeaturizer, "embed_events", counted_events)
    history = max(histories(recommender).values(), key=len)
    state = recommender.state(history)
    assert calls == dict.fromkeys(calls, recommender.data.max_history)
    assert silences[0] == 0  # though there were events before those that are read
    assert max(silences) > 0
    for event in history * 2:
        calls.update(steps=0, events=0)
        state = recommender.update(state, event)
        assert calls == {"steps": 1, "events": 1}
    assert state.num_events == recommender.data.max_history + 2 * len(history)


def test_without_times_no_time_passes(shop):
    recommender = shop("momentum")
    items = ["i00001", "i00002", "i00003"]
    timeless = recommender.state(items)
    assert timeless.last_time is None
    at_once = recommender.state([{"item_id": item, "timestamp": 1_700_000_000} for item in items])
    torch.testing.assert_close(timeless.dynamics_state, at_once.dynamics_state, atol=0, rtol=0)
    later = recommender.state([{"item_id": item, "timestamp": 1_700_000_000 + i * 10**7} for i, item in enumerate(items)])
    assert not torch.equal(later.dynamics_state.z, at_once.dynamics_state.z)


def test_a_clock_that_was_set_back_counts_as_no_time(shop):
    recommender = shop("momentum")
    back, still = (
        recommender.state([{"item_id": "i00001", "timestamp": 1_700_000_000}, {"item_id": "i00002", "timestamp": time}])
        for time in (1_600_000_000, 1_700_000_000)
    )
    torch.testing.assert_close(back.dynamics_state, still.dynamics_state, atol=0, rtol=0)
