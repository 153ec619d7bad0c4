"""The options of `pytest --pyargs onnx_roialign.conformance`, which runs each case as a test.

It is an entry point of pytest, because pytest reads options before it imports packages. It imports nothing before the
tests of this folder are collected.
"""

from __future__ import annotations

from typing import Any

__all__ = ["pytest_addoption"]


def pytest_addoption(parser: Any) -> None:
    """Adds the options, which are those of `onnx-roialign conform`."""
    group = parser.getgroup("RoiAlign conformance (pytest --pyargs onnx_roialign.conformance)")
    group.addoption(
        "--roialign-backend", metavar="BACKEND", help="A built-in backend, module:Class or path/file.py:Class."
    )
    group.addoption(
        "--roialign-worker", metavar="COMMAND", help="A program with the worker protocol, instead of a backend."
    )
    group.addoption("--roialign-python", metavar="PYTHON", help="A Python that has the backend's runtime.")
    group.addoption("--roialign-known", metavar="FILE", help="File of known deviations of the backend.")
    group.addoption("--roialign-timeout", type=float, default=20.0, help="Time limit of a case, in seconds.")
    group.addoption("--roialign-memory", type=int, default=2048, help="Memory limit of a worker, in megabytes.")
