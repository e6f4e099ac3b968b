"""The interest state after every event, and the shares that it implies."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab import load
from interestlab.drift.decomposition import decompose
from interestlab.drift.interests import taxonomy_interests
from interestlab.drift.model.implied import expected, implied, implied_shares, last_events_changed
from interestlab.drift.model.velocity import velocity
from interestlab.drift.session_log import build_session_log
from interestlab.inference.logit_scale import logit_scale
from interestlab.inference.trajectory import ModelView
from interestlab.registry import OBJECTIVES

DYNAMICS = ["ewma", "momentum", "multi_interest", "ode"]
CACHE = {}


@pytest.fixture
def trained(fit, tmp_path_factory):
    """Return a function that trains a model with a dynamics; some histories are longer than its maximum."""

    def train(name, *options):
        if (name, *options) not in CACHE:
            folder = tmp_path_factory.mktemp(name)
            arguments = [f"--model.dynamics={name}", "--test_after_fit=false", "--data.source.events=14", "--model.dim=8"]
            encoder = [] if options else ["--model.encoder=id"]
            fit(*arguments, *encoder, *options, steps=2, folder=str(folder))
            CACHE[name, *options] = load(folder)
        return CACHE[name, *options]

    return train


@pytest.fixture
def signals():
    return (
        '--model.encoder={"id": "id", "what": {"class_path": "behaviour", "init_args": {"field": "event.event"}}}',
        "--model.fusion=gated",
    )


def input_events(recommender, rows):
    """Events in the form that `Recommender.state` reads."""
    log = recommender.data.log
    frame = log.events.collect()[rows]
    ids = log.items["item_id"].gather(frame["item"])
    return [
        {"item_id": item, "timestamp": int(time), "event": kind}
        for item, time, kind in zip(ids, log.time[rows], frame["event"], strict=True)
    ]


def full_trajectory(model, data, users=None):
    parts = list(ModelView.from_model(model, data).trajectory(users))
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows)
    return rows[order], torch.cat([part.z for part in parts])[torch.from_numpy(order)]


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_z_is_the_state_after_each_event(trained, dynamics):
    recommender = trained(dynamics)
    log, model = recommender.data.log, recommender.model
    rows, z = full_trajectory(model, recommender.data)
    assert rows.tolist() == list(range(len(log.item)))
    lengths = np.diff(log.offsets)
    assert lengths.max() > recommender.data.max_history
    for user in (int(lengths.argmax()), int(lengths.argmin())):
        first, last = log.offsets[user : user + 2]
        for end in {first, first + 1, last - 2, last - 1} & set(range(first, last)):
            state = recommender.state(input_events(recommender, np.arange(first, end + 1)))
            expected_z = recommender.frozen.readout(state.dynamics_state)[0]
            torch.testing.assert_close(z[end], expected_z, atol=1e-6, rtol=0)


def test_z_is_the_state_after_each_event_with_event_streams(trained, signals):
    recommender = trained("momentum", *signals)
    log = recommender.data.log
    user = int(np.diff(log.offsets).argmax())
    rows, z = full_trajectory(recommender.model, recommender.data, np.array([user]))
    state = recommender.state(input_events(recommender, rows))
    torch.testing.assert_close(z[-1], recommender.frozen.readout(state.dynamics_state)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_a_state_advances_to_the_requested_time(trained, dynamics):
    recommender = trained(dynamics)
    log, view = recommender.data.log, ModelView.from_model(recommender.model, recommender.data)
    user = int(np.diff(log.offsets).argmax())
    rows = np.arange(*log.offsets[user : user + 2])
    later = int(log.time[rows[-1]]) + 40 * 86_400
    state = recommender.state(input_events(recommender, rows))
    advanced = recommender.frozen.normalize(view.states(rows[-1:], np.array([later])))
    torch.testing.assert_close(advanced, recommender._interest(state, later), atol=1e-6, rtol=0)
    current = view.states(rows[-1:])
    is_changed = not torch.allclose(view.states(rows[-1:], np.array([later])), current)
    assert is_changed == (dynamics == "ode")


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_later_events_do_not_change_earlier_states(trained, dynamics, monkeypatch):
    recommender = trained(dynamics)
    log = recommender.data.log
    user = int(np.diff(log.offsets).argmax())
    first, last = log.offsets[user : user + 2]
    _, before = full_trajectory(recommender.model, recommender.data, np.array([user]))
    changed, cut = np.array(log.item), last - 3
    changed[cut:last] = (changed[cut:last] + 7) % len(log.items)
    monkeypatch.setattr(log, "item", changed)
    _, after = full_trajectory(recommender.model, recommender.data, np.array([user]))
    torch.testing.assert_close(after[: cut - first], before[: cut - first], atol=0, rtol=0)
    assert not torch.allclose(after[cut - first :], before[cut - first :])


def test_the_order_of_the_users_does_not_matter(trained):
    recommender = trained("ode")
    users = np.random.default_rng(0).permutation(30)
    rows, z = full_trajectory(recommender.model, recommender.data, users)
    all_rows, all_z = full_trajectory(recommender.model, recommender.data)
    np.testing.assert_array_equal(rows, all_rows)
    torch.testing.assert_close(z, all_z, atol=1e-12, rtol=0)
    assert not list(ModelView.from_model(recommender.model, recommender.data).trajectory(np.array([], np.int64)))


def test_shuffling_reorders_the_history_including_the_last_event(trained):
    recommender = trained("momentum")
    view, last_rows = (
        ModelView.from_model(recommender.model, recommender.data),
        np.asarray(recommender.data.log.offsets)[1:] - 1,
    )
    unshuffled, shuffled, same, other = (view.states(last_rows, shuffle=seed) for seed in (None, 1, 1, 2))
    torch.testing.assert_close(shuffled, same, atol=0, rtol=0)
    assert not torch.allclose(shuffled, unshuffled)
    assert not torch.allclose(shuffled, other)


def test_velocity_is_the_distance_per_event_and_per_day():
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0], [1.0, 1.0], [1.0, 2.0]])
    users, times = np.array([0, 0, 0, 1, 1]), np.array([0, 2 * 86_400, 3 * 86_400, 0, 60])
    speed = velocity(z, users, times)
    np.testing.assert_allclose(speed.event, [np.nan, 5, 0, np.nan, 1])
    np.testing.assert_allclose(speed.day, [np.nan, 2.5, 0, np.nan, 24])
    multi_interest = velocity(torch.stack([z, z], 1), users, times)
    np.testing.assert_allclose(multi_interest.event, speed.event)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 30), st.sampled_from([0, 3]), st.floats(0.1, 50))
def test_shares_are_sums_of_a_softmax_and_add_up_to_one(seed, count, items, num_vectors, factor):
    rng = np.random.default_rng(seed)
    z = torch.from_numpy(rng.normal(size=(5, num_vectors, 6) if num_vectors else (5, 6)))
    table, item_interest = torch.from_numpy(rng.normal(size=(items, 6))), rng.integers(-1, count, items)
    item_interest[0] = 0
    vectors = rng.normal(size=(items, 3))
    shares = implied_shares(z, table, item_interest, count, [factor])[0]
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-12)
    scores = z @ table.T if not num_vectors else (z @ table.T).amax(1)
    p = torch.where(torch.from_numpy(item_interest >= 0), scores * factor, -torch.inf).softmax(1).numpy()
    np.testing.assert_allclose(shares, np.stack([p[:, item_interest == k].sum(1) for k in range(count)], 1), atol=1e-4)
    result = implied(z, table, item_interest, count, vectors, factor)
    np.testing.assert_allclose(result.shares, shares, atol=1e-12)
    mean = (result.shares[..., None] * result.centroids).sum(1)
    np.testing.assert_allclose(mean, p @ vectors, atol=1e-3)
    np.testing.assert_allclose(expected(z, table, item_interest, count, vectors, factor), mean, atol=1e-4)


@pytest.mark.parametrize("name", ["next_item", "interest", "bpr"])
def test_the_logit_scale_is_that_of_training(name):
    assert logit_scale(OBJECTIVES.load(name)(temperature=0.5)) == pytest.approx(2)


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_the_change_by_the_last_events_is_decomposed(trained, dynamics):
    recommender = trained(dynamics)
    log, view = recommender.data.log, ModelView.from_model(recommender.model, recommender.data)
    interests = taxonomy_interests(
        build_session_log(log), np.random.default_rng(0).normal(size=(len(log.items), 4)).astype(np.float32)
    )
    users = np.arange(len(log.users))[::-1]
    last_change = last_events_changed(view, interests, users, 3)
    assert last_change.users.tolist() == [user for user in users if np.diff(log.offsets)[user] > 3]
    user = last_change.users[0]
    last = np.asarray(log.offsets)[user + 1] - 1
    factor = view.logit_scale
    now, then = (
        implied(
            recommender.frozen.normalize(z), view.catalogue, interests.item_interest, len(interests), interests.vectors, factor
        )
        for z in (view.states(np.array([last])), view.states(np.array([last - 3]), np.array([log.time[last]])))
    )
    np.testing.assert_allclose(last_change.before[0], then.shares[0], atol=1e-6)
    np.testing.assert_allclose(last_change.after[0], now.shares[0], atol=1e-6)
    parts = decompose(then.shares[0], then.centroids[0], now.shares[0], now.centroids[0])
    np.testing.assert_allclose(last_change.migration[0], parts.migration, atol=1e-5)
    change = (now.shares[..., None] * now.centroids).sum(1) - (then.shares[..., None] * then.centroids).sum(1)
    np.testing.assert_allclose(last_change.migration[0] + last_change.evolution[0], change[0], atol=1e-5)
    assert np.abs(last_change.migration).max() > 0
