"""Keep Python's garbage collector from stopping the server."""

import gc


def settle() -> None:
    """Collect garbage, and exempt what is left from later collections.

    The libraries and the model are half a million objects that stay. A full collection walks through all of them, which takes
    some tenths of a second each time, and once more when the process ends.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
