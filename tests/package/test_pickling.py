"""Everything public pickles: names by reference, objects with equal content. Sessions say what to pickle instead."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pickle
from collections.abc import Mapping

import exports
import numpy as np
import pytest
from calls import BATCH_INDICES, FEEDS, ROIS, X
from graph_models import in_function
from onnx.reference.op_run import OpRun
from test_public_names import PUBLIC

import onnx_roialign
from models import model
from onnx_roialign import NativeLibraryError, RoiAlignError, Semantics, frameworks, graph
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.errors import MissingPackageError, ModelError, UnreadableModelError
from onnx_roialign.identification.recorded import RecordedCall
from onnx_roialign.serving import SessionSpec, SessionStage, TritonModel

NAMES = [(module, name) for module in PUBLIC for name in PUBLIC[module].split()]
LEVELS = [np.ones((1, 2, 16 >> level, 16 >> level), np.float32) for level in range(2)]
BOXES = [np.array([[0, 0, 30, 30], [5, 5, 20, 20]], np.float32)]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_public_name_pickles_by_reference(module, name):
    one = getattr(importlib.import_module(module), name)
    if inspect.ismodule(one):
        return
    back = pickle.loads(pickle.dumps(one))
    assert back is one
    if isinstance(one, Mapping):
        assert pickle.loads(pickle.dumps(dict(one))) == one


def wrong_model():
    return exports.load("paddle_roi_align/paddle2onnx_opset11_aligned_s2.onnx").model


def pooler():
    return frameworks.torchvision.MultiScaleRoIAlign(["0", "1"], 2, 2)


FUSED_PART = graph.FusedPart("PasteMasks", "masks", False, 0, "not proved", corrected=True)

# What a user can hold in hand, by the name of its class.
OBJECTS = {
    "NativeLibraryError": lambda: NativeLibraryError("the compiled library is missing"),
    "MissingPackageError": lambda: MissingPackageError("a test needs ray", name="ray"),
    "RoiAlignError": lambda: RoiAlignError("X", "range", "must be finite, got inf", node="pool"),
    "ModelError": lambda: ModelError("mode", "choice", "must be 'avg' or 'max'", node="pool"),
    "UnreadableModelError": lambda: UnreadableModelError("model", "file", "must be a file"),
    "Semantics": lambda: Semantics(offset=0.0, max_start=-1e4),
    "Finding": lambda: graph.validate(wrong_model(), "paddle:aligned=True")[0],
    "Fused": lambda: graph.Fused(model(16), (FUSED_PART,)),
    "FusedPart": lambda: FUSED_PART,
    "RoIAlign": lambda: frameworks.torchvision.RoIAlign(7, 0.25, 2, aligned=True),
    "MultiScaleRoIAlign": pooler,
    "ROIPooler": lambda: frameworks.detectron2.ROIPooler(2, [0.5, 0.25], 2, "ROIAlignV2"),
    "SingleRoIExtractor": lambda: frameworks.mmdet.SingleRoIExtractor(
        {"type": "RoIAlign", "output_size": 2, "sampling_ratio": 2}, 2, [2, 4]
    ),
    "LoDTensor": lambda: frameworks.paddle.LoDTensor(BOXES[0], [[2]]),
    "ROIAlign": lambda: frameworks.mindspore.ROIAlign(2, 2, 0.5, 2),
    "SessionSpec": lambda: SessionSpec("model.onnx", threads=1, providers=[("CPUExecutionProvider", {})]),
    "SessionStage": lambda: SessionStage(SessionSpec(model(16)), outputs=["Y"]),
    "TritonModel": lambda: TritonModel("m", 1, "/models/m/libonnx_roialign.so", 0, "not joined", "name: 'm'"),
    "identify()'s result": lambda: onnx_roialign.identify(
        lambda X, rois, batch_indices, **given: onnx_roialign.roi_align(X, rois, batch_indices, **given)
    ),
    "RecordedCall": lambda: RecordedCall(X, ROIS, BATCH_INDICES, Attributes(), np.zeros((4, 5, 1, 1), np.float32)),
    "parse()'s result": lambda: onnx_roialign.sources.parse("mindspore:roi_end_mode=1"),
}


def test_every_public_class_is_among_the_objects():
    assert issubclass(onnx_roialign.RoiAlign, OpRun)  # onnx makes its objects, inside an evaluator
    classes = {name for module, name in NAMES if inspect.isclass(getattr(importlib.import_module(module), name))}
    assert classes - {*OBJECTS} == {"RoiAlign"}


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, strict=True)
    elif isinstance(one, BaseException):
        assert (str(one), one.args) == (str(other), other.args)
        same(vars(one), vars(other))
    elif isinstance(one, Mapping):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    elif dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            same(getattr(one, field.name), getattr(other, field.name))
    elif type(one).__eq__ is object.__eq__ and one is not None:
        same(vars(one), vars(other))
    else:
        assert one == other


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", OBJECTS)
def test_every_object_pickles(name, protocol):
    one = OBJECTS[name]()
    same(one, pickle.loads(pickle.dumps(one, protocol)))


def test_an_error_keeps_its_fields():
    with pytest.raises(RoiAlignError) as raised:
        onnx_roialign.session(model(16, mode="median"))
    back = pickle.loads(pickle.dumps(raised.value))
    assert (back.subject, back.code, back.node) == ("mode", "choice", "pool")
    assert str(back) == str(raised.value)


def test_objects_compute_the_same_after_pickling():
    pooled = pooler()
    before = pooled({"0": LEVELS[0], "1": LEVELS[1]}, BOXES, [(32, 32)])
    after = pickle.loads(pickle.dumps(pooled))({"0": LEVELS[0], "1": LEVELS[1]}, BOXES, [(32, 32)])
    np.testing.assert_array_equal(before, after, strict=True)
    stage = SessionStage(SessionSpec(model(16)))
    batch = {name: array[np.newaxis] for name, array in FEEDS.items()}
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stage))(batch)["Y"][0], stage(batch)["Y"][0], strict=True)
    evaluator = onnx_roialign.reference_evaluator(in_function(16))
    back = pickle.loads(pickle.dumps(evaluator))
    np.testing.assert_array_equal(back.run(None, FEEDS)[0], evaluator.run(None, FEEDS)[0], strict=True)
