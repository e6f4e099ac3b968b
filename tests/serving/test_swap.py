"""The swap of the model."""

import pytest
import torch
from serving_events import ITEMS, START, event, walk

from interestlab.errors import DataError
from interestlab.serving.core import Question
from interestlab.serving.messages import ItemWords
from interestlab.serving.service import Service
from interestlab.serving.swap import prepare_swap
from interestlab.serving.users import Users


@pytest.fixture
def other_run(ids_run):
    """Return a run that reads ids alone, and whose state grows."""
    return ids_run("transformer")


def ranked(core, user="u"):
    return core.recommend([Question(user, 10)])[0]


def swap(core, run):
    core.watch_changes()
    served, info = prepare_swap(core, run)
    core.switch_to(served)
    return info


def test_a_swap_rebuilds_states_and_can_be_rolled_back(make_core, signals_run, other_run):
    core = make_core(signals_run)
    for one in [*walk("u", 5), *walk("v", 3)]:
        core.apply([one])
    before = ranked(core)
    info = swap(core, other_run)
    assert (info.compared_users, info.index) == (2, "exact")
    assert 0 <= info.overlap <= 1
    after = ranked(core)
    assert after.model == info.model != before.model
    fresh = make_core(other_run, file="fresh.sqlite")
    for one in walk("u", 5):
        fresh.apply([one])
    assert [item.item_id for item in ranked(fresh).items] == [item.item_id for item in after.items]
    core.apply(walk("u", 1, start=5))
    swap(core, signals_run)  # back: the state of the first model follows the event that came in between
    rebuilt = Users(core.served.model, core.store).rebuild({"u": 6})["u"]
    assert core.served.users.load(["u"])["u"].state == rebuilt
    assert ranked(core).model == before.model


def test_what_changes_during_a_swap_is_read_again(make_core, signals_run, other_run):
    core = make_core(signals_run)
    for user in ("u", "v"):
        for one in walk(user, 4):
            core.apply([one])
    core.watch_changes()
    served, _ = prepare_swap(core, other_run)
    core.apply(walk("u", 1, start=4))
    core.erase_user("v")
    core.apply([event("again", "v", ITEMS[0])])
    core.retire_item(ITEMS[1])
    core.switch_to(served)
    users = core.served.users.load(["u", "v"])
    assert (users["u"].state.num_events, users["v"].state.num_events) == (5, 1)
    assert len(users["v"].history) == 1
    assert ITEMS[1] not in [item.item_id for item in core.recommend([Question("u", 40)])[0].items]


def test_added_items_come_along(make_core, signals_run, model):
    core = make_core(signals_run)
    core.apply(walk("u", 1))
    core.put_item("new", ItemWords("Steel kettle"))
    core.watch_changes()
    served, _ = prepare_swap(core, signals_run)
    core.put_item("newer", ItemWords("Copper kettle"))
    core.switch_to(served)
    assert {"new", "newer"} <= {item.item_id for item in core.recommend([Question("u", 60)])[0].items}
    position = core.served.model.items.find("new")
    assert torch.equal(core.served.model.items.vectors[position], core.served.model.embed_item(ItemWords("Steel kettle")))


def test_a_model_without_the_words_keeps_the_old_one_serving(make_core, signals_run, other_run, run_async):
    core = make_core(signals_run)
    core.put_item("new", ItemWords("Steel kettle"))
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
