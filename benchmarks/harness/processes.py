"""Run a benchmark in a process of its own, from this checkout or another one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def checkout_environment(checkout: Path = ROOT) -> dict[str, str]:
    """Return environment variables under which Python imports interestlab and its plugins from a checkout."""
    paths = [checkout, *sorted(checkout.glob("plugins/*/src"))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}


def checkout_python(checkout: Path = ROOT) -> str:
    """Return the interpreter of the checkout's ``.venv``, or the running one if it has none."""
    own = checkout / ".venv/bin/python"
    return str(own) if own.exists() and checkout.resolve() != ROOT else sys.executable


def run_python(arguments: Sequence[object], checkout: Path = ROOT) -> str:
    """Run Python in a checkout and return what it printed on standard output.

    Args:
        arguments: of the interpreter, such as ``-m benchmarks.overhead``.
        checkout: root of the repository whose code runs.

    Raises:
        SystemExit: the process failed.
    """
    # -P: `-m` would otherwise import from the working directory, which may be another checkout.
    command = [checkout_python(checkout), "-P", *map(str, arguments)]
    process = subprocess.run(command, env=checkout_environment(checkout), capture_output=True, text=True, check=False)
    if process.returncode:
        sys.stderr.write(process.stderr)
        raise SystemExit(f"the process `{' '.join(command)}` ended with status {process.returncode}")
    return process.stdout
