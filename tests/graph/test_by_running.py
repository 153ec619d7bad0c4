"""Tests validate with data: the first node that departs from its source, and the source that explains the numbers."""

from __future__ import annotations

import exports
import graph_models
import numpy as np
import onnx
import onnx.parser
import pytest
import tolerances
from calls import BATCH_INDICES, FEEDS, ROIS, X
from exports import known_wrong
from found import RUN_CODES, codes, run_codes, source_of
from graph_models import BODIES, HALF, LEGACY, SCALE
from installed_versions import newest_opset
from onnx import TensorProto, helper

import onnx_roialign
from models import SHAPE, make_model, model, roi_align_node
from onnx_roialign import PRESETS, RoiAlignError
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.frameworks import detectron2
from onnx_roialign.graph import repair, validate
from onnx_roialign.graph.findings.finding import CODES

SMALL = exports.small_names()
WHOLE = exports.large_names()


def only(findings, code):
    (finding,) = [finding for finding in findings if finding.code == code]
    return finding


def meant(semantics, **attributes):
    return reference.roi_align(X, ROIS, BATCH_INDICES, Attributes(**{**SHAPE, **attributes}, semantics=semantics))


def framework_presets(name):
    folder = name.split("/")[0].partition("_")[0]
    return (
        f"{folder}_{source_of(name)[-1]}"
        if folder == "mindspore"
        else (f"{folder}_{'aligned' if source_of(name).endswith('True') else 'legacy'}")
    )


def test_the_codes_that_need_data_are_codes():
    assert set(CODES) >= RUN_CODES


def test_a_model_without_a_roi_align_of_one_level_runs_and_nothing_wrong_is_found():
    boxes = np.float32([[0, 0, 9, 9]])
    pooler = detectron2.ROIPooler(2, [0.5, 0.25], 2, "ROIAlign").to_onnx()
    maps = {"x_0": np.ones((1, 1, 16, 16), np.float32), "x_1": np.ones((1, 1, 8, 8), np.float32)}
    assert validate(pooler, "detectron2", inputs={**maps, "boxes_0": boxes}) == []
    plain = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["":16]> g (float[2] x) => (float[2] y) {y = Neg(x)}'
    )
    feeds = {"x": np.float32([1, 2])}
    assert codes(validate(plain, "torchvision", inputs=feeds)) == ["no-roi-align"]
    assert codes(validate(plain, inputs=feeds, expected=[np.float32([-1, -2])])) == ["no-roi-align"]


# Whole ones at opset 22 equal those at 16, and are slow on an onnxruntime without a kernel for it.
RIGHT = [
    name
    for name in (*SMALL, *WHOLE)
    if not known_wrong(name) and exports.load(name).opset() <= (21 if name in WHOLE else newest_opset())
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_export_deviates_in_no_node(name):
    export = exports.load(name)
    assert run_codes(validate(export.model, source_of(name), inputs=export.feeds(), expected=export.expected)) == []


@pytest.mark.parametrize("name", [name for name in SMALL if known_wrong(name)])
def test_the_framework_explains_its_recorded_outputs(name):
    export = exports.load(name)
    findings = validate(export.model, inputs=export.feeds(), expected=export.expected)
    assert run_codes(findings) == ["wrong-answer", "wrong-output", "explained"]
    text = only(findings, "explained").message
    assert framework_presets(name) in text
    assert ("torchvision_aligned" in text) != ("torchvision_legacy" in text) or name.startswith("mindspore")
    assert ("batch indices that follow the RoI counts" in text) == name.startswith("paddle")


@pytest.mark.parametrize("name", [name for name in SMALL if known_wrong(name)])
def test_a_repaired_export_deviates_in_no_node(name):
    export = exports.load(name)
    repaired = repair(export.model, source_of(name))
    assert run_codes(validate(repaired, source_of(name), inputs=export.feeds(), expected=export.expected)) == []


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_explains_its_own_outputs(preset):
    semantics = PRESETS[preset]
    for ratio, mode in ((0, "avg"), (2, "max")):
        given = model(16, sampling_ratio=ratio, mode=mode)
        feeds = FEEDS | {"rois": np.vstack([ROIS[:3], np.float32([[3, 3, 3, 3]])])}
        attributes = Attributes(**{**SHAPE, "sampling_ratio": ratio, "mode": mode}, semantics=semantics)
        expected = reference.roi_align(X, feeds["rois"], BATCH_INDICES, attributes)
        findings = validate(given, inputs=feeds, expected=[expected])
        if run_codes(findings):
            assert preset in only(findings, "explained").message.split("those of ")[1].split(", ")
        else:
            same = reference.roi_align(
                X, feeds["rois"], BATCH_INDICES, Attributes(**{**SHAPE, "sampling_ratio": ratio, "mode": mode})
            )
            np.testing.assert_allclose(expected, same, atol=1e-6)


def test_outputs_of_no_known_source_are_unexplained_and_the_closest_is_named():
    findings = validate(model(16), inputs=FEEDS, expected={"Y": meant(PRESETS["onnx_half_pixel"]) + 1})
    assert run_codes(findings) == ["wrong-output", "unexplained"]
    assert "the closest, " in only(findings, "unexplained").message
    assert "differs by up to 1" in only(findings, "wrong-output").message


def test_a_model_without_a_roi_align_explains_nothing():
    given = make_model([helper.make_node("Identity", ["X"], ["Y"])], 16)
    findings = validate(given, inputs=FEEDS, expected=[X + 1])
    assert run_codes(findings) == ["wrong-output", "unexplained"]
    assert codes(validate(given, inputs=FEEDS, expected=[X])) == ["no-roi-align"]


def two_poolers():
    """The second node reads the first one's output; only the first is not aligned."""
    nodes = [
        roi_align_node("X", "rois", "batch_indices", "first", name="first", **LEGACY),
        helper.make_node("Identity", ["first"], ["between"]),
        roi_align_node("between", "rois", "batch_indices", "Y", name="second", **HALF),
    ]
    return make_model(nodes, 16)


def test_only_the_first_node_that_deviates_is_named():
    findings = validate(two_poolers(), "torchvision:aligned=True", inputs=FEEDS)
    assert only(findings, "wrong-answer").node == "first"
    findings = validate(two_poolers(), "torchvision", inputs=FEEDS)
    assert only(findings, "wrong-answer").node == "second"


def test_the_position_and_the_size_of_the_deviation_are_reported():
    got, want = meant(PRESETS["onnx_output_half_pixel"]), meant(PRESETS["onnx_half_pixel"])
    place = np.unravel_index(np.argmax(np.abs(got - want)), got.shape)
    text = only(validate(model(11), "torchvision:aligned=True", inputs=FEEDS), "wrong-answer").message
    assert f"differs by up to {np.abs(got - want).max():.3g} at {tuple(map(int, place))}" in text


@pytest.mark.parametrize("body", BODIES)
def test_nodes_in_bodies_and_functions_are_tapped(body):
    feeds = FEEDS | ({"which": np.array(False)} if body == "if" else {})
    findings = validate(BODIES[body](15), "torchvision:aligned=True", inputs=feeds)
    assert only(findings, "wrong-answer").node in ("else", "turn", "row", "inside", "inside__1", "_inside")
    assert run_codes(validate(BODIES[body](15), "torchvision", inputs=feeds)) == []


def test_an_emulation_deviates_only_for_boxes_under_a_pixel():
    given = graph_models.shifted(11, [0.5 / SCALE], op="Sub")
    source = "torchvision:aligned=True"
    assert run_codes(validate(given, source, inputs=FEEDS | {"rois": ROIS + np.float32([0, 0, 8, 8])})) == []
    text = only(validate(given, source, inputs=FEEDS), "wrong-answer").message
    assert "at (3, " in text  # the row of the box of 0.25 x 0.125 pixels


def test_the_private_op_is_tapped():
    assert run_codes(validate(graph_models.private("mindspore_1"), "mindspore", inputs=FEEDS)) == []
    assert run_codes(validate(graph_models.private("mindspore_1"), "paddle", inputs=FEEDS)) == ["wrong-answer"]


def test_float64_and_float16_models_run():
    for dtype, kind in ((np.float64, TensorProto.DOUBLE), (np.float16, TensorProto.FLOAT16)):
        given = make_model([roi_align_node()], 16, element_type=kind)
        feeds = FEEDS | {"X": X.astype(dtype), "rois": ROIS.astype(dtype)}
        assert run_codes(validate(given, "torchvision:aligned=True", inputs=feeds)) == []
        assert run_codes(validate(given, "torchvision", inputs=feeds)) == ["wrong-answer"]


def test_external_data_is_read_if_the_model_runs(tmp_path):
    given = graph_models.network(0.25)
    onnx.save_model(given, tmp_path / "m.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    feeds = {"image": np.zeros((1, 3, 64, 64), np.float32), "rois": ROIS, "batch_indices": np.zeros(4, np.int64)}
    assert validate(tmp_path / "m.onnx", "detectron2", inputs=feeds) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"expected": [X]}, "inputs must be given with expected, got expected alone"),
        ({"inputs": {"X": X}}, "rois must be among the inputs, got X"),
        ({"inputs": FEEDS, "expected": [X, X]}, "expected must have the model's 1 outputs, got 2"),
        ({"inputs": FEEDS, "expected": {"Z": X}}, r"expected must name outputs of the model \(Y\), got 'Z'"),
        ({"inputs": FEEDS | {"batch_indices": BATCH_INDICES + 5}, "source": "torchvision"}, "model must run on"),
    ],
)
def test_data_that_does_not_fit_the_model_is_refused(arguments, message):
    with pytest.raises(RoiAlignError, match=message):
        validate(model(16), **arguments)


def test_a_wrong_shape_is_a_wrong_output():
    findings = validate(model(16), inputs=FEEDS, expected=[np.zeros((4, 5, 1, 1), np.float32)])
    assert "has shape (4, 5, 3, 2), not (4, 5, 1, 1)" in only(findings, "wrong-output").message


def test_findings_by_reading_come_before_findings_by_running():
    findings = validate(model(11), "torchvision:aligned=True", inputs=FEEDS)
    assert codes(findings) == ["half-pixel-lost", "wrong-answer"]
    (Y,) = onnx_roialign.session(model(11)).run(None, FEEDS)
    want = meant(PRESETS["onnx_output_half_pixel"])
    np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(X).max())
