"""Items and events that are given by hand, as the model reads them."""

import pytest
import torch

from interestlab.errors import DataError


def interest(recommender, *history):
    return recommender.state(history).dynamics_state.z


@pytest.fixture
def known(shop):
    """A title of the catalogue, and the interest after its item."""
    items = shop("frozen").data.log.items
    item = next(row for row in items.to_dicts() if row["title"].isascii())
    return item["title"], interest(shop("frozen"), item["item_id"])


@pytest.mark.parametrize("written", ["{}", "<b>{}</b>", "&nbsp; {}\t", "​{} https://example.org/1"])
@pytest.mark.parametrize("key", ["title", "words"])
def test_an_unknown_item_is_what_its_title_says(shop, known, written, key):
    title, expected = known
    torch.testing.assert_close(
        interest(shop("frozen"), {"item_id": "new", key: written.format(title.replace(" ", "&#32;"))}),
        expected,
        atol=1e-6,
        rtol=0,
    )


def test_the_catalogue_knows_its_items_better(shop, known):
    item = shop("frozen").data.log.items.row(0, named=True)
    told = {"item_id": f" {item['item_id']} ", "title": known[0], "price": "cheap"}
    assert torch.equal(interest(shop("frozen"), told), interest(shop("frozen"), item["item_id"]))


def test_words_stand_once_in_each_text_that_is_not_told(shop):
    recommender = shop("id_and_words")  # reads item.title+item.brand as one text
    words, title, both = (
        recommender._featurizer.embed_items([event])
        for event in ({"words": "oak desk"}, {"title": "oak", "brand": "desk"}, {"title": "oak desk", "words": "lamp"})
    )
    assert torch.equal(words, title)
    assert torch.equal(words, both)


def test_many_new_items_at_once(shop):
    recommender = shop("frozen")
    titles = [f"{'very ' * (n % 5)}warm lamp {n}" for n in range(150)]
    together = recommender._featurizer.embed_items([{"title": title} for title in titles])
    alone = torch.cat([recommender._featurizer.embed_items([{"title": title}]) for title in titles[::50]])
    torch.testing.assert_close(together[::50], alone, atol=1e-6, rtol=0)


def test_what_is_left_out_of_an_event_is_missing(shop):
    recommender = shop("events")
    event = {"item_id": "i00001", "text": "warm", "event": "view", "rating": 5}
    bare = interest_of_events(recommender, {"item_id": "i00001"})
    assert torch.equal(bare, interest_of_events(recommender, dict.fromkeys(event) | {"item_id": "i00001"}))
    for key in ("text", "event", "rating"):
        assert not torch.equal(bare, interest_of_events(recommender, {"item_id": "i00001", key: event[key]})), key
    # Nothing of the kind is in the log, and a text of which cleaning leaves nothing is none.
    assert torch.equal(bare, interest_of_events(recommender, {"item_id": "i00001", "event": "gaze", "text": "<br>"}))


def interest_of_events(recommender, event):
    return recommender.recommend([event], 1000)["score"].to_torch()


ITEM = {"item_id": "i00001"}


@pytest.mark.parametrize(
    ("read", "history", "message"),
    [
        ("ewma", [], "the history is empty"),
        ("ewma", ["nothing"], "the model can read nothing of {'item_id': 'nothing'}: it is not in the catalogue"),
        ("ewma", [{"timestamp": 1_700_000_000}], "the model can read nothing of {'timestamp': 1700000000}"),
        ("ewma", [{"item_id": None}], "the model can read nothing of {'item_id': None}"),
        ("ewma", [{"title": "oak desk"}], "the model reads item.id."),
        ("frozen", [{"item_id": "new"}], "the model reads item.title."),
        ("frozen", [{"title": "<br>"}], "the model can read nothing of {'title': '<br>'}"),
        (
            "ewma",
            [ITEM | {"titel": "lamp"}],
            "the log has no column titel; an event can have user_id, item_id, timestamp, words",
        ),
        ("ewma", [ITEM | {"hour": 3}], "the log has no column hour;"),
        ("ewma", [ITEM | {"user": 3}], "the log has no column user;"),
        ("ewma", [ITEM | {"timestamp": "today"}], "from 1970 to 2100, not 'today'"),
        ("ewma", [ITEM | {"timestamp": 1_700_000_000_000}], "from 1970 to 2100, not 1700000000000"),
        ("ewma", [ITEM | {"timestamp": float("nan")}], "from 1970 to 2100, not nan"),
        ("frozen", [{"title": 5}], "an event has a title of the wrong type: "),
        ("frozen", [{"words": ["oak"]}], "an event has a words of the wrong type: "),
        ("events", [ITEM | {"rating": "five"}], "an event has a rating of the wrong type: "),
        ("ewma", [5], "an event is a mapping or a string, not 5."),
        ("ewma", "i00001", "write [event]."),
        ("ewma", ITEM, "write [event]."),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(shop, read, history, message):
    with pytest.raises(DataError) as told:
        shop(read).recommend(history)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_a_moment_that_is_none_is_told(shop):
    with pytest.raises(DataError, match=r"a time must be unix seconds or a datetime .* not '1.7e9'\."):
        shop("ewma").recommend([ITEM], at="1.7e9")


def test_an_update_is_told_too(shop):
    recommender = shop("ewma")
    with pytest.raises(DataError, match="the log has no column titel"):
        recommender.update(recommender.state([ITEM]), {"titel": "lamp"})
