"""The core without HTTP: states, lists, items, users and questions."""

import json
import random
import sqlite3
from collections import Counter

import msgspec
import pytest
import torch
from serving_events import ITEMS, START, as_mapping, event, walk

from interestlab import load
from interestlab.registry import DYNAMICS
from interestlab.serving.core.apply_events import apply_events
from interestlab.serving.core.change_items import put_item, retire_item
from interestlab.serving.core.ranking import Question
from interestlab.serving.core.recommend import recommend
from interestlab.serving.core.user_data import describe_user, erase_user
from interestlab.serving.core.what_if import what_if
from interestlab.serving.errors import ConflictError, NotFoundError
from interestlab.serving.exploration import explore, uniform_draw
from interestlab.serving.messages import Event, ImaginedEvent, ItemWords, LoggedEvent, WhatIf, event_body
from interestlab.serving.stepper import MAX_BATCH
from interestlab.serving.store.events import StoredEvent
from interestlab.serving.users import Users


def apply(core, events):
    """Apply events one by one, and return the status of each."""
    return [apply_events(core, [one])[0].status for one in events]


def ranked(core, user="u", k=10, **question):
    return recommend(core, [Question(user, k, **question)])[0]


def ids(answer):
    return [item.item_id for item in answer.items]


def scores(answer):
    return {item.item_id: item.score for item in answer.items}


def contents(file):
    with sqlite3.connect(file) as db:
        return list(db.iterdump())


def assert_agrees(core, recommender, history, user="u", at=None):
    """Check that the server gives the items and scores of ``Recommender``, up to the rounding of float32."""
    expected = recommender.recommend([as_mapping(one) for one in history], k=40, at=at)
    answer = ranked(core, user, k=40, at=at)
    assert answer.basis == "state"
    assert scores(answer) == pytest.approx(dict(zip(expected["item_id"], expected["score"], strict=True)), abs=2e-5)
    # The order may differ between items whose scores are that close.
    gaps = [a.score - b.score for a, b in zip(answer.items, answer.items[1:], strict=False)]
    assert min(gaps) >= 0
    assert torch.tensor(expected["score"].to_list()).sub(torch.tensor([i.score for i in answer.items])).abs().max() < 2e-5


# ---- states


def test_a_state_equals_that_of_the_recommender(core, recommender, signals_run):
    history = walk("u", 8)
    for n, one in enumerate(history, 1):
        assert apply(core, [one]) == ["applied"]
        assert_agrees(core, recommender(signals_run), history[:n])


@pytest.mark.slow
@pytest.mark.parametrize("dynamics", DYNAMICS.names())
def test_each_dynamics_is_served_as_it_was_trained(make_core, ids_run, dynamics):
    run = ids_run(dynamics)
    core, recommender, history = make_core(run), load(run), walk("u", 8)
    apply(core, history)
    assert_agrees(core, recommender, history)
    assert_agrees(core, recommender, history, at=START + 9_000_000)


def test_imported_users_have_the_state_of_the_batch_forward(make_core, signals_run):
    core, recommender = make_core(signals_run, imported=True), load(signals_run)
    (batch,) = recommender.data.loader("predict")
    recommender.model._set_frozen(recommender.model.freeze_catalogue())
    expected = recommender.model.last_user_state(batch)
    users = core.served.users.load(recommender.data.log.users.to_list())
    short = {i: users[recommender.data.log.users[u]] for i, u in enumerate(batch.users.tolist()) if batch.mask[i].sum() < 8}
    assert len(short) > 5  # longer histories are read from their last events on, by a rule of the server
    actual = core.served.model.stepper.user_states([user.state.tensors for user in short.values()], [0.0] * len(short))
    torch.testing.assert_close(actual, expected[list(short)].float(), atol=1e-5, rtol=0)


def check_bytes_in_any_batch(make_core, run):
    """Check that states have the same bytes when users are followed together, alone, and from the log."""
    users = [f"u{n}" for n in range(MAX_BATCH + 3)]
    histories = {user: walk(user, 27 if user in users[:2] else 1) for user in users}  # 27 > 3 * max_history: some start again
    together, alone = make_core(run, file="a.sqlite"), make_core(run, file="b.sqlite")
    for t in range(27):
        events = [histories[user][t] for user in users if t < len(histories[user])]
        for first in range(0, len(events), MAX_BATCH):
            apply_events(together, events[first : first + MAX_BATCH])
    for user in users:
        apply(alone, histories[user])
    states = [core.served.users.load(users) for core in (together, alone)]
    rebuilt = Users(together.served.model, together.store).rebuild({user: len(histories[user]) for user in users})
    assert {u: s.state.tensors for u, s in states[0].items()} == {u: s.state.tensors for u, s in states[1].items()}
    assert {u: s.state for u, s in states[0].items()} == rebuilt
    assert len({s.state.tensors for s in states[0].values()}) > MAX_BATCH / 2


def test_a_state_does_not_depend_on_the_batch(make_core, signals_run):
    check_bytes_in_any_batch(make_core, signals_run)


@pytest.mark.slow
@pytest.mark.parametrize("dynamics", DYNAMICS.names())
def test_each_dynamics_gives_the_same_bytes_in_any_batch(make_core, ids_run, dynamics):
    check_bytes_in_any_batch(make_core, ids_run(dynamics))


def test_states_of_a_log_are_built_before_the_first_request(make_core, signals_run, ids_run):
    core = make_core(signals_run, imported=True)
    users = core.store.events.all_counts()
    assert len(users) == 30
    core.served.users.build_all()
    assert core.store.states.all(core.served.model.version) == core.served.users.rebuild(users)
    windows = make_core(ids_run("transformer"), imported=True, file="other.sqlite")
    windows.served.users.build_all()
    assert windows.store.states.all(windows.served.model.version) == {}


def test_states_of_attention_are_not_stored(make_core, ids_run):
    core = make_core(ids_run("transformer"))
    apply(core, walk("u", 12))
    assert core.store.states.all(core.served.model.version) == {}
    before = ranked(core)
    core.served.users.forget("u")
    assert ranked(core) == before


# ---- events


def test_an_event_is_applied_once(core):
    history = walk("u", 4)
    apply(core, history)
    state = core.served.users.load(["u"])["u"].state
    again = apply_events(core, [history[1], event("other", "v")])
    assert [result.status for result in again] == ["duplicate", "applied"]
    assert core.served.users.load(["u"])["u"].state == state
    assert apply_events(core, [history[1]])[0].recommendations is None
    changed = event(history[1].event_id, "u", "i00009", history[1].timestamp, k=3)
    (result,) = apply_events(core, [changed])
    assert (result.status, result.recommendations) == ("conflict", None)
    # The number of items to recommend is not part of the event.
    (result,) = apply_events(core, [event(history[2].event_id, "u", history[2].item_id, history[2].timestamp, rating=2.5, k=2)])
    assert result.status == "duplicate"
    assert len(result.recommendations.items) == 2
    assert core.served.users.load(["u"])["u"].state == state


def test_a_late_event_moves_the_state_without_time(core):
    apply(core, [event("a", time=START + 5000), event("b", time=START + 9000, item="i00002")])
    (result,) = apply_events(core, [event("c", time=START, item="i00003")])
    assert result.status == "late"
    assert describe_user(core, "u").last_time == START + 9000
    late = core.served.users.load(["u"])["u"].state
    apply(core, [event(f"v{e}", "v", i, t) for e, i, t in [("a", "i00001", START + 5000), ("b", "i00002", START + 9000)]])
    apply(core, [event("vc", "v", "i00003", START + 9000)])
    at_once = core.served.users.load(["v"])["v"].state
    # The hour of the day is that of the event, so only a run without it would give the same bytes.
    assert late.num_events == at_once.num_events == 3
    assert late.last_time == at_once.last_time


def test_a_late_event_gives_the_bytes_of_one_at_once(make_core, ids_run):
    core = make_core(ids_run("transformer"))
    for user, time in (("u", START), ("v", START + 9000)):
        apply(core, [event(f"{user}a", user, "i00001", START + 5000), event(f"{user}b", user, "i00002", START + 9000)])
        apply(core, [event(f"{user}c", user, "i00003", time)])
    users = core.served.users.load(["u", "v"])
    assert users["u"].state == users["v"].state


def test_what_is_not_applied_leaves_no_trace(core):
    before = contents(core.store.file)
    results = apply_events(
        core,
        [
            event("a", "u", "unknown"),
            event("b", "v", columns={"colour": "red"}),
            event("c", "w", columns={"price": 3.0}),
            event("d", " "),
        ],
    )
    assert [result.status for result in results] == ["unknown_item", "invalid", "invalid", "invalid"]
    assert "PUT /v1/items" in results[0].error
    assert "no further column colour" in results[1].error
    assert contents(core.store.file) == before
    put_item(core, "unknown", ItemWords("Steel kettle"))
    assert apply(core, [event("a", "u", "unknown")]) == ["applied"]


def test_ids_are_read_without_white_space_as_in_a_log(core):
    apply(core, [event("a", " u ", " i00001 "), event("b", "u", "i00002", START + 5)])
    assert describe_user(core, "u").num_events == 2
    assert not {"i00001", "i00002"} & set(ids(ranked(core, " u", k=40)))


def test_a_restart_continues_with_the_same_bytes(make_core, signals_run):
    whole, first = make_core(signals_run, file="a.sqlite"), make_core(signals_run, file="b.sqlite")
    history = walk("u", 30)
    apply(whole, history)
    apply(first, history[:17])
    put_item(first, "new", ItemWords("Steel kettle"))
    retire_item(first, "i00007")
    first.store.close()
    second = make_core(signals_run, file="b.sqlite")
    apply(second, history[17:])
    assert second.store.states.all(second.served.model.version) == whole.store.states.all(whole.served.model.version)
    put_item(whole, "new", ItemWords("Steel kettle"))
    retire_item(whole, "i00007")
    assert ranked(second, k=40) == ranked(whole, k=40)


def test_a_failed_commit_changes_nothing(core, monkeypatch):
    apply(core, walk("u", 3))
    before, answer = contents(core.store.file), ranked(core)
    monkeypatch.setattr(core.store.states, "put", lambda *args: (_ for _ in ()).throw(sqlite3.OperationalError("disk full")))
    with pytest.raises(ValueError, match="disk full"):
        apply_events(core, walk("u", 1, start=3))
    monkeypatch.undo()
    assert contents(core.store.file) == before
    assert ranked(core) == answer
    assert apply(core, walk("u", 1, start=3)) == ["applied"]


def test_a_logged_event_may_be_longer_than_one_that_is_sent(core):
    long, body = "u" * 300, event_body(LoggedEvent("e" * 300, "u" * 300, "i00001", START, event="view" * 100))
    with pytest.raises(msgspec.ValidationError, match="length <= 200"):
        msgspec.json.decode(body, type=Event)
    with core.store.transaction():
        core.store.events.add([StoredEvent("e" * 300, long, 0, START, "i00001", body)])
    assert core.served.users.load([long])[long].is_known


# ---- lists


def test_every_list_names_its_basis(core):
    apply(core, walk("u", 2))
    lists = recommend(core, [Question("u", 5), Question("nobody", 5), Question("nobody", 5, words="warm lamp")])
    assert [answer.basis for answer in lists] == ["state", "popular", "words"]
    counts = core.served.model.data.log.counts
    assert [item.score for item in lists[1].items] == sorted(counts.tolist(), reverse=True)[:5]
    assert {answer.model for answer in lists} == {core.served.model.version}
    assert ids(lists[2]) != ids(lists[1])


def test_words_rank_as_an_event_of_such_an_item_does(core, recommender, signals_run):
    expected = recommender(signals_run).recommend([{"words": "warm lamp"}], k=40)
    answer = ranked(core, "nobody", k=40, words="warm lamp")
    # The recommender reads the default type of an event without one; the server knows of no event.
    assert [item.score for item in answer.items] == sorted((item.score for item in answer.items), reverse=True)
    assert set(ids(answer)) == set(expected["item_id"])


def test_a_run_of_ids_reads_no_words(make_core, ids_run):
    core = make_core(ids_run("transformer"))
    assert ranked(core, "nobody", words="warm lamp").basis == "popular"
    with pytest.raises(ValueError, match="ranks by ids alone"):
        put_item(core, "new", ItemWords("Steel kettle"))


def test_history_is_excluded_as_in_the_evaluation(core):
    history = walk("u", 6)
    apply(core, history)
    assert set(ids(ranked(core, k=40))) == set(ITEMS) - {one.item_id for one in history}


def test_the_online_hit_rate_counts_events_after_a_list(core):
    (result,) = apply_events(core, [event("a", k=3)])
    shown = ids(result.recommendations)
    apply(
        core, [event("b", item=shown[0], time=START + 1), event("c", item=shown[1], time=START + 2)]
    )  # the second had no list
    apply_events(core, [event("d", item=ITEMS[30], time=START + 3, k=1)])
    other = next(item for item in core.served.model.items.ids if item not in {*shown, *ids(ranked(core, k=1))})
    apply(core, [event("e", item=other, time=START + 4)])
    hits = {h: core.metrics.registry.get_sample_value("interestlab_events_after_list_total", {"hit": h}) for h in ("yes", "no")}
    assert hits == {"yes": 1, "no": 1}


def test_exposures_are_logged_with_their_propensities(make_core, signals_run):
    core = make_core(signals_run, log_exposure=True, explore=0.5, seed=1)
    apply(core, walk("u", 3))
    answer = ranked(core, k=5)
    with sqlite3.connect(core.store.file) as db:
        ((user, version, basis, items),) = db.execute("SELECT user_id, version, basis, items FROM exposure")
    assert (user, version, basis) == ("u", core.served.model.version, "state")
    assert json.loads(items) == [[item.item_id, item.score, item.propensity] for item in answer.items]
    exact = scores(ranked(make_core(signals_run, file="store.sqlite"), k=40))
    assert scores(answer) == pytest.approx({item: exact[item] for item in ids(answer)}, abs=1e-6)
    assert ids(answer) != list(exact)[:5]


def test_propensities_are_the_frequencies():
    source, best = random.Random(0), [(4, 1.0), (2, 0.5), (0, 0.25)]
    draw = uniform_draw(6, lambda position: position == 5, source)
    lists = [explore(best, 2, 0.3, draw, 5, source) for _ in range(6_000)]
    chances = {}
    for (a, p), (b, q) in lists:
        chances[a, b] = p * q
    counts = Counter((a, b) for (a, _), (b, _) in lists)
    assert sum(chances.values()) == pytest.approx(1)
    assert len(chances) == 5 * 4
    for pair, chance in chances.items():
        assert counts[pair] / 6_000 == pytest.approx(chance, abs=4 * (chance / 6_000) ** 0.5), pair


# ---- items


def test_a_new_item_is_recommendable_by_its_words_at_once(core):
    apply(core, walk("u", 5))
    title = core.served.model.data.catalogue["title"][30]
    before = scores(ranked(core, k=40))
    assert put_item(core, "twin", ItemWords(f" <b>{title}</b>")).status == "added"
    after = scores(ranked(core, k=60))
    assert {item: score for item, score in after.items() if item != "twin"} == before
    words = core.served.model.embed_item(ItemWords(title))
    vector = core.served.model.stepper.user_states([core.served.users.load(["u"])["u"].state.tensors], [0.0])[0]
    assert after["twin"] == pytest.approx(float(vector @ core.served.model.compare_form(words)), abs=1e-6)
    assert apply(core, [event("t", item="twin", time=START + 10**6)]) == ["applied"]
    assert "twin" not in ids(ranked(core, k=60))


def test_an_item_is_put_once(core):
    kettle = ItemWords("Steel kettle", columns={})
    assert [put_item(core, "new", kettle).status for _ in range(2)] == ["added", "known"]
    assert put_item(core, "i00001", kettle).status == "known"
    with pytest.raises(ConflictError, match="with other words"):
        put_item(core, "new", ItemWords("Copper kettle"))
    with pytest.raises(ValueError, match="can read nothing"):
        put_item(core, "empty", ItemWords(" <br> "))
    with pytest.raises(ValueError, match="no column colour"):
        put_item(core, "red", ItemWords("Kettle", columns={"colour": "red"}))


def test_a_retired_item_leaves_every_answer(core):
    apply(core, walk("u", 3))
    best, popular = ids(ranked(core, k=1)), ids(ranked(core, "nobody", k=1))
    for item in {*best, *popular}:
        assert retire_item(core, item).status == "retired"
    assert not {*best, *popular} & {*ids(ranked(core, k=60)), *ids(ranked(core, "nobody", k=60))}
    assert apply(core, [event("r", item=best[0], time=START + 10**6)]) == ["applied"]
    for item in {*best, *popular}:
        assert put_item(core, item, ItemWords()).status == "restored"
    assert set(popular) <= set(ids(ranked(core, "nobody", k=60)))
    with pytest.raises(NotFoundError):
        retire_item(core, "unknown")


# ---- users


def test_an_erased_user_leaves_no_bytes(make_core, signals_run):
    core = make_core(signals_run, log_exposure=True)
    apply(core, [*walk("someone-secret", 5), *walk("other", 5)])
    ranked(core, "someone-secret")
    files = list(core.store.file.parent.glob("store.sqlite*"))
    assert any(b"someone-secret" in file.read_bytes() for file in files)
    assert erase_user(core, "someone-secret")
    assert not any(b"someone-secret" in file.read_bytes() for file in files)
    assert ranked(core, "someone-secret").basis == "popular"
    assert describe_user(core, "other").num_events == 5
    with pytest.raises(NotFoundError):
        describe_user(core, "someone-secret")
    erase_user(core, "someone-secret")  # the list above was logged
    assert not erase_user(core, "someone-secret")
    assert set(apply(core, walk("someone-secret", 5))) == {"applied"}


# ---- questions


def test_what_if_is_never_written(core):
    history = walk("u", 7)
    apply(core, history[:6])
    before = contents(core.store.file), ranked(core)
    later = ImaginedEvent(history[6].item_id, history[6].timestamp, history[6].event, history[6].rating)
    answer = what_if(core, WhatIf("u", add=[later], remove=[history[2].event_id]))
    assert (contents(core.store.file), ranked(core)) == before
    assert scores(answer.before) == pytest.approx(scores(before[1]), abs=1e-6)
    apply(
        core,
        [event(f"v{n}", "v", o.item_id, o.timestamp, event=o.event, rating=o.rating) for n, o in enumerate(history) if n != 2],
    )
    assert scores(answer.after) == pytest.approx(scores(ranked(core, "v")), abs=1e-6)
    with pytest.raises(NotFoundError, match="has no event other"):
        what_if(core, WhatIf("u", remove=["other"]))
    with pytest.raises(NotFoundError, match="no item unknown"):
        what_if(core, WhatIf("u", add=[ImaginedEvent("unknown", START)]))
    assert what_if(core, WhatIf("u", remove=[one.event_id for one in history[:6]])).after.basis == "popular"
