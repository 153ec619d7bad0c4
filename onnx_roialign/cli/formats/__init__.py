"""The formats in which validate writes what it found: a function for each, from a Report to a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from onnx_roialign.cli.formats.documents import as_json
from onnx_roialign.cli.formats.github import as_annotations
from onnx_roialign.cli.formats.junit import as_junit
from onnx_roialign.cli.formats.report import Report
from onnx_roialign.cli.formats.sarif import as_sarif
from onnx_roialign.cli.formats.text import as_text

__all__ = ["FORMATS", "JSON", "TEXT"]

TEXT, JSON = "text", "json"
FORMATS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {TEXT: as_text, JSON: as_json, "sarif": as_sarif, "junit": as_junit, "github": as_annotations}
)
