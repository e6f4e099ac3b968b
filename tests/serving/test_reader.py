"""The fast reader equals the reader that builds data frames."""

import itertools
import json
import time

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from serving_events import START, as_mapping, event

from interestlab.data import time_features
from interestlab.errors import DataError
from interestlab.inference.featurize import derive_time_features
from interestlab.serving.reader import check_event_streams, compute_time_feature
from interestlab.serving.served_model import ServedModel

TYPES = st.sampled_from([None, "view", "purchase", " view ", "<b>cart</b>", "gaze", "", "ｖｉｅｗ"])
RATINGS = st.none() | st.sampled_from([5, 4.0, 2.5, 0, -1, 3.7]) | st.floats(-10, 10)
TIMES = st.integers(1, 4_102_444_799)
EVENTS = st.lists(st.tuples(TYPES, RATINGS, TIMES), min_size=1, max_size=2)


@pytest.fixture
def reader(model, signals_run):
    return model(signals_run).reader


def assert_equal_to_frames(reader, rows):
    since = None
    for kind, rating, moment in rows:
        one = event("e", time=moment, event=kind, rating=rating)
        fast = reader.embed(one, since)
        frame = reader.featurizer._make_frame("event", [as_mapping(one) | {"timestamp": moment}], since)
        for stream, vector in zip(reader.streams, fast, strict=True):
            slow, present = reader.featurizer._embed_stream(stream, frame)
            assert (vector is not None) == present[0], stream
            if vector is not None:
                assert torch.equal(vector, slow[0]), stream
        since = moment if since is None else max(since, moment)


def test_an_event_is_read_as_by_the_training_time_reader(reader):
    @given(EVENTS)
    def check(rows):
        with torch.no_grad():
            assert_equal_to_frames(reader, rows)

    check()


def test_time_features_equal_those_of_a_frame():
    rng = np.random.default_rng(0)
    pauses = rng.integers(0, 2 ** rng.integers(0, 31, 10_000))
    times = np.minimum(np.cumsum(np.append(rng.integers(1, 10**9), pauses)), 4_102_444_799)
    times = np.concatenate([times[:5000], rng.integers(1, 4_102_444_799, 5000)])  # in order, then in any order
    frame = derive_time_features(times.tolist(), None)
    for name in time_features.COLUMNS:
        since = [None, *times[:-1].tolist()]
        fast = [compute_time_feature(name, t, s) for t, s in zip(times.tolist(), since, strict=True)]
        assert fast == frame[name].to_list(), name


@pytest.mark.slow
def test_10_000_events_are_read_alike_and_fast(reader):
    rng = np.random.default_rng(0)
    kinds, ratings, times = [None, "view", "purchase", "gaze"], [None, 1.0, 2.0, 4.5], START + rng.integers(10**8, size=10_000)
    columns = [{"event": kinds[rng.integers(4)], "rating": ratings[rng.integers(4)]} for _ in range(10_000)]
    events = [event("e", time=moment, **values) for moment, values in zip(np.sort(times).tolist(), columns, strict=True)]
    reader.embed(events[0], None)
    start = time.process_time()
    fast = [reader.embed(one, int(before.timestamp)) for before, one in itertools.pairwise(events)]
    assert (time.process_time() - start) / len(events) < 1e-4
    mappings = [as_mapping(one) | {"timestamp": int(one.timestamp)} for one in events]
    with torch.no_grad():  # all of them in one frame
        frame = reader.featurizer._make_frame("event", mappings)
        for i, stream in enumerate(reader.streams):
            vectors, present = reader.featurizer._embed_stream(stream, frame)
            assert [one[i] is not None for one in fast] == present.tolist()[1:], stream
            found = torch.stack([vectors.new_zeros(vectors.shape[1]) if one[i] is None else one[i] for one in fast])
            torch.testing.assert_close(found, vectors[1:] * present[1:, None], atol=1e-6, rtol=0)


def test_values_that_are_equal_in_python_are_kept_apart(reader):
    """1, 1.0 and True are one key of a dict."""
    for rating in (1, 1.0):
        assert reader.embed(event("e", rating=rating), None) is not None
    with pytest.raises(DataError, match="rating of the wrong type"):
        reader.embed(event("e", rating="1"), None)


def test_a_value_beyond_float32_cannot_spoil_a_state(reader):
    assert all(vector.isfinite().all() for vector in reader.embed(event("e", rating=1e300), None) if vector is not None)


@pytest.mark.slow
def test_a_run_that_encodes_texts_of_events_is_refused(fitted, bert):
    spec = {"class_path": "static", "init_args": {"model": bert, "fields": ["item.title", "event.text"]}}
    run = fitted(f"--model.encoder={json.dumps({'words': spec})}", "--model.fusion=gated", "--model.dynamics=ewma")
    with pytest.raises(DataError, match=r"encodes texts of events \(event.text\), which `serve` cannot do") as error:
        ServedModel(run)
    assert "\n" not in str(error.value)


def test_numbers_are_no_texts(model, signals_run):
    served = model(signals_run)
    schema = dict(served.data.log.events.collect_schema())
    check_event_streams(served.backbone, schema)
    with pytest.raises(DataError, match=r"encodes texts of events \(event.rating\)"):
        check_event_streams(served.backbone, schema | {"rating": pl.String()})
    assert {s.field for s in served.backbone.event_streams if served.backbone.encoder_of(s).preprocess_key} >= {"event.rating"}
