"""Why a request is refused; the HTTP layer maps each error to a status."""

from interestlab.errors import DataError


class ConflictError(DataError):
    """Something else with this id already exists."""


class NotFoundError(DataError):
    """Nothing has this id."""


class StoreError(DataError):
    """The store cannot be written now; what was to be written is not."""


class OverloadError(RuntimeError):
    """The server has too much to do now: nothing was done, and the request may be sent again."""
