"""All places that must handle a field of Semantics, and how to detect that they do."""

from __future__ import annotations

import re
from pathlib import Path

from onnx_roialign.definition.semantics import NUMBERS

# The package under test, which may be a copy: the folder from which it is imported.
ROOT = Path(__file__).resolve().parents[2]


def _text(*paths: str) -> str:
    return "".join(path.read_text(encoding="utf-8") for name in paths for path in sorted(ROOT.glob(name)))


def _reads(field: str, *paths: str) -> bool:
    return re.search(rf"\bsemantics_?\.{field}\b", _text(*paths)) is not None


def _member(field: str) -> str:
    """The name of the field in C and C++."""
    from onnx_roialign.engines import native

    return native._FLAGS.get(field, field)


def _struct(field: str) -> bool:
    from onnx_roialign.engines import native

    return _member(field) in dict(native._Arguments._fields_) and (field in NUMBERS or field in native._FLAGS)


def _probe(field: str) -> bool:
    from onnx_roialign.identification.probes import FIELD_PROBES

    return field in {probe.field for probe in FIELD_PROBES}


def _finding(field: str) -> bool:
    from onnx_roialign.graph.findings.by_reading import _FIELD_CODES
    from onnx_roialign.graph.findings.finding import CODES

    # offset and min_size have findings of their own, because ONNX's coordinate modes set the two together
    return _FIELD_CODES.get(field, field.replace("min_size", "minimum-size")) in CODES


def _drawn(field: str) -> bool:
    from meanings import _NUMBERS

    return field not in NUMBERS or field in _NUMBERS


# File or folder -> whether it handles a field. CONTRIBUTING.md lists exactly these.
PLACES = {
    "onnx_roialign/definition/": lambda field: _reads(
        field, *(f"onnx_roialign/definition/{name}.py" for name in ("geometry", "reference", "special"))
    ),
    "onnx_roialign/engines/native.py": _struct,
    "onnx_roialign/identification/probes.py": _probe,
    "onnx_roialign/graph/findings/finding.py": _finding,
    "kernels/problem.h": lambda field: (
        re.search(rf"^ +\w+ {_member(field)};", _text("kernels/problem.h"), re.M) is not None
    ),
    "kernels/plan/": lambda field: _reads(_member(field), "kernels/plan/*", "kernels/pool/*"),
    "kernels/c/onnx_roialign.h": lambda field: (
        re.search(rf"^ +\w+ {_member(field)};", _text("kernels/c/onnx_roialign.h"), re.M) is not None
    ),
    "kernels/c/call.cpp": lambda field: _reads(_member(field), "kernels/c/call.cpp"),
    "kernels/ort/attributes.cpp": lambda field: f'"{field}"' in _text("kernels/ort/attributes.cpp"),
    "kernels/checks.cpp": lambda field: (
        field not in NUMBERS or f'"{field}", semantics.{field}' in _text("kernels/checks.cpp")
    ),
    "tests/support/naive.py": lambda field: _reads(field, "tests/support/naive.py"),
    "tests/support/meanings.py": _drawn,
}
