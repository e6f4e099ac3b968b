"""Read the lines of a file, plain or gzip, with their numbers. An unreadable line does not affect the others."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from interestlab_sources.progress import ByteBar

Line = tuple[int, bytes]
"""Line number in the file, from 1, and the bytes without the newline."""

Block = tuple[int, bytes]
"""Number of the first line, and the bytes of consecutive complete lines. Only the last line of a file may lack its newline."""

Reject = Callable[[int, str], None]
"""Takes the number of a line that is not a row, and the reason."""

CHUNK = 50_000
"""Lines that exist as Python objects at a time."""

LONGEST = 64 << 20
"""Longest line in bytes; a few megabytes of gzip can contain a line that fills any memory."""

BLOCK = 4 << 20
"""Bytes of complete lines that are handed on at a time."""

_READ_SIZE = 1 << 18
_BOM = b"\xef\xbb\xbf"


def line_blocks(path: Path, reject: Reject) -> Iterator[Block]:
    """Read a file as blocks of complete lines of about :data:`BLOCK` bytes, without the byte order mark.

    Gzip is recognised by its first bytes, whatever the file's name. If it is truncated or corrupted, the lines before the
    break are returned and the line at the break is rejected. Lines over :data:`LONGEST` bytes are rejected.

    Args:
        path: a readable file.
        reject: called with each rejected line.

    Yields:
        Blocks in file order.
    """
    number = 1
    complete: list[bytes] = []  # pieces that end with a newline
    # Pieces of the next line. They are joined once: joining a huge line piece by piece takes quadratic time.
    unfinished: list[bytes] = []
    size = unfinished_size = 0

    def take_block() -> Iterator[Block]:
        nonlocal number, size
        if block := b"".join(complete):
            yield number, block.removeprefix(_BOM) if number == 1 else block
            number += block.count(b"\n")
        complete.clear()
        size = 0

    with path.open("rb") as raw, ByteBar(path) as bar:
        stream = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
        while True:
            try:
                piece = stream.read1(_READ_SIZE)  # read() would lose what it has already decompressed at a break
            except (EOFError, OSError, zlib.error) as error:
                yield from take_block()
                reject(number, f"the file is truncated or corrupted from here on: {error}")
                return
            if not piece:
                break
            bar.update(raw.tell())
            if b"\n" not in piece:
                unfinished_size += len(piece)
                unfinished.append(piece)
                if unfinished_size > LONGEST:
                    unfinished.clear()
                continue
            if unfinished_size + piece.index(b"\n") > LONGEST:
                yield from take_block()
                reject(number, _too_long())
                number += 1
                unfinished.clear()
                piece = piece.partition(b"\n")[2]
            end = piece.rfind(b"\n") + 1
            if end:
                complete += [*unfinished, piece[:end]]
                size += sum(map(len, unfinished)) + end
                unfinished.clear()
            unfinished.append(piece[end:])
            unfinished_size = sum(map(len, unfinished))
            if size >= BLOCK:
                yield from take_block()
    yield from take_block()
    if unfinished_size > LONGEST:
        reject(number, _too_long())
    elif last := b"".join(unfinished):
        yield number, last.removeprefix(_BOM) if number == 1 else last


def numbered_lines(path: Path, reject: Reject) -> Iterator[Line]:
    """Read a file line by line, including blank lines; see :func:`line_blocks`.

    Args:
        path: a readable file.
        reject: called with each rejected line.

    Yields:
        Lines in file order.
    """
    for number, block in line_blocks(path, reject):
        yield from split_lines(number, block)


def split_lines(number: int, block: bytes) -> Iterator[Line]:
    """Split a block into lines.

    Args:
        number: number of the first line.
        block: complete lines.

    Yields:
        Lines in file order.
    """
    yield from enumerate(block.removesuffix(b"\n").split(b"\n"), number)


class LineReader:
    """Lines of a file one by one, or the rest of a block at once.

    Args:
        blocks: blocks from :func:`line_blocks`.

    Attributes:
        bytes_read: bytes that were handed out or skipped.
    """

    def __init__(self, blocks: Iterator[Block]) -> None:
        self.bytes_read = 0
        self._blocks = blocks
        self._block = b""
        self._position, self._number = 0, 1

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        start = self._position
        if start >= len(self._block):
            if not self._load():
                raise StopIteration
            start = 0
        end = self._block.find(b"\n", start)
        end = len(self._block) if end < 0 else end
        line = self._number, self._block[start:end]
        self._position = end + 1
        self._number += 1
        self.bytes_read += end + 1 - start
        return line

    def rest_of_block(self) -> Block | None:
        """Return the lines that are left in the current block, or the next block; None at the end of the file."""
        return (self._number, self._block[self._position :]) if self._load() else None

    def skip(self, size: int) -> None:
        """Go past complete lines of the current block.

        Args:
            size: their number of bytes.
        """
        self._number += self._block.count(b"\n", self._position, self._position + size)
        self._position += size
        self.bytes_read += size

    def _load(self) -> bool:
        """Start the next block if the current one is used up; return False at the end of the file."""
        while self._position >= len(self._block):
            block = next(self._blocks, None)
            if block is None:
                return False
            (self._number, self._block), self._position = block, 0
        return True


def chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Group lines by :data:`CHUNK`.

    Args:
        lines: in file order.

    Yields:
        Lists of lines.
    """
    while chunk := list(islice(lines, CHUNK)):
        yield chunk


def decoding_error(line: bytes) -> str | None:
    """Return why a line is not text, or None.

    Args:
        line: without its newline.
    """
    if b"\0" in line:
        return "contains a NUL byte"
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start + 1}"
    return None


def _too_long() -> str:
    return f"line longer than {LONGEST >> 20:,} MiB"
