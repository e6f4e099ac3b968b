"""What of a web address cleaning leaves, by column."""

import polars as pl
import pytest

from interestlab.data.text_cleaning import TEXT_COLUMNS, Cleaning, clean_text_columns


def clean(column, value, cleaning=Cleaning()):  # noqa: B008 (frozen)
    frame = pl.DataFrame({column: [value]}, schema={column: pl.String})
    return clean_text_columns(frame, cleaning)[column][0]


ADDRESSES = [
    "https://img.shop.com/a.jpg?w=1&copy=2",
    "HTTP://x.cn/图.png",
    "www.shop.com",
    "pics/夏季（１）  b.JPG",
    "a&amp;b.webp",
]


@pytest.mark.parametrize("value", ADDRESSES)
def test_a_lone_address_or_image_file_is_no_text(value):
    assert clean("image", value) == value
    assert clean("image", f" {value}\n") == value


@pytest.mark.parametrize("column", TEXT_COLUMNS)
def test_columns_of_words_lose_addresses_wherever_they_stand(column):
    assert clean(column, "https://t.cn/a") is None
    assert clean(column, "see https://t.cn/a now") == "see now"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("see https://t.cn/a now", "see now"),
        ("链接https://t.cn/a很好", "链接 很好"),
        ("<b>Ａ&amp;b</b>", "A&b"),
        ("a.jpg is a file", "a.jpg is a file"),
        ("", None),
        (None, None),
    ],
)
def test_any_other_text_is_cleaned_as_ever(value, expected):
    assert clean("notes", value) == clean("text", value) == expected


def test_without_any_step_nothing_but_blanks_is_lost():
    assert clean("image", "https://t.cn/a ", Cleaning(*[False] * 6)) == "https://t.cn/a"
    assert clean("notes", " a ", Cleaning(*[False] * 6)) == " a "
