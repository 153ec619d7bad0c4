"""Measures the scratch memory of one run on this package's kernel: a new process's peak beyond inputs and outputs.

``python -m onnx_roialign.bench.scratch WORKLOAD DTYPE MODE ISA THREADS`` prints bytes. It creates the arrays and the
session, writes to the outputs, resets Linux's record of the process's largest resident memory, runs once, and reads the
record. Linux counts resident memory in batches of pages: the result is exact to about 0.3 MB.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from onnx_roialign.bench.peers import OURS, find_contestants
from onnx_roialign.bench.workloads import WORKLOADS, converted

__all__ = ["peak_bytes", "scratch_bytes", "status_bytes"]

_PROCESS = Path("/proc/self")
_RESET_PEAK = "5"  # see proc(5), clear_refs
_TIMEOUT_S = 120
_WARM_UP = "small_call"  # loads code and libraries, which are not scratch memory


def scratch_bytes(workload: str, dtype: str, mode: str, isa: str, threads: int) -> int | None:
    """Returns the peak bytes of a workload's first run beyond inputs and outputs; None without /proc/self/clear_refs.

    Args:
        workload: one of WORKLOADS.
        dtype: one of DTYPES.
        mode: "avg" or "max".
        isa: one of `native.available_isas()`.
        threads: number of threads of the session.
    """
    if not (_PROCESS / "clear_refs").exists():
        return None
    command = [sys.executable, "-m", "onnx_roialign.bench.scratch", workload, dtype, mode, isa, str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return int(done.stdout)


def _measure(workload: str, dtype: str, mode: str, isa: str, threads: str) -> int:
    contestants, _ = find_contestants((), (isa,), "avg")
    assert contestants[0].name == OURS
    contestants[0].prepare(converted(WORKLOADS[_WARM_UP](), dtype, mode), int(threads)).run()
    prepared = contestants[0].prepare(converted(WORKLOADS[workload](), dtype, mode), int(threads))
    return peak_bytes(prepared.run)


def peak_bytes(run: Callable[[], object]) -> int:
    """Returns the largest growth of the process's resident memory during `run`, in bytes."""
    (_PROCESS / "clear_refs").write_text(_RESET_PEAK)
    before = status_bytes("VmRSS")
    run()
    return max(0, status_bytes("VmHWM") - before)


def status_bytes(key: str) -> int:
    """Returns a size in bytes from /proc/self/status; see proc(5)."""
    found = re.search(rf"^{key}:\s+(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status must have {key}")
    return 1024 * int(found[1])


if __name__ == "__main__":
    sys.stdout.write(f"{_measure(*sys.argv[1:])}\n")
