"""Silences onnxruntime's log, whose messages about errors are also in the exceptions that it raises."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

__all__ = ["ERRORS_ONLY", "NOTHING", "log_only", "silent_options"]

# onnxruntime's log severities "error" and "fatal".
ERRORS_ONLY, NOTHING = 3, 4


def silent_options(*, optimize: bool = True, profile: Path | None = None) -> onnxruntime.SessionOptions:
    """Options for a session that logs nothing.

    Args:
        optimize: whether onnxruntime may change the graph and run nodes of constants when it creates the session.
        profile: the beginning of the path of its profiler's file; None: no profile.
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
    """Sets the severity of the process's default logger, to which kernels warn: `ERRORS_ONLY` or `NOTHING`."""
    onnxruntime.set_default_logger_severity(severity)
