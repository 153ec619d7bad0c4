"""Describes the machine and the versions of a measurement."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from onnx_roialign import __version__
from onnx_roialign.sessions.options import usable_cores

__all__ = ["describe_machine"]

_PACKAGES = ("onnxruntime", "numpy")


def describe_machine(peers: Sequence[str] = ()) -> dict[str, object]:
    """Returns cpu (model), cores (usable), system, python, and versions by package, `peers` included.

    Args:
        peers: names of further packages.
    """
    versions = {"onnx_roialign": __version__}
    for name in dict.fromkeys((*_PACKAGES, *peers)):
        versions[name] = _version(name)
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    fields = dict(re.findall(r"^(model name|cpu family|model|stepping)\s*: (.*)$", text.split("\n\n")[0], re.MULTILINE))
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    # Virtual machines hide the product's name; family and model identify the design.
    numbers = ", ".join(f"{key.removeprefix('cpu ')} {fields[key]}" for key in ("cpu family", "model") if key in fields)
    return f"{fields['model name']} ({numbers})"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version({"paddle": "paddlepaddle"}.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
