"""Measures the peak memory of a session in a new process that creates it and runs it once.

``python -m onnx_roialign.bench.memory MODEL INPUTS ENGINE THREADS FOLDER`` prints the process's largest resident memory
in bytes. It does not use getrusage, whose value a new process inherits from its parent.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from onnx_roialign.bench.scratch import status_bytes
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.options import FOLDER_ENTRY
from onnx_roialign.sessions.session import Door, session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["door_of", "session_bytes"]

_TIMEOUT_S = 600


def door_of(engine: str) -> Door:
    """The door through which an engine runs every node by itself: the execution provider makes one node of a pooler."""
    return "custom_op" if engine == "native" else "auto"


def session_bytes(model: Path, inputs: Path, engine: str, threads: int, folder: str) -> int | None:
    """Returns the peak bytes of a process that loads a model and runs it once; None if it fails or /proc is missing.

    Args:
        model: the model's file.
        inputs: a file with the pickled arrays by input name.
        engine: engine of the session.
        threads: number of threads of the session.
        folder: folder of the model's external data; empty: it has none.
    """
    if not Path("/proc/self/status").exists():
        return None
    command = [sys.executable, "-m", __name__, str(model), str(inputs), engine, str(threads), folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (subprocess.SubprocessError, OSError):
        return None
    return int(done.stdout)


def _measure(model: str, inputs: str, engine: str, threads: str, folder: str) -> int:
    options = silent_options()
    options.intra_op_num_threads = int(threads)
    if folder:
        options.add_session_config_entry(FOLDER_ENTRY, folder)
    feeds = pickle.loads(Path(inputs).read_bytes())
    run_session(session(model, options, engine=engine, door=door_of(engine)), feeds)
    return status_bytes("VmHWM")


if __name__ == "__main__":
    sys.stdout.write(f"{_measure(*sys.argv[1:])}\n")
