"""Paths of the compiled library, its C header, CMake package and pkg-config file."""

from __future__ import annotations

import importlib.resources
import os
import sys

from onnx_roialign.errors import NativeLibraryError

__all__ = ["cmake_dir", "include_dir", "library_path", "pkgconfig_dir"]


def library_path() -> str:
    """Returns the path of the compiled library, for onnxruntime in any language.

    It is a library of custom ops (``register_custom_ops_library``) and, from onnxruntime 1.24.1 on, one of an execution
    provider (``register_execution_provider_library``).

    Raises:
        NativeLibraryError: this installation has no library, because it was built without a compiler.
    """
    name = {"darwin": "libonnx_roialign.dylib", "win32": "onnx_roialign.dll"}.get(sys.platform, "libonnx_roialign.so")
    return _path("the compiled library", name)


def include_dir() -> str:
    """Returns the folder of the C header ``onnx_roialign.h``.

    Raises:
        NativeLibraryError: this installation has no library, because it was built without a compiler.
    """
    return os.path.dirname(_path("the C header", "include/onnx_roialign.h"))


def cmake_dir() -> str:
    """Returns the folder of the CMake package, for ``cmake -Donnx_roialign_DIR=...``.

    ``find_package(onnx_roialign CONFIG)`` then defines the target ``onnx_roialign::onnx_roialign``.

    Raises:
        NativeLibraryError: this installation has no library, because it was built without a compiler.
    """
    return os.path.dirname(_path("the CMake package", "cmake/onnx_roialignConfig.cmake"))


def pkgconfig_dir() -> str:
    """Returns the folder of the pkg-config file ``onnx_roialign.pc``, for ``PKG_CONFIG_PATH``.

    Raises:
        NativeLibraryError: this installation has no library, because it was built without a compiler.
    """
    return os.path.dirname(_path("the pkg-config file", "pkgconfig/onnx_roialign.pc"))


def _path(subject: str, name: str) -> str:
    # Not relative to __file__: an editable install stores the library in another folder than the sources.
    path = str(importlib.resources.files("onnx_roialign").joinpath(name))
    if not os.path.isfile(path):
        path = _installed(name)
    if not os.path.isfile(path):
        raise NativeLibraryError(
            f"{subject} is missing, no {name} in the package onnx_roialign: "
            "reinstall with a C++17 compiler and CMake present (pip install .)"
        )
    return path


def _installed(name: str) -> str:
    """Returns the path of the installed file, in case a checkout in the current folder hides the installed package."""
    import importlib.metadata  # takes 20 ms and is rarely needed

    try:
        return str(importlib.metadata.distribution("onnx_roialign").locate_file(f"onnx_roialign/{name}"))
    except importlib.metadata.PackageNotFoundError:
        return ""
