"""Values of which an encoder prepares nothing."""

import warnings

import numpy as np
import pytest

from interestlab.contract import Encoder


class Sum(Encoder):
    """The sum of a title's letters; nothing of a title that names one of ``but``."""

    fields = ("item.title",)

    def __init__(self, but="") -> None:
        super().__init__()
        self.but, self.preprocess_key = but, f"sum-{but}"

    def preprocess(self, values):
        return [np.array([sum(map(ord, v))] if v[-1] not in self.but else [], np.int32) for v in values]

    def forward(self, inputs):
        return inputs.values.sum(1, keepdim=True).float()


def test_they_count_as_missing_and_are_told(data):
    made = data()
    with pytest.warns(UserWarning, match="field item.title: Sum finds nothing in 2 of 8 values, such as 'Title of c'") as told:
        found = made.feature(Sum("cf"), "item.title")
    assert "\n" not in str(told[0].message)
    names = made.log.items["item_id"].to_list()
    assert [names[i] for i in np.flatnonzero(found.codes == -1)] == ["c", "f"]
    there = found.codes[found.codes >= 0]
    assert found.inputs(there).lengths.tolist() == [1] * 6
    assert found.codes.dtype == np.int32


def test_those_that_have_no_value_stay_missing(data):
    made = data()
    with pytest.warns(UserWarning, match="nothing in 1 of 1 values, such as 'Acme'"):
        found = made.feature(Sum("e"), "item.brand")
    assert (found.codes == -1).all()


def test_where_all_prepare_something_nothing_is_said(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = data().feature(Sum(), "item.title")
    assert (found.codes >= 0).all()
