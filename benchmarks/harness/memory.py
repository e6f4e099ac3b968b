"""Memory of this process, and of a piece of work."""

import ctypes
import re
import sys
from collections.abc import Callable
from pathlib import Path


def process_memory(key: str) -> float | None:
    """Return MiB of this process as Linux counts them: ``VmRSS`` now, ``VmHWM`` at the peak; None on other systems."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    match = re.search(rf"^{key}:\s+(\d+)", status.read_text(), re.MULTILINE)
    return int(match[1]) / 2**10 if match else None


def process_peak() -> float:
    """Return the peak memory of this process in MiB.

    ``ru_maxrss`` is the fallback alone: in a child process it starts at the parent's value.
    """
    peak = process_memory("VmHWM")
    if peak is not None:
        return peak
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def release_free_memory() -> None:
    """Return freed memory to the system or the GPU, where the allocator would keep it."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    else:
        _trim_heap()


def peak_of(work: Callable[[], object], device: object) -> float | None:
    """Return the MiB that a call of ``work`` adds at its peak.

    Args:
        work: is called once.
        device: where the work runs, such as ``cpu`` or ``cuda``.

    Returns:
        the peak above what was allocated before; None if the system does not report it.
    """
    if str(device).startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats()
        before_gpu = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before_gpu) / 2**20
    before = _reset_process_peak()
    work()
    after = process_memory("VmHWM")
    return None if before is None or after is None else after - before


def _trim_heap() -> None:
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # glibc has it, musl does not
        libc.malloc_trim(0)


def _reset_process_peak() -> float | None:
    """Restart Linux's count of the peak, and return the MiB in use now."""
    if sys.platform != "linux":
        return None
    _trim_heap()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # some containers have no such file
        return None
    return process_memory("VmRSS")
