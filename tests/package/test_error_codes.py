"""Tests that every RoiAlignError that the package raises has a subject, a code of `Code` and a rule."""

from __future__ import annotations

import ast
import copy
import pickle
from pathlib import Path
from typing import get_args

import pytest

import onnx_roialign
from onnx_roialign.errors import Code, ModelError, RoiAlignError, UnreadableModelError
from onnx_roialign.onnx_model.facts import OpsetConflictError

CLASSES = {kind.__name__ for kind in (RoiAlignError, ModelError, UnreadableModelError, OpsetConflictError)}
PACKAGE = Path(onnx_roialign.__file__).parent

# Calls that pass on the code of another error.
PASSED_ON = {"cli/refusal.py": 1, "engines/native.py": 1, "onnx_model/inputs.py": 1}


def created():
    """Yields every call of one of the classes: the file, the line and the arguments."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in CLASSES:
                yield path.relative_to(PACKAGE).as_posix(), call


def test_every_error_has_a_code():
    codes, passed_on = set(), {}
    for path, call in created():
        assert len(call.args) == 3, f"{path}:{call.lineno}"
        code = call.args[1]
        if isinstance(code, ast.Constant):
            codes.add(code.value)
        else:
            passed_on[path] = passed_on.get(path, 0) + 1
    assert passed_on == PASSED_ON
    assert codes == set(get_args(Code))  # all are declared, and all are used


def test_no_error_class_is_overlooked():
    def below(kind):
        return {kind.__name__}.union(*map(below, kind.__subclasses__()))

    assert below(RoiAlignError) == CLASSES


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
@pytest.mark.parametrize("kind", [RoiAlignError, UnreadableModelError])
@pytest.mark.parametrize("node", [None, "", "pool"])
def test_an_error_passes_between_processes(again, kind, node):
    error = kind("rois", "shape", "must have shape (num_rois, 4), got shape (3,)", node=node)
    same = again(error)
    assert type(same) is kind
    for name in ("subject", "code", "rule", "node"):
        assert getattr(same, name) == getattr(error, name)
    assert str(same) == str(error) == error.rule + ("" if node is None else f" (node {node!r})")


def test_another_subject_begins_the_message():
    error = RoiAlignError("X", "type", "must be float32, got int8", node="pool").about("features[2]")
    assert str(error) == "features[2] must be float32, got int8 (node 'pool')"
    assert (error.subject, error.code) == ("features[2]", "type")
