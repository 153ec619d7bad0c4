"""Every argument of every public function, given as anything: a result or one line, never another exception."""

from __future__ import annotations

import tempfile

import exports
import numpy as np
import onnx
import onnxruntime
import pytest
from anything import BOXES, MAP, anything, attempts, raised

import onnx_roialign
from onnx_roialign import NativeLibraryError, RoiAlignError, Semantics, graph, serving
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.identification.recorded import RecordedCall, identify_recorded
from onnx_roialign.native import roi_align as native_roi_align
from onnx_roialign.sources import parse

EXPORT = exports.load("torchvision_roi_align/torchscript_opset11_aligned_s2.onnx")
OUTPUT = onnx.load_model_from_string(EXPORT.model).graph.output[0].name
INDICES = np.zeros(1, np.int64)
PLAIN = {"output_height": 2, "output_width": 2, "sampling_ratio": 2, "spatial_scale": 1.0, "mode": "avg"}
SPEC = serving.SessionSpec(EXPORT.model)
RECORDED = RecordedCall(MAP, BOXES, INDICES, Attributes(), np.zeros((1, 2, 1, 1), np.float32))


def known(names):
    with graph.known_to_onnx(names):
        pass


def deployed(**given):
    with tempfile.TemporaryDirectory() as folder:
        serving.deploy_triton(**{"repository": folder, **given})


CALLS = {
    "roi_align": (
        onnx_roialign.roi_align,
        {
            "X": MAP,
            "rois": BOXES,
            "batch_indices": INDICES,
            **PLAIN,
            "engine": "native",
            "threads": 1,
            "coordinate_transformation_mode": "half_pixel",
            "semantics": None,
        },
    ),
    "roi_align reference": (
        onnx_roialign.roi_align,
        {"X": MAP, "rois": BOXES, "batch_indices": INDICES, **PLAIN, "semantics": "mindspore_1", "engine": "reference"},
    ),
    "native.roi_align": (
        native_roi_align,
        {"attributes": Attributes(), "threads": 1, "X": MAP, "rois": BOXES, "batch_indices": INDICES},
    ),
    "Semantics": (Semantics, {name: getattr(Semantics(), name) for name in Semantics.__dataclass_fields__}),
    "parse": (parse, {"source": "onnx:16,half_pixel"}),
    "identify": (onnx_roialign.identify, {"fn": lambda X, rois, *_: np.zeros((len(rois), X.shape[1], 1, 1), X.dtype)}),
    "identify_recorded": (identify_recorded, {"calls": [RECORDED]}),
    "session": (
        onnx_roialign.session,
        {
            "model": EXPORT.model,
            "sess_options": None,
            "engine": "native",
            "door": "auto",
            "optimize": False,
            "providers": None,
        },
    ),
    "fused": (onnx_roialign.fused, {"session": onnx_roialign.session(EXPORT.model)}),
    "register": (
        lambda **given: onnx_roialign.register(**{"sess_options": onnxruntime.SessionOptions(), **given}),
        {"model": EXPORT.model, "door": "custom_op"},
    ),
    "register options": (
        lambda sess_options: onnx_roialign.register(sess_options, EXPORT.model),
        {"sess_options": onnxruntime.SessionOptions()},
    ),
    "reference_evaluator": (onnx_roialign.reference_evaluator, {"model": EXPORT.model}),
    "validate": (graph.validate, {"model": EXPORT.model, "source": "paddle", "inputs": EXPORT.feeds()}),
    "validate an input": (
        lambda x: graph.validate(EXPORT.model, inputs={**EXPORT.feeds(), "x": x}),
        {"x": EXPORT.feeds()["x"]},
    ),
    "repair": (
        graph.repair,
        {
            "model": EXPORT.model,
            "source": "torchvision",
            "counts": None,
            "raise_opset": True,
            "private_op": True,
            "exact": False,
        },
    ),
    "convert_opset": (graph.convert_opset, {"model": EXPORT.model, "target": 16, "private_op": True}),
    "make_explicit": (graph.make_explicit, {"model": EXPORT.model}),
    "fuse": (graph.fuse, {"model": EXPORT.model, "source": None}),
    "unfuse": (graph.unfuse, {"model": EXPORT.model}),
    "known_to_onnx": (known, {"names": ["AnyRoiAlign"]}),
    "SessionSpec": (
        serving.SessionSpec,
        {
            "model": EXPORT.model,
            "engine": "native",
            "threads": 1,
            "optimize": False,
            "door": "auto",
            "providers": None,
            "make_options": None,
        },
    ),
    "SessionStage": (serving.SessionStage, {"spec": SPEC, "columns": None, "outputs": None, "whole": False}),
    "SessionStage's call": (
        lambda batch: serving.SessionStage(SPEC)(batch),
        {"batch": {name: array[np.newaxis] for name, array in EXPORT.feeds().items()}},
    ),
    "deploy_triton": (
        deployed,
        {
            "model": EXPORT.model,
            "name": "m",
            "version": 1,
            "served_at": None,
            "source": None,
            "max_batch_size": None,
        },
    ),
}
NAMES_OF_OTHERS = (
    *(
        "library_path",
        "include_dir",
        "cmake_dir",
        "pkgconfig_dir",
        "ep_name",
        "ep_names",
        "PRESETS",
        "RoiAlign",
        "Finding",
        "Fused",
        "FusedPart",
        "register_schemas",
    ),
    *("TritonModel",),
)


def check(error, argument, value):
    assert error is None or isinstance(error, (RoiAlignError, NativeLibraryError)), (argument, value, error)
    assert "\n" not in str(error), (argument, value)


SLOW = ("deploy_triton",)  # a process for each value that is right


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long if name in SLOW else ()) for name in CALLS])
@pytest.mark.filterwarnings("ignore")
def test_only_one_line_comes_out_of_any_argument(name):
    call, right = CALLS[name]
    assert raised(call, right) is None
    refused = 0
    for argument, value, error in attempts(call, right):
        check(error, argument, value)
        refused += error is not None
    assert refused > len(right)


def test_only_one_line_comes_out_of_any_expected_output():
    feeds = EXPORT.feeds()
    for value in anything()[::5]:  # each runs the model with every meaning
        for expected in (value, {OUTPUT: value}, [value]):
            arguments = {"model": EXPORT.model, "inputs": feeds, "expected": expected}
            check(raised(graph.validate, arguments), "expected", value)


def test_every_public_function_is_attacked():
    attacked = {name.partition(" ")[0].rpartition(".")[2] for name in CALLS} | {"NativeLibraryError", "RoiAlignError"}
    public = {*onnx_roialign.__all__, *graph.__all__, *serving.__all__} - set(NAMES_OF_OTHERS)
    assert public <= attacked


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: onnx_roialign.session(EXPORT.model, 3), "sess_options must be onnxruntime.SessionOptions, got 3"),
        (
            lambda: onnx_roialign.register(None, EXPORT.model),
            "sess_options must be onnxruntime.SessionOptions, got None",
        ),
        (lambda: onnx_roialign.session(EXPORT.model, optimize="no"), "optimize must be True or False, got 'no'"),
        (
            lambda: graph.repair(EXPORT.model, "paddle", private_op="False"),
            "private_op must be True or False, got 'False'",
        ),
        (lambda: graph.convert_opset(EXPORT.model, "16"), "target must be an integer, got a str"),
        (lambda: graph.validate(EXPORT.model, inputs=[]), r"inputs must be a mapping from names to arrays, got \[\]"),
        (
            lambda: graph.validate(EXPORT.model, inputs=EXPORT.feeds(), expected={}),
            f"expected must have an output of {OUTPUT}, got none",
        ),
        (lambda: known(["RoiAlignn"]), "names must be of AnyRoiAlign, .*, got 'RoiAlignn'"),
        (lambda: identify_recorded([3]), "calls must be a list of RecordedCall, got 3"),
        (
            lambda: parse("onnx:" + "9" * 5000),
            "source must be of the form 'onnx:OPSET' or 'onnx:OPSET,MODE', got 'onnx:9",
        ),
    ],
)
def test_what_a_wrong_argument_is_told(call, message):
    with pytest.raises(RoiAlignError, match=f"^{message}"):
        call()


def test_numpys_integers_and_truth_values_are_taken():
    converted = graph.convert_opset(EXPORT.model, np.int64(16), private_op=np.True_)
    assert converted == graph.convert_opset(EXPORT.model, 16, private_op=True)
