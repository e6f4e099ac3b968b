"""Lines of a file, plain or gzip, with their numbers: what is broken costs its own line and no other."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from interestlab_sources.progress import ByteBar

Line = tuple[int, bytes]
"""Number in the file, from 1, and the bytes without the newline."""

Reject = Callable[[int, str], None]
"""Takes the number of a line that is no row, and why."""

CHUNK = 50_000
"""Lines that are held as Python objects at a time."""

LONGEST = 64 << 20
"""Bytes of a line that is held at all: a few megabytes of gzip can hold one that fills any memory."""

_BLOCK = 1 << 18
_BOM = b"\xef\xbb\xbf"


def numbered_lines(path: Path, reject: Reject) -> Iterator[Line]:
    """Every line of ``path``, the blank ones too.

    A gzip is known by its first bytes, whatever its name. Where it breaks off, the lines before are kept and the line
    at the break is rejected, as is a line of over :data:`LONGEST` bytes.
    """
    number = held = 0
    parts: list[bytes] = []  # of a line that is longer than a block: joined once, or a huge line takes quadratic time
    with path.open("rb") as raw, ByteBar(path) as bar:
        stream = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
        while True:
            try:
                block = stream.read1(_BLOCK)  # read() would lose what it had already unpacked when it meets the break
            except (EOFError, OSError, zlib.error) as error:
                reject(number + 1, f"the file breaks off here: {error}")
                return
            if not block:
                break
            bar.at(raw.tell())
            if b"\n" not in block:
                held += len(block)
                parts.append(block)
                if held > LONGEST:
                    parts.clear()
                continue
            if held + block.index(b"\n") > LONGEST:
                number += 1
                reject(number, _too_long())
                parts, block = [], block.partition(b"\n")[2]
            *whole, rest = b"".join([*parts, block]).split(b"\n")
            if number == 0:
                whole[0] = whole[0].removeprefix(_BOM)
            yield from enumerate(whole, number + 1)
            number += len(whole)
            parts, held = [rest], len(rest)
    if held > LONGEST:
        reject(number + 1, _too_long())
    elif last := b"".join(parts):
        yield number + 1, last.removeprefix(_BOM) if number == 0 else last


def _too_long() -> str:
    return f"a line of over {LONGEST >> 20:,} MiB"


def chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """``lines`` by :data:`CHUNK`."""
    while chunk := list(islice(lines, CHUNK)):
        yield chunk


def fault(line: bytes) -> str | None:
    """Why no text can be read from ``line``, if so."""
    if b"\0" in line:
        return "a NUL byte"
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start + 1}"
    return None
