"""Ways to damage a file: in single lines, which leaves the other lines valid, or anywhere."""

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


def damage_line(rng: random.Random, text: bytes, separator: bytes, quotes: bool) -> bytes:
    """Return the damaged line. It is still one line, and has no quote unless ``quotes``."""
    choice = rng.randrange(7)
    fields = text.split(separator)
    field_index = rng.randrange(len(fields))
    if choice == 0:
        bytes_ = bytearray(text)
        for _ in range(rng.randint(1, 3)):
            bytes_[rng.randrange(len(bytes_))] ^= 1 << rng.randrange(8)
        text = bytes(bytes_)
    elif choice == 1:
        text = text[: rng.randrange(len(text))]
    elif choice == 2:
        text = separator.join(fields[:field_index] + fields[field_index + 1 :])
    elif choice == 3:
        text = separator.join([*fields[:field_index], fields[field_index], *fields[field_index:]])
    elif choice == 4:
        text = separator.join([*fields[:field_index], rng.choice(NASTY), *fields[field_index + 1 :]])
    elif choice == 5:
        position = rng.randrange(len(text) + 1)
        text = text[:position] + rng.choice(NASTY) + text[position:]
    else:
        text = rng.randbytes(rng.randint(1, 60))
    text = text.replace(b"\n", b" ")
    return text if quotes else text.replace(b'"', b"'").replace(b"\r", b" ")


def _flips(rng: random.Random, raw: bytes) -> bytes:
    out = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _truncate(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw))]


def _drop(rng: random.Random, raw: bytes) -> bytes:
    first, last = sorted(rng.randrange(len(raw)) for _ in range(2))
    return raw[:first] + raw[last:]


def _repeat(rng: random.Random, raw: bytes) -> bytes:
    first, last = sorted(rng.randrange(len(raw)) for _ in range(2))
    return raw[:last] + raw[first:]


def _insert(rng: random.Random, raw: bytes) -> bytes:
    position = rng.randrange(len(raw) + 1)
    return raw[:position] + rng.choice((rng.randbytes(rng.randint(1, 40)), b'"', b"\n", b"\r\n", *NASTY)) + raw[position:]


def _reencode(rng: random.Random, raw: bytes) -> bytes:
    text = raw.decode(errors="replace")
    return text.encode(rng.choice(("utf-16", "utf-32", "utf-16-be", "cp1252", "gbk", "utf-7")), errors="replace")


def _with_byte_order_mark(rng: random.Random, raw: bytes) -> bytes:
    return b"\xef\xbb\xbf" + raw


def _other_line_endings(rng: random.Random, raw: bytes) -> bytes:
    return raw.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\n\r")))


def _insert_zeros(rng: random.Random, raw: bytes) -> bytes:
    position = rng.randrange(len(raw))
    return raw[:position] + bytes(rng.choice((1, 512, 4096))) + raw[position:]


def _gzipped(rng: random.Random, raw: bytes) -> bytes:
    return gzip.compress(raw, 1)


def _corrupt_gzip(rng: random.Random, raw: bytes) -> bytes:
    return rng.choice((_flips, _truncate, _drop, _insert))(rng, gzip.compress(raw, 1))


def _insert_quotes(rng: random.Random, raw: bytes) -> bytes:
    out = raw
    for _ in range(rng.randint(1, 6)):
        position = rng.randrange(len(out) + 1)
        out = out[:position] + b'"' + out[position:]
    return out


def _lengthen(rng: random.Random, raw: bytes) -> bytes:
    position = rng.randrange(len(raw) + 1)
    return raw[:position] + b"x" * rng.choice((20_000, 300_000)) + raw[position:]


ANYWHERE: list[Callable[[random.Random, bytes], bytes]] = [
    *(
        _flips,
        _truncate,
        _drop,
        _repeat,
        _insert,
        _reencode,
        _with_byte_order_mark,
        _other_line_endings,
        _insert_zeros,
        _gzipped,
        _corrupt_gzip,
        _insert_quotes,
        _lengthen,
    ),
]


def damage_anywhere(rng: random.Random, raw: bytes) -> bytes:
    """Return the file damaged in one to three ways."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        raw = rng.choice(ANYWHERE)(rng, raw) if raw else raw
    return raw
