"""Optional packages: if one is missing, an error of one line has the command that installs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import MappingProxyType

from onnx_roialign.errors import MissingPackageError

__all__ = ["imported_for"]

# Top-level module -> command that installs it. All builds of onnxruntime are listed: a second build replaces the first.
_INSTALLED_BY = MappingProxyType(
    {
        "onnxruntime": (
            "pip install onnxruntime, or the build for your hardware "
            "(onnxruntime-gpu, onnxruntime-openvino, onnxruntime-directml, onnxruntime-qnn)"
        ),
        "onnxruntime_extensions": "pip install 'onnx_roialign[reference]'",
        "onnx_ir": "pip install 'onnx_roialign[graph]'",
        "typer": "pip install 'onnx_roialign[cli]'",
        "rich": "pip install 'onnx_roialign[cli]'",
        "psutil": "pip install 'onnx_roialign[conform]'",
        "jinja2": "pip install 'onnx_roialign[conform]'",
        "hypothesis": "pip install 'onnx_roialign[conform]'",
        "ray": "pip install 'onnx_roialign[ray]'",
        "matplotlib": "pip install 'onnx_roialign[plot]'",
    }
)


@contextlib.contextmanager
def imported_for(feature: str) -> Iterator[None]:
    """Context manager around imports that may need an optional package.

    Args:
        feature: the function or command that needs the imports; the message begins with it.

    Raises:
        MissingPackageError: an optional package is not installed; the message has the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if isinstance(error, MissingPackageError) or package not in _INSTALLED_BY:
            raise
        text = f"{feature} needs {package}, which is not installed: {_INSTALLED_BY[package]}"
        raise MissingPackageError(text, name=package) from None
