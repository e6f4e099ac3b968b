"""Clean Chinese and English text with Polars expressions."""

from dataclasses import dataclass
from html import unescape

import polars as pl

TEXT_COLUMNS = ("event", "text", "words", "summary", "title", "description", "brand", "category")
"""Columns that contain prose. In any other column a value may be a URL, which cleaning must not remove."""

URL_OR_IMAGE_NAME = r"(?i)^\s*(?:(?:https?://|www\.)[!-~]+|.*\.(?:jpe?g|png|gif|webp|bmp|tiff?|avif))\s*$"
"""Matches a value that is a URL and nothing else, or the name of an image file."""


@dataclass(frozen=True)
class Cleaning:
    """Text cleaning steps, applied in this order.

    Args:
        entities: decode HTML entities (``&amp;`` -> ``&``).
        tags: remove HTML tags.
        urls: remove URLs.
        nfkc: normalise to Unicode NFKC: full-width letters and digits become ASCII.
        control: remove control and zero-width characters.
        spaces: collapse white space into single spaces.
    """

    entities: bool = True
    tags: bool = True
    urls: bool = True
    nfkc: bool = True
    control: bool = True
    spaces: bool = True

    def __call__(self, text: pl.Expr) -> pl.Expr:
        """Clean a text expression; an empty result becomes null.

        Args:
            text: ``[rows]`` str.
        """
        if self.entities:
            text = pl.when(text.str.contains("&", literal=True)).then(_unescape_entities(text)).otherwise(text)
        if self.tags:
            text = text.str.replace_all(r"</?[A-Za-z][^<>]*>|(?s:<!--.*?-->)", " ")
        if self.urls:
            # A URL is ASCII: Chinese words and, before NFKC, full-width commas end it without a space.
            text = text.str.replace_all(r"(?i)(?-u:\b)(?:https?://|www\.)[!-~]+", " ")
        if self.nfkc:
            text = text.str.normalize("NFKC")
        if self.control:
            # Tabs and line ends are control characters too, but they separate words.
            text = text.str.replace_all(r"[\t\n\v\f\r\x{85}]", " ").str.replace_all(r"[\p{Cc}\p{Cf}]", "")
        if self.spaces:
            text = text.str.replace_all(r"\s+", " ").str.strip_chars()
        return pl.when(text.str.len_bytes() > 0).then(text)

    def clean_column(self, name: str) -> pl.Expr:
        """Clean one column; outside :data:`TEXT_COLUMNS` a URL or image name is only stripped.

        Args:
            name: name of a text column.
        """
        text = pl.col(name)
        if name in TEXT_COLUMNS:
            return self(text).alias(name)
        stripped = text.str.strip_chars()
        return pl.when(text.str.contains(URL_OR_IMAGE_NAME)).then(stripped).otherwise(self(text)).alias(name)


def clean_text_columns(frame: pl.DataFrame, cleaning: Cleaning, exclude: tuple[str, ...] = ()) -> pl.DataFrame:
    """Clean every text column of a frame.

    Args:
        frame: events or items.
        cleaning: the steps to apply.
        exclude: columns to leave as they are, such as ids.
    """
    columns = [c for c, t in frame.schema.items() if t == pl.String and c not in exclude]
    return frame.with_columns(cleaning.clean_column(c) for c in columns)


def _unescape_entities(text: pl.Expr) -> pl.Expr:
    """Decode HTML entities in Python: Polars has no expression for it."""
    return text.map_batches(lambda s: pl.Series(s.name, [v and unescape(v) for v in s], pl.String), return_dtype=pl.String)
