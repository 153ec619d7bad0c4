"""Packages that pip does not install with this one: where one is missing, one line says what to install."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import MappingProxyType

from onnx_roialign.errors import MissingPackageError

__all__ = ["imported_for"]

# Top-level module -> what brings it. Every build of onnxruntime is named: the wrong one would replace the user's.
_BROUGHT_BY = MappingProxyType(
    {
        "onnxruntime": (
            "pip install onnxruntime, or the build for your hardware "
            "(onnxruntime-gpu, onnxruntime-openvino, onnxruntime-directml, onnxruntime-qnn)"
        ),
        "onnxruntime_extensions": "pip install 'onnx_roialign[reference]'",
        "onnx_ir": "pip install 'onnx_roialign[graph]'",
        "typer": "pip install 'onnx_roialign[cli]'",
        "rich": "pip install 'onnx_roialign[cli]'",
        "matplotlib": "pip install 'onnx_roialign[plot]'",
    }
)


@contextlib.contextmanager
def imported_for(what: str) -> Iterator[None]:
    """Around imports, of which any may need a package that is not installed.

    Args:
        what: needs them; the error begins with it.

    Raises:
        MissingPackageError: such a package is missing; the text says what to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if isinstance(error, MissingPackageError) or package not in _BROUGHT_BY:
            raise
        text = f"{what} needs {package}, which is not installed: {_BROUGHT_BY[package]}"
        raise MissingPackageError(text, name=package) from None
