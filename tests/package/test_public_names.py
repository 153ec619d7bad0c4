"""Tests that documented names stay importable, in whatever module they are defined."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys

import pytest
from paths import ROOT

PUBLIC = {
    "onnx_roialign": (
        "PRESETS NativeLibraryError RoiAlign RoiAlignError Semantics cmake_dir ep_name ep_names fused identify "
        "include_dir library_path pkgconfig_dir reference_evaluator register roi_align session"
    ),
    "onnx_roialign.sources": "parse",
    "onnx_roialign.native": "active_isa available_isas library_path roi_align",
    "onnx_roialign.graph": (
        "Finding Fused FusedPart convert_opset fuse known_to_onnx make_explicit register_schemas repair unfuse validate"
    ),
    "onnx_roialign.serving": "SessionSpec SessionStage TritonModel deploy_triton",
    "onnx_roialign.frameworks": "detectron2 mindspore mmdet paddle torchvision",
    "onnx_roialign.frameworks.detectron2": "ROIPooler",
    "onnx_roialign.frameworks.mmdet": "SingleRoIExtractor",
    "onnx_roialign.frameworks.torchvision": "MultiScaleRoIAlign RoIAlign roi_align roi_align_quantized",
    "onnx_roialign.frameworks.paddle": "LoDTensor fluid_roi_align roi_align",
    "onnx_roialign.frameworks.mindspore": "ROIAlign",
}


@pytest.mark.parametrize("module", PUBLIC)
def test_every_documented_name_is_importable_and_listed(module):
    found = importlib.import_module(module)
    assert sorted(found.__all__) == sorted(PUBLIC[module].split())
    for name in found.__all__:
        assert getattr(found, name) is not None
        assert name in dir(found)


# Not names of Python: the keys of a session's options, and the files of the compiled library.
NOT_PYTHON = {f"onnx_roialign.{name}" for name in ("opset", "threads", "isa", "h", "so")}


def documented(document: str) -> set[str]:
    """The dotted names in a document, and what its lines of Python import."""
    text = (ROOT / document).read_text(encoding="utf-8")
    names = set(re.findall(r"(?<![\w/])onnx_roialign(?:\.\w+)+", text))
    for module, imported in re.findall(r"^from (onnx_roialign[\w.]*) import (.+)$", text, re.M):
        names |= {f"{module}.{name.strip()}" for name in imported.split(",")}
    return names - NOT_PYTHON


@pytest.mark.parametrize(
    ("document", "some"),
    [
        ("README.md", "onnx_roialign.graph.validate"),
        ("CHANGELOG.md", "onnx_roialign.graph.known_to_onnx"),
        ("conformance/README.md", "onnx_roialign.conformance"),
    ],
)
def test_every_name_in_a_document_is_importable(document, some):
    names = documented(document)
    assert some in names
    for name in names:
        assert pkgutil.resolve_name(name) is not None


@pytest.mark.parametrize("module", [name for name in PUBLIC if name.startswith("onnx_roialign.frameworks.")])
def test_every_call_of_a_framework_pickles(module):
    for name in PUBLIC[module].split():
        one = getattr(importlib.import_module(module), name)
        assert pickle.loads(pickle.dumps(one)) is one


@pytest.mark.parametrize("name", ["frameworks", "graph", "native", "serving", "sources"])
def test_a_documented_submodule_needs_no_separate_import(name):
    code = f"import onnx_roialign; print(onnx_roialign.{name}.__name__, {name!r} in dir(onnx_roialign))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == f"onnx_roialign.{name} True\n"


def test_documented_functions_are_not_modules():
    import onnx_roialign
    from onnx_roialign import graph

    for one in (
        onnx_roialign.identify,
        onnx_roialign.session,
        graph.repair,
        graph.validate,
        graph.convert_opset,
        graph.fuse,
    ):
        assert inspect.isfunction(one)


def test_no_attribute_hides_a_module():
    import onnx_roialign

    # The compiled library beside an installed package looks like a module, but is none.
    left_out = ("onnx_roialign.conformance", "onnx_roialign._pyinstaller", "onnx_roialign.libonnx_roialign")
    for found in pkgutil.walk_packages(onnx_roialign.__path__, "onnx_roialign."):
        if found.name.startswith(left_out) or "__main__" in found.name:
            continue
        parent, _, name = found.name.rpartition(".")
        module = importlib.import_module(found.name)
        assert getattr(importlib.import_module(parent), name) is module, found.name
