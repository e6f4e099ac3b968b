"""Values for which an encoder's preprocessing returns an empty array."""

import warnings

import numpy as np
import pytest

from interestlab.contract import Encoder


class Sum(Encoder):
    """Encodes the sum of a title's letters; a title that ends with one of the letters ``skipped`` is missing."""

    fields = ("item.title",)

    def __init__(self, skipped="") -> None:
        super().__init__()
        self.skipped, self.preprocess_key = skipped, f"sum-{skipped}"

    def preprocess(self, values):
        return [np.array([sum(map(ord, v))] if v[-1] not in self.skipped else [], np.int32) for v in values]

    def forward(self, inputs):
        return inputs.values.sum(1, keepdim=True).float()


def test_empty_arrays_count_as_missing_with_a_warning(data):
    module = data()
    with pytest.warns(
        UserWarning, match="field item.title: Sum finds nothing in 2 of 8 values, such as 'Title of c'"
    ) as warned:
        field = module.feature(Sum("cf"), "item.title")
    assert "\n" not in str(warned[0].message)
    names = module.log.items["item_id"].to_list()
    assert [names[i] for i in np.flatnonzero(field.codes == -1)] == ["c", "f"]
    present = field.codes[field.codes >= 0]
    assert field.inputs(present).lengths.tolist() == [1] * 6
    assert field.codes.dtype == np.int32


def test_rows_without_a_value_stay_missing(data):
    module = data()
    with pytest.warns(UserWarning, match="nothing in 1 of 1 values, such as 'Acme'"):
        field = module.feature(Sum("e"), "item.brand")
    assert (field.codes == -1).all()


def test_no_warning_if_every_value_has_rows(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        field = data().feature(Sum(), "item.title")
    assert (field.codes >= 0).all()
