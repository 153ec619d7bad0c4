"""Tests identify_recorded: recorded outputs name each framework, and what they leave open stays open."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import golden
import numpy as np
import pytest
from identified import ALIGNED, LEGACY, evidence, meaning, presets_like

from onnx_roialign import PRESETS, RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.identification import recorded as recorded_module
from onnx_roialign.identification.live import RecordedCall, identify_recorded
from onnx_roialign.identification.result import FIELDS

DISTINCT = {semantics: name for name, semantics in PRESETS.items()}


@cache
def recorded(preset):
    framework = "onnxruntime" if preset.startswith("onnx") else preset.partition("_")[0]
    found = []
    for case in golden.cases(framework):
        if case.preset == preset:
            attributes = Attributes(**{name: v for name, v in case.arguments.items() if name != "semantics"})
            found.append(RecordedCall(case.X, case.rois, case.batch_indices, attributes, case.Y, case.name))
    return tuple(found)


@pytest.mark.parametrize(
    ("preset", "hidden"),
    [
        ("torchvision_legacy", ("empty", "max_rule", "max_start", "border")),
        ("torchvision_aligned", ("max_rule", "max_start")),
        ("paddle_legacy", ("empty", "max_rule", "max_start", "border")),
        ("paddle_aligned", ("max_rule", "max_start")),
        ("mindspore_0", ("max_rule", "max_start", "border")),
        ("mindspore_1", ("max_rule", "max_start", "border")),
        ("onnx_output_half_pixel", ("empty", "max_start", "border")),
        ("onnx_half_pixel", ()),
        ("openvino_asymmetric", ("empty", "border")),
        ("openvino_half_pixel_for_nn", ()),
        ("openvino_half_pixel", ("border",)),
        ("tvm_legacy", ("empty", "border")),
        ("tvm_aligned", ("empty", "border")),
    ],
)
def test_each_frameworks_recorded_outputs_are_named(preset, hidden):
    found = identify_recorded(recorded(preset))
    assert found.fits, found.odd
    assert found.hidden == hidden
    assert preset in found.names
    assert found.names == presets_like(PRESETS[preset], hidden)


def test_recorded_evidence_names_the_call_and_counts_what_fits():
    found = identify_recorded(recorded("mindspore_1"))
    entry = evidence(found, "end_shift")
    case = next(case for case in recorded("mindspore_1") if entry.probe.startswith(f"{case.name}: RoI "))
    assert np.isin(np.float64(entry.seen), case.Y.astype(np.float64)) or np.isnan(entry.seen[0])
    assert "outputs that distinguish them fit 0.0, " in entry.reason
    assert evidence(found, "max_rule").reason == "no call has mode 'max'"
    legacy = identify_recorded(recorded("paddle_legacy"))
    assert evidence(legacy, "empty").reason.endswith("with a minimum size of 1 and ceil no bin is empty")
    assert evidence(legacy, "border").reason == "no call has a sample exactly at -1 or at H (W)"


def test_an_output_that_depends_on_the_rounding_of_a_sample_rules_out_nothing(monkeypatch):
    """Two RoIs whose one sample lies exactly at x = W: the framework's own rounding moved the second one past it."""
    rois, beyond = np.float32([[20, 2, 44, 8]] * 2), np.float32([[20, 2, 44, 8], [20, 2, 44.0001, 8]])
    X, indices, attributes = np.full((1, 1, 16, 32), 3, np.float32), np.zeros(2, np.int64), Attributes(sampling_ratio=1)
    Y = meaning(LEGACY)(X, beyond, indices, attributes)
    assert Y.ravel().tolist() == [3, 0]
    calls = [*recorded("torchvision_legacy"), RecordedCall(X, rois, indices, attributes, Y, "on the cut")]
    found = identify_recorded(calls)
    assert found.fits
    assert "torchvision_legacy" in found.names
    entry = evidence(found, "border")
    assert entry.verdict == "hidden"
    assert entry.reason == (
        "no clear majority: 1 of the 2 outputs that distinguish them fit 'inclusive', 1 fit 'exclusive'"
    )
    monkeypatch.setattr(recorded_module, "_steady", lambda call, semantics: np.ones((len(call.rois), 1, 1, 1), bool))
    assert evidence(identify_recorded(calls), "recorded calls").probe.startswith("on the cut: RoI ")


@pytest.mark.parametrize("preset", ["paddle_aligned", "mindspore_0"])
def test_recorded_outputs_with_noise_of_1e_5_are_named_alike(preset):
    rng = np.random.default_rng(0)
    noisy = [replace(c, Y=c.Y + rng.uniform(-1e-5, 1e-5, c.Y.shape).astype(np.float32)) for c in recorded(preset)]
    assert identify_recorded(noisy).names == identify_recorded(recorded(preset)).names


def test_recorded_outputs_of_two_meanings_fit_none_and_the_first_contradiction_is_named():
    mixed = [*recorded("torchvision_legacy")[:5], *recorded("torchvision_aligned")]
    found = identify_recorded(mixed)
    assert (found.fits, found.semantics, found.names) == (False, None, ())
    entry = evidence(found, "recorded calls")
    assert entry.verdict == "odd"
    assert entry.reason == (f"no meaning that explains the calls before {mixed[5].name} explains this call"), (
        "the sixth is the first of the other meaning, and is inside the map"
    )
    assert entry.seen != entry.expected[0][1]


@pytest.mark.parametrize("semantics", DISTINCT, ids=DISTINCT.values())
def test_a_preset_is_found_again_in_calls_recorded_from_it(semantics):
    """With max mode and samples at the cut-off, which not all recordings of frameworks contain."""
    calls = []
    for mode in ("avg", "max"):
        for case in golden.cases("torchvision")[::6]:
            names = ("output_height", "output_width", "sampling_ratio", "spatial_scale")
            attributes = Attributes(**{name: case.arguments[name] for name in names}, mode=mode)
            Y = meaning(semantics)(case.X, case.rois, case.batch_indices, attributes)
            calls.append(RecordedCall(case.X, case.rois, case.batch_indices, attributes, Y))
    found = identify_recorded(calls)
    assert found.fits, found.odd
    assert found.differs_from(semantics) == ()
    assert "max_rule" not in found.hidden


def test_a_preset_that_some_call_rules_out_is_not_named_though_its_field_stays_hidden():
    """Maxima of features between -10000 and 0: they do not start from 0, and a start from -10000 changes nothing."""
    calls = []
    for mode in ("avg", "max"):
        for case in [case for case in recorded("torchvision_aligned") if case.attributes.sampling_ratio][::6]:
            X, attributes = case.X - np.abs(case.X).max(), replace(case.attributes, mode=mode)
            Y = meaning(PRESETS["mmcv_aligned"])(X, case.rois, case.batch_indices, attributes)
            calls.append(RecordedCall(X, case.rois, case.batch_indices, attributes, Y))
    found = identify_recorded(calls)
    assert found.fits
    assert {"empty", "max_start"} <= set(found.hidden)
    assert evidence(found, "max_start").fitting == (None, -10000.0)
    assert evidence(found, "empty").fitting == FIELDS["empty"]
    assert found.names == ("mmcv_aligned",)
    assert found.differs_from(PRESETS["openvino_half_pixel_for_nn"]) == ("max_start",)


def test_two_fields_that_only_show_together_stay_hidden_and_rule_presets_out_together():
    """A maximum without samples that is 0: it starts from 0, or from nothing where such bins are 0."""
    X, images, attributes = np.ones((1, 1, 8, 8), np.float32), np.zeros(2, np.int64), Attributes(mode="max")
    rois = np.float32([[1, 1, 4, 5], [3, 3, 3, 3]])
    Y = meaning(ALIGNED)(X, rois, images, attributes)
    assert Y[1].item() == 0
    calls = [call for call in recorded("torchvision_aligned") if call.attributes.sampling_ratio]
    found = identify_recorded([*calls, RecordedCall(X, rois, images, attributes, Y)])
    assert {"empty", "max_start"} <= set(found.hidden)
    assert evidence(found, "empty").reason == "several values fit, each with another value of another field"
    assert (evidence(found, "empty").fitting, evidence(found, "max_start").fitting) == (("zero", "nan"), (None, 0.0))
    assert (found.semantics.empty, found.semantics.max_start) == ("zero", None)
    assert "torchvision_aligned" in found.names
    assert "paddle_aligned" not in found.names, "NaN, and no start"


def test_invalid_recorded_calls_are_refused():
    case = recorded("mindspore_0")[0]
    with pytest.raises(RoiAlignError, match="calls must be at least one, got none"):
        identify_recorded([])
    with pytest.raises(RoiAlignError, match=r"Y must have shape .*, got shape .* \(call 0\)"):
        identify_recorded([replace(case, Y=case.Y[:1], name="")])
