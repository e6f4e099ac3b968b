"""What a request cannot get, by the reason; the HTTP part gives each its status."""

from interestlab.errors import DataError


class ConflictError(DataError):
    """Something of this id exists already, and differs."""


class NotFoundError(DataError):
    """There is nothing of this id."""


class StoreError(DataError):
    """The store cannot be written now; what was to be written is not."""


class OverloadError(RuntimeError):
    """The server has too much to do now: nothing was done, and the request may be sent again."""
