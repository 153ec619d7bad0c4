"""Tests that validate reports what is wrong with a model in plain words, and nothing about a correct model."""

from __future__ import annotations

import dataclasses
import os
import re

import exports
import graph_models
import onnx
import pytest
from calls import FEEDS
from exports import KNOWN_WRONG, known_wrong
from finding_cases import CASES
from found import RUN_CODES, codes, source_of
from graph_models import BODIES, HALF, LEGACY
from onnx import TensorProto

from models import model
from onnx_roialign import PRESETS, RoiAlignError, Semantics
from onnx_roialign.definition.sources import parse
from onnx_roialign.graph import Finding, validate
from onnx_roialign.graph.findings.finding import CODES
from onnx_roialign.sessions.installed import has_builtin_kernel


def case_ids():
    return [f"{case.code}-{case.what}" for case in CASES]


@pytest.mark.parametrize(("code", "what", "wrong", "right", "source"), CASES, ids=case_ids())
def test_a_wrong_model_has_a_finding_and_its_right_twin_has_none(code, what, wrong, right, source):
    (finding,) = [finding for finding in validate(wrong(), source) if finding.code == code]
    assert (finding.severity, finding.effect) == CODES[code]
    assert re.fullmatch(r"\S.* must .+, got:? .+|\S.+, but \S.+", finding.message)
    assert code not in codes(validate(right(), source))


def test_every_code_has_a_case():
    assert {case.code for case in CASES} == set(CODES) - RUN_CODES


@pytest.mark.parametrize("name", [name for name in exports.names() if not known_wrong(name)])
def test_a_right_export_has_no_findings(name):
    export = exports.load(name)
    expected = set() if has_builtin_kernel(export.opset()) else {"no-builtin-kernel"}
    if name.startswith("skeletons/"):
        expected.add("missing-weights")
    assert set(codes(validate(export.model))) == expected
    assert set(codes(validate(export.model, source_of(name)))) == expected


@pytest.mark.parametrize("name", [name for name in exports.names() if known_wrong(name)])
def test_a_wrong_export_has_its_findings(name):
    export = exports.load(name)
    found = set(codes(validate(export.model, source_of(name)))) - {"empty-bins"}
    wrong = {"zero-batch-indices"} if name.startswith("paddle") else set()
    if "opset11_aligned" in name:
        wrong.add("half-pixel-lost")
    if name.startswith("paddle") and "opset16_legacy" in name:
        wrong.add("half-pixel-added")
    if name.startswith("mindspore"):
        wrong.add("end-shift-minimum-size")
    assert found == wrong
    assert len(KNOWN_WRONG) == 3  # a new row there needs its codes here


@pytest.mark.parametrize("body", BODIES)
def test_bodies_and_functions_are_read(body):
    (first, *_) = validate(BODIES[body](15, aligned=1), None)
    assert first.code == "unknown-attribute"
    assert codes(validate(BODIES[body](15), "torchvision")) == []
    assert set(codes(validate(BODIES[body](15), "torchvision:aligned=True"))) == {"half-pixel-lost"}


def test_a_function_is_read_at_its_own_opset():
    inside = graph_models.in_function(16, function_opset=15)
    assert codes(validate(inside, "torchvision")) == []
    assert codes(validate(graph_models.in_function(15, function_opset=16), "torchvision")) == ["half-pixel-added"]


def test_an_attribute_that_the_caller_of_a_function_passes_is_read():
    inside = graph_models.in_function(16)
    node = inside.functions[0].node[0]
    node.attribute.append(
        onnx.AttributeProto(name="coordinate_transformation_mode", ref_attr_name="how", type=onnx.AttributeProto.STRING)
    )
    inside.functions[0].attribute.append("how")
    inside.graph.node[0].attribute.append(onnx.helper.make_attribute("how", "output_half_pixel"))
    assert codes(validate(inside, "torchvision")) == []
    assert codes(validate(inside, "torchvision:aligned=True")) == ["half-pixel-lost"]


def test_a_finding_names_the_node_or_else_its_output():
    (finding,) = validate(model(22))
    assert finding.node == "pool"
    unnamed = model(22)
    unnamed.graph.node[0].name = ""
    (finding,) = validate(unnamed)
    assert finding.node == "Y"


def test_a_finding_prints_as_one_line():
    (finding,) = validate(model(11), "torchvision:aligned=True")
    assert str(finding).startswith(
        "error half-pixel-lost (node 'pool'): RoiAlign of opset 11 means output_half_pixel, but "
        "torchvision:aligned=True needs half_pixel. Every sample is read "
    )
    assert str(finding).endswith(". `onnx-roialign repair` fixes it.")
    assert "\n" not in str(finding)
    assert isinstance(finding, Finding)


def test_the_model_is_not_changed():
    given = model(11, aligned=1)
    before = given.SerializeToString()
    validate(given, "torchvision:aligned=True")
    assert given.SerializeToString() == before


@pytest.mark.parametrize("form", ["bytes", "path", "proto"])
def test_a_model_can_be_given_as_bytes_a_path_or_a_proto(form, tmp_path):
    given = model(11)
    if form == "path":
        onnx.save(given, tmp_path / "model.onnx")
        given = tmp_path / "model.onnx"
    elif form == "bytes":
        given = given.SerializeToString()
    assert codes(validate(given, "detectron2")) == ["half-pixel-lost"]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("sampling_ratio must be an integer, got a float", graph_models.float_ratio),
        ("mode must be 'avg' or 'max', got 'median'", lambda: model(mode="median")),
        ("got 'aligned'", lambda: model(aligned=1)),
        ("must not be set below opset 16, got it at opset 15", lambda: model(15, **LEGACY)),
        ("must have the inputs X, rois and batch_indices, got 2", graph_models.two_inputs),
        ("opset must be at least 10 for RoiAlign, got 9", lambda: model(9)),
        (
            "batch_indices is always 0, but the model has RoI counts 'counts', which no node reads",
            lambda: graph_models.in_batches("B"),
        ),
        ("batch_indices is always 0, but X has 3 images", lambda: graph_models.in_batches(3, counts=None)),
        (
            "spatial_scale is 0.125, but a 16 x 16 feature map of a 64 x 64 image needs about 0.25",
            lambda: graph_models.network(0.125),
        ),
        (
            "rois are float16; float16 holds multiples of 2 in an image 2304 pixels long, but boxes must be exact",
            lambda: graph_models.network(0.25, dtype="float16", side=2304),
        ),
        (
            "rois must have shape (num_rois, 4), got shape (K, 5)",
            lambda: graph_models.shaped((2, 5, 9, 11), ("K", 5), ("K",)),
        ),
    ],
)
def test_a_message_describes_the_finding(message, found):
    assert any(message in finding.message for finding in validate(found()))


def test_boxes_that_the_source_itself_moved_by_half_a_pixel_are_right():
    given = graph_models.shifted(11, [0.5 / graph_models.SCALE], op="Sub")
    assert codes(validate(given, "torchvision")) == []
    assert codes(validate(given, "torchvision:aligned=True")) == ["emulated-half-pixel"]


def test_an_end_shift_that_the_source_does_not_have_is_found():
    given = graph_models.shifted(11, [0, 0, 1, 1])
    assert codes(validate(given, "mindspore:roi_end_mode=0")) == ["end-shift"]
    assert codes(validate(given, "mindspore:roi_end_mode=1")) == ["end-shift-minimum-size"]


def test_two_invalid_attributes_are_two_findings():
    assert codes(validate(model(mode="median", sampling_ratio=-1))) == ["invalid-attribute", "invalid-attribute"]


def test_a_graph_input_that_is_not_a_vector_is_not_the_counts():
    other = graph_models.in_batches("B")
    other.graph.input[2].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    assert codes(validate(other)) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("caffe", "source must be one of torchvision, .*, got 'caffe'"),
        ("torchvision:alinged=True", "form 'NAME:aligned=VALUE', got 'torchvision:alinged=True'"),
        ("paddle:aligned=maybe", "aligned must be one of False, .*, got 'paddle:aligned=maybe'"),
        ("onnx", "form 'onnx:OPSET' or 'onnx:OPSET,MODE', got 'onnx'"),
        ("onnx:9", "opset must be at least 10"),
        ("onnx_half_pixel:x=1", "source must be one of"),
        (3, "source must be a text or a Semantics, got 3"),
    ],
)
def test_an_unknown_source_is_refused_by_validate(source, message):
    with pytest.raises(RoiAlignError, match=message):
        validate(model(), source)


@pytest.mark.parametrize(
    ("source", "preset"),
    [
        ("torchvision", "torchvision_legacy"),
        ("torchvision:aligned=True", "torchvision_aligned"),
        ("detectron2", "detectron2"),
        ("mmcv", "mmcv_aligned"),
        ("paddle", "paddle_aligned"),
        ("paddle:aligned=False", "paddle_legacy"),
        ("mindspore", "mindspore_1"),
        ("mindspore:roi_end_mode=0", "mindspore_0"),
        ("openvino:aligned_mode=half_pixel_for_nn", "openvino_half_pixel_for_nn"),
        ("openvino:aligned_mode=half_pixel", "openvino_half_pixel"),
        ("tvm", "tvm_legacy"),
        ("tvm:aligned=True", "tvm_aligned"),
        ("mindspore_half_pixel", "mindspore_half_pixel"),
        ("onnx:15", "onnx_output_half_pixel"),
        ("onnx:16", "onnx_half_pixel"),
        ("onnx:16,output_half_pixel", "onnx_output_half_pixel"),
        ("mmcv_legacy", "mmcv_legacy"),
    ],
)
def test_a_source_means_the_frameworks_own_call(source, preset):
    assert parse(source) == PRESETS[preset]


# The words of a finding for the source's value; a field that is not listed is named.
WORDS = {
    "min_size": "a minimum RoI size of 0.25",
    "start_shift": "the node adds 0 pixels to x1 and y1, but the source adds 0.25 pixels to x1 and y1",
    "end_shift": "the node adds 0 pixels to x2 and y2, but the source adds 0.25 pixels to x2 and y2",
    "adaptive": "up, but the source rounds the adaptive number of samples down",
    "empty": "returns 0 for bins without samples, but the source returns NaN for bins without samples",
    "max_rule": "but the source takes the maximum over the interpolated samples",
    "max_start": "starts the maximum from the first sample, but the source starts the maximum from 0.25",
    "border": "but the source excludes samples exactly at -1 or at H (W)",
}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Semantics)])
def test_every_field_in_which_a_node_differs_from_its_source_has_a_finding(field):
    """All fields of Semantics, also later ones: each has a finding, with the wanted and the given value."""
    other = {"adaptive": "floor", "empty": "nan", "max_rule": "samples", "border": "exclusive"}
    wanted = dataclasses.replace(PRESETS["onnx_half_pixel"], **{field: other.get(field, 0.25)})
    found = validate(model(mode="max", sampling_ratio=0, **HALF), wanted)
    (finding,) = [finding for finding in found if finding.code not in ("max-mode", "sampling-ratio-omitted")]
    assert finding.severity == CODES[finding.code][0]
    assert WORDS.get(field, field) in finding.message


def external(folder, **told):
    """A model whose only weight lies in the file "weights", by what it tells of it."""
    made = model()
    weight = made.graph.initializer.add(name="weight", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights", **told}.items():
        weight.external_data.add(key=key, value=str(value))
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    return folder / "model.onnx"


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (15, {}),
        (16, {"offset": 4}),
        (16, {"length": 8}),
        (16, {"location": "other"}),
        (16, {"location": "n" * 300}),
        (16, {"location": "folder"}),
        (16, {"location": "pipe"}),
    ],
)
def test_external_data_that_is_not_there_or_too_short_is_missing(size, told, tmp_path):
    (tmp_path / "weights").write_bytes(bytes(size))
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    path = external(tmp_path, **told)
    (finding,) = validate(path)
    assert finding.code == "missing-weights"
    assert finding.message == "initializers must have data, got 1 without data, the first is 'weight'"
    assert validate(path.read_bytes()) == []  # where the data of bytes lies is not known
    assert validate(path, "onnx:16", inputs=FEEDS) == [finding]  # it cannot run


@pytest.mark.parametrize(("size", "told"), [(16, {}), (20, {"offset": 4}), (20, {"offset": 4, "length": 16})])
def test_external_data_that_is_there_is_not_missing(size, told, tmp_path):
    (tmp_path / "weights").write_bytes(bytes(size))
    assert validate(external(tmp_path, **told), "onnx:16", inputs=FEEDS) == []


def test_external_data_that_onnx_refuses_gets_one_line(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "weights").write_bytes(bytes(16))
    path = external(tmp_path / "below", location="../weights")
    with pytest.raises(
        RoiAlignError, match=r"^model must be one that can be read with its external data, got "
    ) as caught:
        validate(path, inputs=FEEDS)
    assert "\n" not in str(caught.value)
