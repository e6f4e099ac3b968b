"""Bearer tokens and their roles."""

import hashlib
import hmac
from enum import IntEnum
from pathlib import Path

from interestlab.errors import DataError

MIN_LENGTH = 16


class Role(IntEnum):
    """What a token allows; a higher role includes the lower ones."""

    read = 1
    write = 2
    admin = 3


class Tokens:
    """The tokens that a server accepts.

    Args:
        roles: role of each token; empty: no token is needed.
    """

    def __init__(self, roles: dict[str, Role]) -> None:
        self._roles = [(_digest(token), role) for token, role in roles.items()]

    @property
    def is_open(self) -> bool:
        """Whether no token is needed."""
        return not self._roles

    def role_of(self, authorization: str) -> Role | None:
        """Return the role of a request; None if its token is not known.

        Args:
            authorization: value of the header of that name.
        """
        if self.is_open:
            return Role.admin
        scheme, _, token = authorization.partition(" ")
        given, found = _digest(token.strip()), None
        for digest, role in self._roles:  # every token is compared, so that the time tells nothing
            if hmac.compare_digest(given, digest):
                found = role
        return found if scheme.lower() == "bearer" else None


def read_tokens(file: Path) -> Tokens:
    """Read tokens from a file with lines ``ROLE TOKEN``; empty lines and lines that start with ``#`` are ignored.

    Args:
        file: the file.

    Raises:
        DataError: the file cannot be read, has no token, or a line has another form.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(f"{file}: {err}; give the file of the tokens.") from err
    roles: dict[str, Role] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[0] not in Role.__members__:
            raise DataError(f"{file}: line {number} is not ROLE TOKEN, where the role is {', '.join(Role.__members__)}.")
        if len(words[1]) < MIN_LENGTH:
            raise DataError(f"{file}: the token of line {number} has fewer than {MIN_LENGTH} characters.")
        roles[words[1]] = Role[words[0]]
    if not roles:
        raise DataError(f"{file} contains no token; write lines such as `admin TOKEN`.")
    return Tokens(roles)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
