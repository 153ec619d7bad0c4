"""onnxruntime without its log: where what it refuses is a result, its text is in the exception already."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

__all__ = ["ERRORS_ONLY", "NOTHING", "log_only", "silent_options"]

# onnxruntime's log severities "error" and "fatal".
ERRORS_ONLY, NOTHING = 3, 4


def silent_options(*, optimize: bool = True, profile: Path | None = None) -> onnxruntime.SessionOptions:
    """Options of a session that logs nothing.

    Args:
        optimize: whether onnxruntime may change the graph, and run nodes of constants when the session is made.
        profile: beginning of the path of a file for its profiler; None: no profile.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = NOTHING
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return options


def log_only(severity: int) -> None:
    """Sets what the default logger of this process logs, on which kernels warn: `ERRORS_ONLY` or `NOTHING`."""
    onnxruntime.set_default_logger_severity(severity)
