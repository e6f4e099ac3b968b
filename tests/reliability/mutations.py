"""Ways to break a file: some touch single lines, and leave the others as good as they were; some touch anything."""

import gzip
import random
from collections.abc import Callable

NASTY = (
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r",
    b"nan",
    b"-inf",
    b"1e400",
    b"9" * 400,
    b"-1",
    b"1e308",
    b"0x10",
    b"\xc2\xa0",
    b"\xe2\x80\xae",
    b"null",
    b"[" * 3000,
    b'{"a":' * 500,
    b"{'a': __import__('os')}",
    b"%s%n" * 20,
    b"=cmd()",
    b"x" * 100_000,
    "一万".encode("gbk"),
    "é".encode("latin-1"),
    b"\\u0000",
    b"\\ud800",
    b",,,,",
    b"\t\t\t",
    b":::",
)


def line(rng: random.Random, text: bytes, separator: bytes, quotes: bool) -> bytes:
    """One line broken; what comes out is one line too, and opens no quote where a quote can reach the next line."""
    how = rng.randrange(7)
    fields = text.split(separator)
    at = rng.randrange(len(fields))
    if how == 0:
        bytes_ = bytearray(text)
        for _ in range(rng.randint(1, 3)):
            bytes_[rng.randrange(len(bytes_))] ^= 1 << rng.randrange(8)
        text = bytes(bytes_)
    elif how == 1:
        text = text[: rng.randrange(len(text))]
    elif how == 2:
        text = separator.join(fields[:at] + fields[at + 1 :])
    elif how == 3:
        text = separator.join([*fields[:at], fields[at], *fields[at:]])
    elif how == 4:
        text = separator.join([*fields[:at], rng.choice(NASTY), *fields[at + 1 :]])
    elif how == 5:
        place = rng.randrange(len(text) + 1)
        text = text[:place] + rng.choice(NASTY) + text[place:]
    else:
        text = rng.randbytes(rng.randint(1, 60))
    text = text.replace(b"\n", b" ")
    return text if quotes else text.replace(b'"', b"'").replace(b"\r", b" ")


def _flips(rng: random.Random, raw: bytes) -> bytes:
    out = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw))]


def _drop(rng: random.Random, raw: bytes) -> bytes:
    first, last = sorted(rng.randrange(len(raw)) for _ in range(2))
    return raw[:first] + raw[last:]


def _repeat(rng: random.Random, raw: bytes) -> bytes:
    first, last = sorted(rng.randrange(len(raw)) for _ in range(2))
    return raw[:last] + raw[first:]


def _insert(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice((rng.randbytes(rng.randint(1, 40)), b'"', b"\n", b"\r\n", *NASTY)) + raw[at:]


def _encoded(rng: random.Random, raw: bytes) -> bytes:
    text = raw.decode(errors="replace")
    return text.encode(rng.choice(("utf-16", "utf-32", "utf-16-be", "cp1252", "gbk", "utf-7")), errors="replace")


def _marked(rng: random.Random, raw: bytes) -> bytes:
    return b"\xef\xbb\xbf" + raw


def _windows(rng: random.Random, raw: bytes) -> bytes:
    return raw.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\n\r")))


def _zeros(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + bytes(rng.choice((1, 512, 4096))) + raw[at:]


def _packed(rng: random.Random, raw: bytes) -> bytes:
    return gzip.compress(raw, 1)


def _badly_packed(rng: random.Random, raw: bytes) -> bytes:
    return rng.choice((_flips, _cut, _drop, _insert))(rng, gzip.compress(raw, 1))


def _quoted(rng: random.Random, raw: bytes) -> bytes:
    out = raw
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(out) + 1)
        out = out[:at] + b'"' + out[at:]
    return out


def _long(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + b"x" * rng.choice((20_000, 300_000)) + raw[at:]


ANYWHERE: list[Callable[[random.Random, bytes], bytes]] = [
    *(_flips, _cut, _drop, _repeat, _insert, _encoded, _marked, _windows, _zeros, _packed, _badly_packed, _quoted, _long),
]


def anything(rng: random.Random, raw: bytes) -> bytes:
    """A file broken by one to three ways."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        raw = rng.choice(ANYWHERE)(rng, raw) if raw else raw
    return raw
