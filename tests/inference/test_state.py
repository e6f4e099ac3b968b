"""User states and their updates."""

from copy import deepcopy

import pytest
import torch

from interestlab.inference.featurize import EventFeaturizer
from interestlab.registry import DYNAMICS


def assert_same_state(one, other, tolerance=0.0):
    torch.testing.assert_close(one.dynamics_state, other.dynamics_state, atol=tolerance, rtol=0)
    assert (one.last_time, one.history_items, one.num_events) == (other.last_time, other.history_items, other.num_events)


@pytest.mark.parametrize("dynamics", DYNAMICS.names())
def test_updates_equal_the_state_of_the_full_history(recommender_for, histories, dynamics):
    recommender = recommender_for(dynamics)
    history = max(histories(recommender).values(), key=len)[: recommender.data.max_history]
    state = recommender.state([])
    for event in history:
        before = deepcopy(state)
        after = recommender.update(state, event)
        assert_same_state(state, before)
        assert_same_state(recommender.update(state, event), after)
        state = after
    assert_same_state(state, recommender.state(history))
    assert recommender.recommend(state).equals(recommender.recommend(history))


def test_updates_with_event_signals(recommender_for, histories):
    recommender = recommender_for("events")
    history = max(histories(recommender).values(), key=len)[: recommender.data.max_history]
    history[3] = history[3] | {"timestamp": None}
    state = recommender.state([])
    for event in history:
        state = recommender.update(state, event)
    # Texts of equal length are encoded in one batch, which changes the rounding.
    assert_same_state(state, recommender.state(history), 1e-6)


def test_an_update_runs_one_step_and_encodes_one_event(recommender_for, histories, monkeypatch):
    recommender = recommender_for("events")
    calls = {"steps": 0, "events": 0}
    dynamics = type(recommender.model.backbone.dynamics)
    step, events = dynamics.step, EventFeaturizer.embed_events

    elapsed_days = []

    def counted_step(self, state, x, dt):
        calls["steps"] += 1
        elapsed_days.append(dt.item())
        return step(self, state, x, dt)

    def counted_events(self, new_events, since):
        calls["events"] += len(new_events)
        return events(self, new_events, since)

    monkeypatch.setattr(dynamics, "step", counted_step)
    monkeypatch.setattr(EventFeaturizer, "embed_events", counted_events)
    history = max(histories(recommender).values(), key=len)
    state = recommender.state(history)
    assert calls == dict.fromkeys(calls, recommender.data.max_history)
    assert elapsed_days[0] == 0  # although the history has earlier events
    assert max(elapsed_days) > 0
    for event in history * 2:
        calls.update(steps=0, events=0)
        state = recommender.update(state, event)
        assert calls == {"steps": 1, "events": 1}
    assert state.num_events == recommender.data.max_history + 2 * len(history)


def test_without_times_no_time_passes(recommender_for):
    recommender = recommender_for("momentum")
    items = ["i00001", "i00002", "i00003"]
    without_times = recommender.state(items)
    assert without_times.last_time is None
    at_once = recommender.state([{"item_id": item, "timestamp": 1_700_000_000} for item in items])
    torch.testing.assert_close(without_times.dynamics_state, at_once.dynamics_state, atol=0, rtol=0)
    later = recommender.state([{"item_id": item, "timestamp": 1_700_000_000 + i * 10**7} for i, item in enumerate(items)])
    assert not torch.equal(later.dynamics_state.z, at_once.dynamics_state.z)


def test_negative_elapsed_time_counts_as_zero(recommender_for):
    recommender = recommender_for("momentum")
    negative, zero = (
        recommender.state([{"item_id": "i00001", "timestamp": 1_700_000_000}, {"item_id": "i00002", "timestamp": time}])
        for time in (1_600_000_000, 1_700_000_000)
    )
    torch.testing.assert_close(negative.dynamics_state, zero.dynamics_state, atol=0, rtol=0)
