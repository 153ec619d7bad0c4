"""The options of `pytest --pyargs onnx_roialign.conformance`, which runs each case as a test.

It is an entry point of pytest: pytest reads options before it looks into packages. It imports nothing until the tests
of this folder are collected.
"""

from __future__ import annotations

from typing import Any

__all__ = ["pytest_addoption"]


def pytest_addoption(parser: Any) -> None:
    """Adds the options; they are those of `onnx-roialign conform`."""
    group = parser.getgroup("RoiAlign conformance (pytest --pyargs onnx_roialign.conformance)")
    group.addoption(
        "--roialign-backend", metavar="BACKEND", help="A built-in backend, module:Class or path/file.py:Class."
    )
    group.addoption("--roialign-worker", metavar="COMMAND", help="A program that speaks the worker protocol, instead.")
    group.addoption("--roialign-python", metavar="PYTHON", help="The Python that has the backend's runtime.")
    group.addoption("--roialign-known", metavar="FILE", help="File of known deviations of the backend.")
    group.addoption("--roialign-timeout", type=float, default=20.0, help="Seconds that a case may take.")
    group.addoption("--roialign-memory", type=int, default=2048, help="Megabytes that a worker may take.")
