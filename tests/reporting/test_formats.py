"""Number formats, labels and colours."""

from datetime import datetime

import pytest

from interestlab.reporting import labels
from interestlab.reporting import number_formats as formats
from interestlab.reporting.colours import DASHES, PALETTE, SYMBOLS, assign_styles, with_alpha


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formats.p_value(0.0312), "0.031"),
        (formats.p_value(0.0), "< 0.001"),
        (formats.p_and_q(0.01, None), "p 0.010, q –"),
        (formats.percent(0.1234), "12.3%"),
        (formats.percent(0.00123, 2), "0.12%"),
        (formats.percentage_points(-0.051), "−5.1"),
        (formats.percentage_points(0.051), "+5.1"),
        (formats.decimal(1.005, 1), "1.0"),
        (formats.signed(0.02), "+0.0200"),
        (formats.signed(-1.5, 1), "-1.5"),
        (formats.integer(1234567), "1,234,567"),
        (formats.three_digits(1.2345), "1.23"),
        (formats.three_digits(12345.6), "12,346"),
        (formats.si_prefix(22_700_000), "22.7 M"),
        (formats.si_prefix(999), "999"),
        (formats.si_prefix(1e9), "1 G"),
        (formats.date(datetime(2026, 1, 2, 23, 59)), "2026-01-02"),
        (labels.text(""), "–"),
        (labels.joined(["a", "b"]), "a, b"),
        (labels.joined(None), "–"),
        (labels.transition("a", None), "a → –"),
        (labels.transition(None, None), "–"),
        (labels.plural(1, "user"), "1 user"),
        (labels.plural(1234, "user"), "1,234 users"),
        (labels.clip("a long name", 7), "a long…"),
        (labels.clip("short", 7), "short"),
        (labels.escape("<b>&", 0), "&lt;b&gt;&amp;"),
        (labels.escape("<b>bold</b>", 4), "&lt;b&gt;…"),
        (labels.markdown_row(["a|b", "c\nd"]), "| a\\|b | c d |"),
    ],
)
def test_formats(text, expected):
    assert text == expected


@pytest.mark.parametrize(
    "name", ["p_value", "percent", "percentage_points", "decimal", "signed", "integer", "three_digits", "date"]
)
def test_a_missing_value_is_a_dash(name):
    assert getattr(formats, name)(None) == formats.MISSING


def test_styles_are_distinct_beyond_the_number_of_colours():
    names = [str(i) for i in range(len(PALETTE) * len(DASHES))]
    styles = assign_styles(names)
    assert list(styles) == names
    assert len(set(styles.values())) == len(names)
    assert [style.colour for style in styles.values()][: len(PALETTE)] == list(PALETTE)
    assert {style.symbol for style in styles.values()} == set(SYMBOLS)


def test_with_alpha():
    assert with_alpha("#0072B2", 0.5) == "rgba(0,114,178,0.5)"
