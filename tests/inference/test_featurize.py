"""Encoding of items and events that the caller passes."""

import pytest
import torch

from interestlab.errors import DataError


def interest(recommender, *history):
    return recommender.state(history).dynamics_state.z


@pytest.fixture
def known(recommender_for):
    """Return a title of the catalogue, and the interest after its item."""
    items = recommender_for("frozen").data.log.items
    item = next(row for row in items.to_dicts() if row["title"].isascii())
    return item["title"], interest(recommender_for("frozen"), item["item_id"])


@pytest.mark.parametrize("template", ["{}", "<b>{}</b>", "&nbsp; {}\t", "​{} https://example.org/1"])
@pytest.mark.parametrize("key", ["title", "words"])
def test_an_unknown_item_is_encoded_by_its_title(recommender_for, known, template, key):
    title, expected = known
    torch.testing.assert_close(
        interest(recommender_for("frozen"), {"item_id": "new", key: template.format(title.replace(" ", "&#32;"))}),
        expected,
        atol=1e-6,
        rtol=0,
    )


def test_columns_of_a_catalogue_item_are_read_from_the_catalogue(recommender_for, known):
    item = recommender_for("frozen").data.log.items.row(0, named=True)
    event = {"item_id": f" {item['item_id']} ", "title": known[0], "price": "cheap"}
    assert torch.equal(interest(recommender_for("frozen"), event), interest(recommender_for("frozen"), item["item_id"]))


def test_words_replace_each_missing_text_once(recommender_for):
    recommender = recommender_for("id_and_words")  # reads item.title+item.brand as one text
    words, title, both = (
        recommender._featurizer.embed_items([event])
        for event in ({"words": "oak desk"}, {"title": "oak", "brand": "desk"}, {"title": "oak desk", "words": "lamp"})
    )
    assert torch.equal(words, title)
    assert torch.equal(words, both)


def test_many_new_items_at_once(recommender_for):
    recommender = recommender_for("frozen")
    titles = [f"{'very ' * (n % 5)}warm lamp {n}" for n in range(150)]
    batch = recommender._featurizer.embed_items([{"title": title} for title in titles])
    single = torch.cat([recommender._featurizer.embed_items([{"title": title}]) for title in titles[::50]])
    torch.testing.assert_close(batch[::50], single, atol=1e-6, rtol=0)


def test_omitted_columns_of_an_event_are_missing(recommender_for):
    recommender = recommender_for("events")
    event = {"item_id": "i00001", "text": "warm", "event": "view", "rating": 5}
    without_columns = interest_of_events(recommender, {"item_id": "i00001"})
    assert torch.equal(without_columns, interest_of_events(recommender, dict.fromkeys(event) | {"item_id": "i00001"}))
    for key in ("text", "event", "rating"):
        assert not torch.equal(without_columns, interest_of_events(recommender, {"item_id": "i00001", key: event[key]})), key
    # An event type that is not in the log, and a text that is empty after cleaning, count as missing.
    assert torch.equal(without_columns, interest_of_events(recommender, {"item_id": "i00001", "event": "gaze", "text": "<br>"}))


def interest_of_events(recommender, event):
    return recommender.recommend([event], 1000)["score"].to_torch()


ITEM = {"item_id": "i00001"}


@pytest.mark.parametrize(
    ("model", "history", "message"),
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
def test_unreadable_events_are_reported_in_one_line(recommender_for, model, history, message):
    with pytest.raises(DataError) as error:
        recommender_for(model).recommend(history)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_invalid_time_is_reported(recommender_for):
    with pytest.raises(DataError, match=r"a time must be unix seconds or a datetime .* not '1.7e9'\."):
        recommender_for("ewma").recommend([ITEM], at="1.7e9")


def test_an_invalid_update_is_reported(recommender_for):
    recommender = recommender_for("ewma")
    with pytest.raises(DataError, match="the log has no column titel"):
        recommender.update(recommender.state([ITEM]), {"titel": "lamp"})
