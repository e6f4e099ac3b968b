"""Cleaning of Chinese and English text, as Polars expressions over distinct texts."""

from dataclasses import dataclass
from html import unescape

import polars as pl

WORDS = ("event", "text", "words", "summary", "title", "description", "brand", "category")
"""Columns that hold words by their name; in any other a value may be an address, which is kept."""

ADDRESS = r"(?i)^\s*(?:(?:https?://|www\.)[!-~]+|.*\.(?:jpe?g|png|gif|webp|bmp|tiff?|avif))\s*$"
"""A value that is a web address and nothing else, or the name of an image file."""


@dataclass(frozen=True)
class Cleaning:
    """Which steps are taken, in this order.

    Args:
        entities: decode HTML entities (``&amp;`` -> ``&``).
        tags: drop HTML tags.
        urls: drop web addresses.
        nfkc: Unicode NFKC: full-width letters and digits become plain ones.
        control: drop control and zero-width characters.
        spaces: fold white space into single blanks.
    """

    entities: bool = True
    tags: bool = True
    urls: bool = True
    nfkc: bool = True
    control: bool = True
    spaces: bool = True

    def __call__(self, text: pl.Expr) -> pl.Expr:
        """``text`` cleaned; a text of which nothing is left becomes null."""
        if self.entities:
            text = pl.when(text.str.contains("&", literal=True)).then(unescaped(text)).otherwise(text)
        if self.tags:
            text = text.str.replace_all(r"</?[A-Za-z][^<>]*>|(?s:<!--.*?-->)", " ")
        if self.urls:
            # An address is ASCII: Chinese words and, before NFKC, commas end it without a blank.
            text = text.str.replace_all(r"(?i)(?-u:\b)(?:https?://|www\.)[!-~]+", " ")
        if self.nfkc:
            text = text.str.normalize("NFKC")
        if self.control:
            # Tabs and line ends are control characters too, but they part words.
            text = text.str.replace_all(r"[\t\n\v\f\r\x{85}]", " ").str.replace_all(r"[\p{Cc}\p{Cf}]", "")
        if self.spaces:
            text = text.str.replace_all(r"\s+", " ").str.strip_chars()
        return pl.when(text.str.len_bytes() > 0).then(text)

    def column(self, name: str) -> pl.Expr:
        """A column cleaned; outside of :data:`WORDS` an address loses the blanks around it and nothing else."""
        text = pl.col(name)
        if name in WORDS:
            return self(text).alias(name)
        return pl.when(text.str.contains(ADDRESS)).then(text.str.strip_chars()).otherwise(self(text)).alias(name)


def unescaped(text: pl.Expr) -> pl.Expr:
    """HTML entities decoded; Polars has no function of its own for it."""
    return text.map_batches(lambda s: pl.Series(s.name, [v and unescape(v) for v in s], pl.String), return_dtype=pl.String)
