"""Cleaning of URLs, by column."""

import polars as pl
import pytest

from interestlab.data.text_cleaning import TEXT_COLUMNS, Cleaning, clean_text_columns


def clean(column, value, cleaning=Cleaning()):  # noqa: B008 (frozen)
    frame = pl.DataFrame({column: [value]}, schema={column: pl.String})
    return clean_text_columns(frame, cleaning)[column][0]


URLS = [
    "https://img.shop.com/a.jpg?w=1&copy=2",
    "HTTP://x.cn/图.png",
    "www.shop.com",
    "pics/夏季（１）  b.JPG",
    "a&amp;b.webp",
]


@pytest.mark.parametrize("value", URLS)
def test_url_or_image_name_is_only_stripped(value):
    assert clean("image", value) == value
    assert clean("image", f" {value}\n") == value


@pytest.mark.parametrize("column", TEXT_COLUMNS)
def test_urls_are_removed_from_prose_columns(column):
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
def test_other_text_is_cleaned_in_any_column(value, expected):
    assert clean("notes", value) == clean("text", value) == expected


def test_without_steps_only_white_space_is_stripped():
    assert clean("image", "https://t.cn/a ", Cleaning(*[False] * 6)) == "https://t.cn/a"
    assert clean("notes", " a ", Cleaning(*[False] * 6)) == " a "
