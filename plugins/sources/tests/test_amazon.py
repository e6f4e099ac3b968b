import pytest

from interestlab.errors import DataError
from interestlab_sources.amazon import Amazon

R2014 = (
    '{"reviewerID":"u1","asin":"i1","overall":5.0,"unixReviewTime":1393545600,"reviewText":"Great","summary":"good",'
    '"helpful":[0,0]}\n'
)
R2023 = '{"user_id":"u2","parent_asin":"i2","asin":"i2b","rating":4.0,"timestamp":1588687728923,"text":"Fine","title":"ok"}\n'
M2014 = (
    "{'asin': 'i1', 'title': u'Bob\\'s Lamp', 'description': 'Light', 'price': 12.5, 'brand': 'B', "
    "'categories': [['Home'], ['Home', 'Lamps', 'Desk']], 'related': {'also_viewed': ['x']}}\n"
)
M2018 = '{"asin":"i2","title":"T","description":["a","b"],"category":["Home","Desk"],"brand":"B","price":"$1,299.00"}\n'
M2023 = '{"parent_asin":"i3","title":"T","description":[],"store":"S","main_category":"Home","categories":[],"price":null}\n'


@pytest.mark.parametrize("zipped", [False, True])
def test_reviews_of_every_year_in_one_file(write, zipped):
    path = write("a.json", R2014 + R2023, zipped)
    events = Amazon(path).read().events.collect()
    assert events.select("user_id", "item_id", "timestamp", "rating", "text", "summary", "event", "line").rows() == [
        ("u1", "i1", "1393545600", "5.0", "Great", "good", "review", 1),
        ("u2", "i2", "1588687728", "4.0", "Fine", "ok", "review", 2),
    ]
    assert events["file"].to_list() == [path, path]


def test_metadata_of_every_year(write):
    items = Amazon(write("a.json", R2014), write("m.json.gz", M2014 + M2018 + M2023, True)).read().items.collect()
    assert items.drop("file", "line").rows() == [
        ("i1", "Bob's Lamp", "Light", "B", "Home > Lamps > Desk", "12.5"),
        ("i2", "T", "a b", "B", "Home > Desk", "1299.00"),
        ("i3", "T", None, "S", "Home", None),
    ]


@pytest.mark.parametrize("price", ['"$10.00 - $20.00"', '"from 12.99"', '".a-box{}"', '"None"', '""', "[]"])
def test_invalid_prices_are_null(write, price):
    line = f'{{"asin":"i","price":{price}}}'
    assert Amazon(write("a.json", R2014), write("m.json", line)).read().items.collect()["price"].to_list() == [None]


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("1588687728923", "1588687728"), ('"1588687728923"', "1588687728"), ("1588687728923.0", "1588687728"),
     ("-1", "-1"), ("0", "0"), ("true", "true"), ('"soon"', "soon"), ("1e300", "1e+300"), ("null", None)],
)  # fmt: skip
def test_milliseconds_become_seconds_and_other_values_are_unchanged(write, time, seconds):
    line = f'{{"user_id":"u","timestamp":{time}}}'
    assert Amazon(write("a.json", line)).read().events.collect()["timestamp"].to_list() == [seconds]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"rating": 5}', "neither reviewerID nor user_id"),
        (b'{"user_id": "u', "not JSON"),
        (b"{'reviewerID': 'u'", "neither JSON nor a Python literal"),
        (b"{'reviewerID': __import__('os')}", "neither JSON nor a Python literal"),
        (b"{'reviewerID': '\\ud800'}", "neither JSON nor a Python literal"),
        (b"{'a': " + b"-" * 100_000 + b"1}", "neither JSON nor a Python literal"),
        (b"{'a': " + b"+".join([b"1"] * 50_000) + b"}", "neither JSON nor a Python literal"),
        (b"{'reviewerID': '\x00'}", "a NUL byte"),
        (b"{'reviewerID': '\xff'}", "not UTF-8"),
    ],
)
def test_one_bad_line_does_not_affect_the_others(write, bad, reason):
    log = Amazon(write("a.json", R2014.encode() + bad + b"\n \n" + R2023.encode())).read()
    assert log.events.collect()["line"].to_list() == [1, 4]
    ((line, why),) = log.rejected.collect().select("line", "reason").rows()
    assert line == 2
    assert reason in why


def test_bad_lines_name_their_file(write):
    log = Amazon(write("a.json", R2014 + "x\n"), write("m.json", "y\n" + M2018)).read()
    assert [(f[-6:], line) for f, line, _ in log.rejected.collect().rows()] == [("a.json", 2), ("m.json", 1)]


def test_only_blank_lines(write):
    with pytest.raises(DataError, match="no rows"):
        Amazon(write("a.json", "\n\n")).read()


def test_musical_instruments(data):
    path = data / "amazon_musical_instruments_5core_2014" / "reviews_Musical_Instruments_5.json.gz"
    log = Amazon(str(path)).read()
    events = log.events.collect()
    assert (events.height, events["user_id"].n_unique(), events["item_id"].n_unique()) == (10_261, 1_429, 900)
    assert log.rejected.collect().is_empty()
