"""What commands print: JSON with the keys that every document has, and lines that stay one line.

Each document has schema_version, tool_version and command; that of a command that reads a MODEL also the model's opset
and its numbers of nodes and RoiAligns. `schemas/COMMAND.schema.json` describes the document of a command,
`schemas/error.schema.json` that of a command that ends with an error. Later versions add keys, but do not rename or
remove any.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import onnx

from onnx_roialign import __version__
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.onnx_model.scopes import default_opset, scopes
from onnx_roialign.ops.nodes import is_any_roi_align

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["SCHEMA_VERSION", "document", "number", "print_lines", "printable", "size_of", "to_json", "write_json"]

SCHEMA_VERSION = 1  # changes only if a key changes its meaning or is removed


def document(command: str | None, content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the document of a command: the keys that all have, then its own."""
    return {"schema_version": SCHEMA_VERSION, "tool_version": __version__, "command": command, **content}


def to_json(content: Mapping[str, Any]) -> str:
    """Returns a document as text; NaN and infinities, which JSON does not have, must be strings: see `number`."""
    return json.dumps(content, indent=2, allow_nan=False)


def write_json(command: str, content: Mapping[str, Any]) -> None:
    """Writes the document of a command to stdout."""
    sys.stdout.write(f"{to_json(document(command, content))}\n")


def number(value: float) -> float | str:
    """Returns a number as JSON has it: NaN and infinities are the strings "nan", "inf" and "-inf"."""
    return value if math.isfinite(value) else str(value)


def size_of(model: onnx.ModelProto) -> dict[str, int | None]:
    """Returns a model's opset, and the numbers of its nodes and of its RoiAligns: opset, nodes, roi_aligns.

    Nodes and RoiAligns, ONNX's and the private operators, count in the graph, in bodies and in functions. The opset is
    None if the model imports none; all three are None if it imports several, so that its nodes have no one meaning.
    """
    try:
        opset = default_opset(model.opset_import)
        nodes = [node for scope in scopes(model) for node in scope.nodes]
    except RoiAlignError:
        return {"opset": None, "nodes": None, "roi_aligns": None}
    return {"opset": opset, "nodes": len(nodes), "roi_aligns": sum(map(is_any_roi_align, nodes))}


def printable(text: str) -> str:
    """Returns a text in one line, with escapes for control characters, which a name in a model can have."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Prints lines as they are, without wrapping them."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
