"""The event log of a benchmark: files of the user's own, or a simulated log."""

import argparse
from typing import cast

from interestlab import sources
from interestlab.contract import Source


def log_source(options: argparse.Namespace) -> Source:
    """Return the source that the options of :func:`benchmarks.harness.options.add_log_options` choose."""
    if options.interactions:
        return cast(Source, sources.files(interactions=options.interactions, items=options.items))
    return cast(Source, sources.simulated(users=options.users, items=options.catalogue, events=20))
