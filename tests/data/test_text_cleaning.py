from dataclasses import fields

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.data.text_cleaning import Cleaning

STEPS = [f.name for f in fields(Cleaning)]


def only(*steps):
    return Cleaning(**{step: step in steps for step in STEPS})


def clean(text, cleaning=Cleaning()):  # noqa: B008 (frozen)
    return pl.DataFrame({"t": [text]}, schema={"t": pl.String}).select(cleaning(pl.col("t")))["t"][0]


EXAMPLES = [
    ("entities", "Salt &amp; pepper", "Salt & pepper"),
    ("entities", "&#32418;&#x8272;连衣裙", "红色连衣裙"),
    ("entities", "&lt;3 AT&T &unknown;", "<3 AT&T &unknown;"),
    ("tags", "<b>好</b>评", " 好 评"),
    ("tags", 'see<br/>this <a href="x">one</a>', "see this  one "),
    ("tags", "a<!-- no\nmatter -->b", "a b"),
    ("tags", "a < b and c > d, I <3 it", "a < b and c > d, I <3 it"),
    ("tags", "《红楼梦》<第1版>", "《红楼梦》<第1版>"),
    ("nfkc", "ＡＢＣ１２３，全角", "ABC123,全角"),
    ("nfkc", "cafe\u0301 ﬁt ㎏", "café fit kg"),
    ("control", "零\u200b宽\ufeff字\u00ad符\u202e", "零宽字符"),
    ("control", "tab\tand\nline\x00", "tab and line"),
    ("urls", "see https://example.com/a?b=c&d now", "see   now"),
    ("urls", "WWW.Example.COM，好", " ，好"),
    ("urls", "链接https://t.cn/Abc很好", "链接 很好"),
    ("urls", "见www.taobao.com", "见 "),
    ("urls", "awww.that is sweet, not xhttps://", "awww.that is sweet, not xhttps://"),
    ("spaces", "  a \u3000 b\n\nc\u00a0", "a b c"),
]


@pytest.mark.parametrize(("step", "text", "expected"), EXAMPLES)
def test_each_step_alone(step, text, expected):
    assert clean(text, only(step)) == expected


@pytest.mark.parametrize(("step", "text", "expected"), [e for e in EXAMPLES if e[1] != e[2]])
def test_each_switch(step, text, expected):
    assert clean(text, only()) == text
    assert clean(text, Cleaning(**{step: False})) != clean(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("&lt;p&gt;质量&nbsp;&nbsp;很好！&lt;/p&gt; 见https://t.cn/x，推荐", "质量 很好! 见 ,推荐"),
        ("Five\u200b stars &amp; more <br>Ｇｒｅａｔ", "Five stars & more Great"),
        ("plain text", "plain text"),
        ("<br/>", None),
        ("https://example.com", None),
        (" \u3000\u200b", None),
        ("", None),
        (None, None),
    ],
)
def test_all_steps(text, expected):
    assert clean(text) == expected


@pytest.mark.parametrize("step", ["nfkc", "control", "urls", "spaces"])
@settings(deadline=None)
@given(text=st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("htps:/w. \u200b\n\u3000Ａ很")), max_size=30))
def test_steps_are_idempotent(step, text):
    once = clean(text, only(step))
    assert clean(once, only(step)) == once


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["很好", "good ", "Ｑ", "１", " ", "\n", "\u200b", "https://t.cn/a", "www.x.y", "，", "a < b", "!"])
    )
)
def test_cleaning_plain_text_is_idempotent(parts):
    once = clean("".join(parts))
    assert clean(once) == once
    assert once is None or (once == once.strip() and "  " not in once)


def test_columns():
    texts = ["a &amp; b", None, "c", "&lt;i&gt;", ""] * 2
    assert pl.DataFrame({"t": texts}).select(Cleaning()(pl.col("t")))["t"].to_list() == ["a & b", None, "c", None, None] * 2
