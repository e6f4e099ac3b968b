"""The interest after every event, and what it implies."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab import load
from interestlab.drift.decomposition import decompose
from interestlab.drift.interests import taxonomy_interests
from interestlab.drift.model.implied import expected, implied, implied_shares, last_events_changed
from interestlab.drift.model.scale import logit_scale
from interestlab.drift.model.trajectory import ModelView, velocity
from interestlab.drift.session_log import build_session_log
from interestlab.registry import OBJECTIVES

DYNAMICS = ["ewma", "momentum", "multi_interest", "ode"]
KEPT = {}


@pytest.fixture
def shop(fit, tmp_path_factory):
    """A trained model by its dynamics; some histories are longer than it reads."""

    def go(name, *options):
        if (name, *options) not in KEPT:
            folder = tmp_path_factory.mktemp(name)
            given = [f"--model.dynamics={name}", "--test_after_fit=false", "--data.source.events=14", "--model.dim=8"]
            encoder = [] if options else ["--model.encoder=id"]
            fit(*given, *encoder, *options, steps=2, folder=str(folder))
            KEPT[name, *options] = load(folder)
        return KEPT[name, *options]

    return go


@pytest.fixture
def signals():
    return (
        '--model.encoder={"id": "id", "what": {"class_path": "behaviour", "init_args": {"field": "event.event"}}}',
        "--model.fusion=gated",
    )


def told(recommender, rows):
    """Events as a source tells them."""
    log = recommender.data.log
    frame = log.events.collect()[rows]
    ids = log.items["item_id"].gather(frame["item"])
    return [
        {"item_id": item, "timestamp": int(time), "event": kind}
        for item, time, kind in zip(ids, log.time[rows], frame["event"], strict=True)
    ]


def all_of(model, data, users=None):
    stretches = list(ModelView.from_model(model, data).trajectory(users))
    rows = np.concatenate([s.rows for s in stretches])
    order = np.argsort(rows)
    return rows[order], torch.cat([s.z for s in stretches])[torch.from_numpy(order)]


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_z_is_the_state_after_each_event(shop, dynamics):
    recommender = shop(dynamics)
    log, model = recommender.data.log, recommender.model
    rows, z = all_of(model, recommender.data)
    assert rows.tolist() == list(range(len(log.item)))
    lengths = np.diff(log.offsets)
    assert lengths.max() > recommender.data.max_history
    for user in (int(lengths.argmax()), int(lengths.argmin())):
        first, last = log.offsets[user : user + 2]
        for end in {first, first + 1, last - 2, last - 1} & set(range(first, last)):
            state = recommender.state(told(recommender, np.arange(first, end + 1)))
            expected_z = recommender.frozen.readout(state.dynamics_state)[0]
            torch.testing.assert_close(z[end], expected_z, atol=1e-6, rtol=0)


def test_of_events_with_streams_of_their_own_too(shop, signals):
    recommender = shop("momentum", *signals)
    log = recommender.data.log
    user = int(np.diff(log.offsets).argmax())
    rows, z = all_of(recommender.model, recommender.data, np.array([user]))
    state = recommender.state(told(recommender, rows))
    torch.testing.assert_close(z[-1], recommender.frozen.readout(state.dynamics_state)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_a_state_drifts_to_the_moment_that_is_asked_about(shop, dynamics):
    recommender = shop(dynamics)
    log, seen = recommender.data.log, ModelView.from_model(recommender.model, recommender.data)
    user = int(np.diff(log.offsets).argmax())
    rows = np.arange(*log.offsets[user : user + 2])
    later = int(log.time[rows[-1]]) + 40 * 86_400
    state = recommender.state(told(recommender, rows))
    found = recommender.frozen.normalize(seen.states(rows[-1:], np.array([later])))
    torch.testing.assert_close(found, recommender._interest(state, later), atol=1e-6, rtol=0)
    still = seen.states(rows[-1:])
    moved = not torch.allclose(seen.states(rows[-1:], np.array([later])), still)
    assert moved == (dynamics == "ode")


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_later_events_change_no_earlier_interest(shop, dynamics, monkeypatch):
    recommender = shop(dynamics)
    log = recommender.data.log
    user = int(np.diff(log.offsets).argmax())
    first, last = log.offsets[user : user + 2]
    _, before = all_of(recommender.model, recommender.data, np.array([user]))
    changed, cut = np.array(log.item), last - 3
    changed[cut:last] = (changed[cut:last] + 7) % len(log.items)
    monkeypatch.setattr(log, "item", changed)
    _, after = all_of(recommender.model, recommender.data, np.array([user]))
    torch.testing.assert_close(after[: cut - first], before[: cut - first], atol=0, rtol=0)
    assert not torch.allclose(after[cut - first :], before[cut - first :])


def test_the_order_of_the_users_does_not_matter(shop):
    recommender = shop("ode")
    users = np.random.default_rng(0).permutation(30)
    rows, z = all_of(recommender.model, recommender.data, users)
    again, same = all_of(recommender.model, recommender.data)
    np.testing.assert_array_equal(rows, again)
    torch.testing.assert_close(z, same, atol=1e-12, rtol=0)
    assert not list(ModelView.from_model(recommender.model, recommender.data).trajectory(np.array([], np.int64)))


def test_a_shuffled_history_is_read_in_another_order_the_last_event_among_it(shop):
    recommender = shop("momentum")
    seen, last = ModelView.from_model(recommender.model, recommender.data), np.asarray(recommender.data.log.offsets)[1:] - 1
    plain, one, same, other = (seen.states(last, shuffle=seed) for seed in (None, 1, 1, 2))
    torch.testing.assert_close(one, same, atol=0, rtol=0)
    assert not torch.allclose(one, plain)
    assert not torch.allclose(one, other)


def test_velocity_is_the_step_and_the_step_for_each_day():
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0], [1.0, 1.0], [1.0, 2.0]])
    users, times = np.array([0, 0, 0, 1, 1]), np.array([0, 2 * 86_400, 3 * 86_400, 0, 60])
    found = velocity(z, users, times)
    np.testing.assert_allclose(found.event, [np.nan, 5, 0, np.nan, 1])
    np.testing.assert_allclose(found.day, [np.nan, 2.5, 0, np.nan, 24])
    several = velocity(torch.stack([z, z], 1), users, times)
    np.testing.assert_allclose(several.event, found.event)


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 30), st.sampled_from([0, 3]), st.floats(0.1, 50))
def test_shares_add_up_to_one_and_are_sums_of_a_softmax(seed, count, items, several, factor):
    rng = np.random.default_rng(seed)
    z = torch.from_numpy(rng.normal(size=(5, several, 6) if several else (5, 6)))
    table, of = torch.from_numpy(rng.normal(size=(items, 6))), rng.integers(-1, count, items)
    of[0] = 0
    vectors = rng.normal(size=(items, 3))
    shares = implied_shares(z, table, of, count, [factor])[0]
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-12)
    scores = z @ table.T if not several else (z @ table.T).amax(1)
    p = torch.where(torch.from_numpy(of >= 0), scores * factor, -torch.inf).softmax(1).numpy()
    np.testing.assert_allclose(shares, np.stack([p[:, of == k].sum(1) for k in range(count)], 1), atol=1e-4)
    told = implied(z, table, of, count, vectors, factor)
    np.testing.assert_allclose(told.shares, shares, atol=1e-12)
    mean = (told.shares[..., None] * told.centroids).sum(1)
    np.testing.assert_allclose(mean, p @ vectors, atol=1e-3)
    np.testing.assert_allclose(expected(z, table, of, count, vectors, factor), mean, atol=1e-4)


@pytest.mark.parametrize("name", ["next_item", "interest", "bpr"])
def test_the_scale_is_the_one_of_the_training(name):
    assert logit_scale(OBJECTIVES.load(name)(temperature=0.5)) == pytest.approx(2)


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_what_the_last_events_changed_is_migration_and_evolution(shop, dynamics):
    recommender = shop(dynamics)
    log, seen = recommender.data.log, ModelView.from_model(recommender.model, recommender.data)
    held = taxonomy_interests(
        build_session_log(log), np.random.default_rng(0).normal(size=(len(log.items), 4)).astype(np.float32)
    )
    users = np.arange(len(log.users))[::-1]
    found = last_events_changed(seen, held, users, 3)
    assert found.users.tolist() == [user for user in users if np.diff(log.offsets)[user] > 3]
    user = found.users[0]
    last = np.asarray(log.offsets)[user + 1] - 1
    factor = seen.logit_scale
    now, then = (
        implied(recommender.frozen.normalize(z), seen.catalogue, held.item_interest, len(held), held.vectors, factor)
        for z in (seen.states(np.array([last])), seen.states(np.array([last - 3]), np.array([log.time[last]])))
    )
    np.testing.assert_allclose(found.before[0], then.shares[0], atol=1e-6)
    np.testing.assert_allclose(found.after[0], now.shares[0], atol=1e-6)
    parts = decompose(then.shares[0], then.centroids[0], now.shares[0], now.centroids[0])
    np.testing.assert_allclose(found.migration[0], parts.migration, atol=1e-5)
    change = (now.shares[..., None] * now.centroids).sum(1) - (then.shares[..., None] * then.centroids).sum(1)
    np.testing.assert_allclose(found.migration[0] + found.evolution[0], change[0], atol=1e-5)
    assert np.abs(found.migration).max() > 0
