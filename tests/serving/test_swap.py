"""The swap of the model."""

import pytest
import torch
from serving_events import ITEMS, START, event, walk

from interestlab.errors import DataError
from interestlab.serving.core.apply_events import apply_events
from interestlab.serving.core.change_items import put_item, retire_item
from interestlab.serving.core.ranking import Question
from interestlab.serving.core.recommend import recommend
from interestlab.serving.core.served import user_vectors
from interestlab.serving.core.user_data import erase_user
from interestlab.serving.messages import ItemWords
from interestlab.serving.service import Service
from interestlab.serving.swap import prepare_swap
from interestlab.serving.users import Users


@pytest.fixture
def other_run(ids_run):
    """Return a run that reads ids alone, and whose state grows."""
    return ids_run("transformer")


def ranked(core, user="u"):
    return recommend(core, [Question(user, 10)])[0]


def swap(core, run):
    served, info = prepare_swap(core, core.begin_swap(), run)
    core.switch_to(served)
    return info


def test_a_swap_rebuilds_states_and_can_be_rolled_back(make_core, signals_run, other_run):
    core = make_core(signals_run)
    for one in [*walk("u", 5), *walk("v", 3)]:
        apply_events(core, [one])
    before = ranked(core)
    info = swap(core, other_run)
    assert (info.compared_users, info.index) == (2, "exact")
    assert 0 <= info.overlap <= 1
    after = ranked(core)
    assert after.model == info.model != before.model
    fresh = make_core(other_run, file="fresh.sqlite")
    for one in walk("u", 5):
        apply_events(fresh, [one])
    assert [item.item_id for item in ranked(fresh).items] == [item.item_id for item in after.items]
    apply_events(core, walk("u", 1, start=5))
    swap(core, signals_run)  # back: the state of the first model follows the event that came in between
    rebuilt = Users(core.served.model, core.store).rebuild({"u": 6})["u"]
    assert core.served.users.load(["u"])["u"].state == rebuilt
    assert ranked(core).model == before.model


def test_what_changes_during_a_swap_is_read_again(make_core, signals_run, other_run):
    core = make_core(signals_run)
    for user in ("u", "v"):
        for one in walk(user, 4):
            apply_events(core, [one])
    served, _ = prepare_swap(core, core.begin_swap(), other_run)
    apply_events(core, walk("u", 1, start=4))
    erase_user(core, "v")
    apply_events(core, [event("again", "v", ITEMS[0])])
    retire_item(core, ITEMS[1])
    core.switch_to(served)
    users = core.served.users.load(["u", "v"])
    assert (users["u"].state.num_events, users["v"].state.num_events) == (5, 1)
    assert len(users["v"].history) == 1
    assert ITEMS[1] not in [item.item_id for item in recommend(core, [Question("u", 40)])[0].items]


def test_items_that_come_during_a_swap_are_not_in_its_comparison(make_core, signals_run):
    core = make_core(signals_run)
    apply_events(core, walk("u", 1))
    old = core.begin_swap()
    put_item(core, "new", ItemWords("Steel kettle"))
    retire_item(core, ITEMS[5])
    vectors = user_vectors(core.served.model, [core.served.users.load(["u"])["u"].state])
    seen = {position for position, _ in old.item_index.search(vectors, 100, [set()])[0]}
    assert seen == set(range(core.served.model.items.num_trained))
    assert prepare_swap(core, old, signals_run)[1].compared_users == 1


def test_added_items_come_along(make_core, signals_run, model):
    core = make_core(signals_run)
    apply_events(core, walk("u", 1))
    put_item(core, "new", ItemWords("Steel kettle"))
    served, _ = prepare_swap(core, core.begin_swap(), signals_run)
    put_item(core, "newer", ItemWords("Copper kettle"))
    core.switch_to(served)
    assert {"new", "newer"} <= {item.item_id for item in recommend(core, [Question("u", 60)])[0].items}
    position = core.served.model.items.find("new")
    assert torch.equal(core.served.model.items.vectors[position], core.served.model.embed_item(ItemWords("Steel kettle")))


def test_a_model_without_the_words_keeps_the_old_one_serving(make_core, signals_run, other_run, run_async):
    core = make_core(signals_run)
    put_item(core, "new", ItemWords("Steel kettle"))
    service, version = Service(core), core.served.model.version

    async def work():
        service.start()
        with pytest.raises(DataError, match="ranks by ids alone"):
            await service.swap(other_run)
        with pytest.raises(DataError, match="does not exist"):
            await service.swap(other_run / "nothing")
        results = await service.apply([event("a", time=START, k=3)])
        await service.stop()
        return results

    (result,) = run_async(work())
    assert (result.status, result.recommendations.model) == ("applied", version)
