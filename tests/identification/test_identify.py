"""identify: every preset, engine and framework's recorded answers are named, and what no Semantics has is reported."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import golden
import numpy as np
import onnx
import pytest

import onnx_roialign
from onnx_roialign import PRESETS, RoiAlignError, Semantics
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.identification import recorded as recorded_module
from onnx_roialign.identification.live import RecordedCall, identify, identify_recorded
from onnx_roialign.identification.node import ProbedNode, find_node
from onnx_roialign.identification.probes import CHECKS
from onnx_roialign.identification.result import FIELDS, Evidence, combinations, conclude

LEGACY, ALIGNED = PRESETS["torchvision_legacy"], PRESETS["torchvision_aligned"]

DISTINCT = {semantics: name for name, semantics in PRESETS.items()}


def meaning(semantics):
    """A RoIAlign that means this."""
    return lambda X, rois, indices, attributes: reference.roi_align(
        X, rois, indices, replace(attributes, semantics=semantics)
    )


def evidence(found, subject):
    return next(one for one in found.evidence if one.subject == subject)


def presets_like(semantics, hidden):
    seen = [field for field in FIELDS if field not in hidden]
    return tuple(
        name
        for name, preset in PRESETS.items()
        if all(getattr(preset, field) == getattr(semantics, field) for field in seen)
    )


def never_empty(semantics):
    return semantics.adaptive == "ceil" and semantics.min_size is not None


# Live.


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_named_on_every_engine(engine, preset):
    def fn(X, rois, indices, attributes):
        names = ("output_height", "output_width", "sampling_ratio", "spatial_scale", "mode")
        return engine(X, rois, indices, semantics=preset, **{name: getattr(attributes, name) for name in names})

    found = identify(fn)
    assert found.fits, found.odd
    assert found.hidden == (("empty",) if never_empty(PRESETS[preset]) else ())
    assert preset in found.names
    assert found.names == presets_like(PRESETS[preset], found.hidden)
    assert found.differs_from(PRESETS[preset]) == ()


def test_combinations_of_the_known_values_are_found():
    candidates = combinations(FIELDS)
    for i in np.random.default_rng(20261127).choice(len(candidates), 128, replace=False):
        semantics = candidates[i]
        found = identify(meaning(semantics))
        assert found.fits, (semantics, found.odd)
        assert found.differs_from(semantics) == (), semantics
        assert found.hidden == (("empty",) if never_empty(semantics) else ()), semantics


@pytest.mark.parametrize("preset", PRESETS)
def test_noise_of_1e_5_changes_nothing(preset):
    rng = np.random.default_rng(0)

    def noisy(*arguments):
        Y = meaning(PRESETS[preset])(*arguments)
        return Y + rng.uniform(-1e-5, 1e-5, Y.shape)

    quiet, found = identify(meaning(PRESETS[preset])), identify(noisy)
    assert (found.semantics, found.names, found.hidden) == (quiet.semantics, quiet.names, quiet.hidden)
    assert found.fits


def test_the_evidence_of_a_field_says_what_each_value_would_answer_and_what_was_seen():
    found = identify(meaning(PRESETS["mindspore_1"]))
    fields = {one.subject: one for one in found.evidence if one.subject in FIELDS}
    assert list(fields) == list(FIELDS)
    for field, one in fields.items():
        assert one.verdict == "decided"
        assert one.value == getattr(PRESETS["mindspore_1"], field)
        expected = dict(one.expected)
        assert set(expected) == set(FIELDS[field])
        np.testing.assert_allclose(one.seen, expected.pop(one.value), atol=1e-5)
        for other in expected.values():
            difference = np.abs(np.array(one.seen) - other)
            assert np.isnan(difference).any() or difference.max() > 0.05, "the values are too close to tell in noise"
        assert one.probe
        assert one.reason == f"only {one.value!r} fits"


def test_the_minimum_size_hides_empty_bins_and_the_evidence_says_so():
    one = evidence(identify(meaning(LEGACY)), "empty")
    assert one.verdict == "hidden"
    assert one.reason == "no bin is without samples, because of the minimum size: all of 'zero', 'nan' fit"
    assert dict(one.expected) == {"zero": (1, 1), "nan": (1, 1)}


@pytest.mark.parametrize(
    "fields",
    [
        *({"offset": 0.25}, {"start_shift": 0.25}, {"end_shift": 0.25}, {"end_shift": -1.0}),
        *({"min_size": 2.0}, {"min_size": 0.1}, {"max_start": -2.5}),
    ],
)
def test_a_length_that_no_preset_has_is_measured(fields):
    semantics = replace(PRESETS["paddle_aligned"], **fields)
    found = identify(meaning(semantics))
    assert found.fits, found.odd
    assert found.names == ()
    (field,) = fields
    assert getattr(found.semantics, field) == getattr(semantics, field)
    assert evidence(found, field).reason == f"only {fields[field]} fits, a value that no preset has"


def test_an_offset_of_the_image_is_told_from_one_of_the_map():
    def before_scaling(X, rois, indices, attributes):
        return meaning(replace(ALIGNED, offset=0.0))(X, rois - np.float32(0.5), indices, attributes)

    found = identify(before_scaling)
    assert found.semantics == replace(ALIGNED, offset=0.0, start_shift=-0.5, end_shift=-0.5)
    assert found.names == ()


@pytest.mark.parametrize("start", [0.0, -10000.0])
def test_a_maximum_that_starts_from_a_number_is_found(start):
    def started(X, rois, indices, attributes):
        Y = meaning(ALIGNED)(X, rois, indices, attributes)
        return np.maximum(Y, start) if attributes.mode == "max" else Y

    found = identify(started)
    assert (found.fits, found.semantics) == (True, replace(ALIGNED, max_start=start))


def node(opset, **attributes):
    return onnx.helper.make_node("RoiAlign", ["X", "rois", "b"], ["Y"], "pool", **attributes)


@pytest.mark.parametrize("engine_name", ["builtin", "native", "reference", "evaluator"])
@pytest.mark.parametrize(
    ("opset", "mode", "preset"),
    [
        (10, None, "onnx_output_half_pixel"),
        (16, None, "onnx_half_pixel"),
        (16, "output_half_pixel", "onnx_output_half_pixel"),
    ],
)
def test_a_node_is_named_on_every_runtime(engine_name, opset, mode, preset):
    probed = ProbedNode(node(opset, **({} if mode is None else {"coordinate_transformation_mode": mode})), opset)
    found = identify(probed.on(engine_name))
    assert found.fits, found.odd
    assert preset in found.names
    assert found.differs_from(probed.meant) == ()


def test_onnx_reference_is_half_a_pixel_off_at_opset_10():
    """Where onnx mends its op, this fails: evaluator.py's docstring and README's table must then change."""
    wrong, right = ProbedNode(node(10), 10), ProbedNode(node(16), 16)
    found = identify(wrong.on("onnx.reference"))
    assert "onnx_half_pixel" in found.names
    assert found.differs_from(wrong.meant) == ("offset", "min_size")
    assert identify(right.on("onnx.reference")).differs_from(right.meant) == ()


def test_a_runtime_that_refuses_the_node_fits_nothing_and_its_words_are_the_reason():
    found = identify(ProbedNode(node(22), 22).on("builtin"))
    assert not found.fits
    assert (found.semantics, found.names, found.hidden) == (None, (), tuple(FIELDS))
    assert "Could not find an implementation for RoiAlign(22)" in evidence(found, "offset").reason
    assert evidence(found, "border").reason == "not probed: the positions of RoIs are not known"


def test_the_private_op_is_named_from_its_attributes():
    from onnx_roialign.ops.roi_align import make_node

    probed = ProbedNode(make_node("X", "rois", "b", "Y", Attributes(semantics=PRESETS["mindspore_1"]), name="p"), 16)
    assert probed.meant == PRESETS["mindspore_1"]
    for engine_name in ("native", "evaluator"):
        assert identify(probed.on(engine_name)).names == ("mindspore_1",)


def test_a_node_inside_a_branch_is_found_by_name():
    helper, tensor = onnx.helper, onnx.TensorProto
    y = helper.make_tensor_value_info("Y", tensor.FLOAT, None)
    branches = [helper.make_graph([replace_name(node(16), name)], name, [], [y]) for name in ("a", "b")]
    choice = helper.make_node("If", ["c"], ["Y"], then_branch=branches[0], else_branch=branches[1])
    graph = helper.make_graph([choice], "g", [helper.make_tensor_value_info("c", tensor.BOOL, [])], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)])
    assert find_node(model, "b", Path("m.onnx")).name == "b"
    with pytest.raises(RoiAlignError, match="MODEL must have one RoiAlign node, got 2; choose with --node: "):
        find_node(model, None, Path("m.onnx"))


def replace_name(proto, name):
    proto.name = name
    return proto


# Behaviour that fits none.


def rounded(X, rois, indices, attributes):
    return meaning(ALIGNED)(X, np.round(rois), indices, attributes)


def two_samples(X, rois, indices, attributes):
    """Takes 0 to mean 2, as some do."""
    return meaning(ALIGNED)(X, rois, indices, replace(attributes, sampling_ratio=attributes.sampling_ratio or 2))


def first_image(X, rois, indices, attributes):
    return meaning(ALIGNED)(X, rois, 0 * indices, attributes)


def swapped(X, rois, indices, attributes):
    """Takes the bins' rows for columns, in grids that are not square."""
    turned = replace(attributes, output_height=attributes.output_width, output_width=attributes.output_height)
    Y = meaning(ALIGNED)(X, rois, indices, turned)
    return Y.reshape(*Y.shape[:2], attributes.output_height, attributes.output_width)


def mean_of_the_inside(X, rois, indices, attributes):
    """Divides by the samples that count, not by all."""
    Y, weight = (meaning(ALIGNED)(each, rois, indices, attributes) for each in (X, np.ones_like(X)))
    return Y / np.where(weight > 0, weight, 1) if attributes.mode == "avg" else Y


def unmirrored(X, rois, indices, attributes):
    """Puts corners in order first."""
    low, high = np.minimum(rois[:, :2], rois[:, 2:]), np.maximum(rois[:, :2], rois[:, 2:])
    return meaning(ALIGNED)(X, np.hstack([low, high]), indices, attributes)


@pytest.mark.parametrize(
    ("fn", "subjects"),
    [
        (rounded, ("start_shift", "offset", "end_shift")),
        (two_samples, ("adaptive", "empty")),
    ],
)
def test_a_field_without_a_value_that_fits_leaves_no_semantics_and_no_names(fn, subjects):
    found = identify(fn)
    assert tuple(one.subject for one in found.odd) == subjects
    assert (found.fits, found.semantics, found.names) == (False, None, ())
    for one in found.odd:
        assert one.reason == "no value fits"
        assert one.seen
        assert len(one.expected) == len(FIELDS[one.subject])


@pytest.mark.parametrize(("axis", "sign", "beyond"), [(0, -1, 0), (0, 1, 15), (1, -1, 0), (1, 1, 11)])
def test_a_border_that_is_open_on_one_side_alone_is_odd(axis, sign, beyond):
    def half_open(X, rois, indices, attributes):
        inclusive, exclusive = (
            meaning(replace(ALIGNED, border=border))(X, rois, indices, attributes) for border in FIELDS["border"]
        )
        middle = (rois[:, axis] + rois[:, axis + 2]) / 2
        return np.where((sign * middle > sign * beyond)[:, None, None, None], exclusive, inclusive)

    assert [one.subject for one in identify(half_open).odd] == ["border"]


@pytest.mark.parametrize(
    ("fn", "subjects", "name"),
    [
        (first_image, ("images",), "torchvision_aligned"),
        (swapped, ("bins and grids", "adaptive grids", "mirrored RoIs"), "torchvision_aligned"),
        (unmirrored, ("mirrored RoIs",), "torchvision_aligned"),
    ],
)
def test_behaviour_that_is_no_field_is_reported_beside_the_semantics_that_is_nearest(fn, subjects, name):
    found = identify(fn)
    assert tuple(one.subject for one in found.odd) == subjects
    assert not found.fits
    assert name in found.names
    for one in found.odd:
        assert "outputs differ, most in RoI" in one.reason
        assert one.seen != dict(one.expected)[None]


def test_a_mean_over_the_samples_inside_alone_is_reported():
    found = identify(mean_of_the_inside)
    assert [one.subject for one in found.odd] == ["samples outside"]


def test_max_that_is_refused_leaves_max_rule_hidden_with_the_reason():
    def no_max(X, rois, indices, attributes):
        if attributes.mode == "max":
            raise NotImplementedError("only\n  averages")
        return meaning(ALIGNED)(X, rois, indices, attributes)

    found = identify(no_max)
    assert found.fits
    assert found.hidden == ("max_rule", "max_start")
    assert evidence(found, "max_rule").reason == "raises NotImplementedError: only averages"
    assert evidence(found, "maxima of negatives").reason == "not probed: max_rule is not known"
    assert {"torchvision_aligned", "mmcv_aligned"} <= set(found.names)


def test_max_that_answers_the_average_is_not_taken_for_a_rule():
    found = identify(lambda X, r, i, attributes: meaning(ALIGNED)(X, r, i, replace(attributes, mode="avg")))
    assert found.hidden == ("max_rule", "max_start")
    assert evidence(found, "max_rule").reason == "mode 'max' returns the average: it is not supported"
    assert found.fits


@pytest.mark.parametrize(
    ("fn", "reason"),
    [
        (lambda X, r, i, a: np.zeros((len(r), 3)), r"returns shape \(1, 3\), not \(1, 5, 2, 2\)"),
        (lambda X, r, i, a: np.full((len(r), X.shape[1], a.output_height, a.output_width), np.nan), "no value fits"),
        (lambda X, r, i, a: [[[["a"] * a.output_width] * a.output_height] * X.shape[1]] * len(r), "returns <U1, not"),
        (lambda X, r, i, a: None, r"returns shape \(\), not"),
    ],
)
def test_an_answer_that_is_none_is_odd(fn, reason):
    found = identify(fn)
    one = evidence(found, "offset")
    assert one.verdict == "odd"
    assert re.search(reason, one.reason)
    assert not found.fits


def test_a_callable_that_raises_fits_nothing():
    def broken(*arguments):
        raise TypeError("wrong call")

    found = identify(broken)
    assert (found.fits, found.semantics) == (False, None)
    assert evidence(found, "offset").reason == "raises TypeError: wrong call"


def test_answers_that_change_from_call_to_call_are_odd():
    rng = np.random.default_rng(0)

    def moody(*arguments):
        return meaning(ALIGNED)(*arguments) + rng.random()

    one = evidence(identify(moody), "offset")
    assert one.verdict == "odd"
    assert one.reason.startswith("two equal calls return outputs that differ by up to 0.")


def test_a_callable_that_writes_into_its_inputs_disturbs_nothing():
    def untidy(X, rois, indices, attributes):
        Y = meaning(ALIGNED)(X, rois, indices, attributes)
        X[:], rois[:], indices[:] = 7, 7, 7
        return Y

    assert "torchvision_aligned" in identify(untidy).names


# The probes themselves.


@cache
def calls_asked():
    asked = []
    for preset in PRESETS:

        def spy(X, rois, indices, attributes, preset=preset):
            asked.append((preset, RecordedCall(X.copy(), rois.copy(), indices.copy(), attributes, np.zeros(0))))
            return meaning(PRESETS[preset])(X, rois, indices, attributes)

        identify(spy)
    return tuple(asked)


def test_there_are_few_and_small_calls():
    assert len(calls_asked()) <= 42 * len(PRESETS)
    assert max(call.X.size for _, call in calls_asked()) <= 1024


def test_no_probe_asks_for_an_adaptive_grid_over_a_mirrored_roi():
    """Paddle 3.3.1 with aligned=True does not return from that, and a call of ours could not be stopped."""
    for preset, call in calls_asked():
        if call.attributes.sampling_ratio == 0:
            sizes = call.rois[:, 2:] - call.rois[:, :2] + PRESETS[preset].end_shift
            assert np.all(sizes >= 0), (preset, call)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.subject)
def test_no_check_hangs_on_the_rounding_of_a_sample(check):
    for preset in PRESETS.values():
        call = RecordedCall(**{n: getattr(check.call, n) for n in ("X", "rois", "batch_indices", "attributes")}, Y=None)
        assert recorded_module._steady(call, preset).all()


# Recorded answers.


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
def test_each_frameworks_recorded_answers_are_named(preset, hidden):
    found = identify_recorded(recorded(preset))
    assert found.fits, found.odd
    assert found.hidden == hidden
    assert preset in found.names
    assert found.names == presets_like(PRESETS[preset], hidden)


def test_recorded_evidence_names_the_call_and_counts_what_fits():
    found = identify_recorded(recorded("mindspore_1"))
    one = evidence(found, "end_shift")
    case = next(case for case in recorded("mindspore_1") if one.probe.startswith(f"{case.name}: RoI "))
    assert np.isin(np.float64(one.seen), case.Y.astype(np.float64)) or np.isnan(one.seen[0])
    assert "outputs that distinguish them fit 0.0, " in one.reason
    assert evidence(found, "max_rule").reason == "no call has mode 'max'"
    legacy = identify_recorded(recorded("paddle_legacy"))
    assert evidence(legacy, "empty").reason.endswith("with a minimum size of 1 and ceil no bin is empty")
    assert evidence(legacy, "border").reason == "no call has a sample exactly at -1 or at H (W)"


def test_an_answer_that_hangs_on_the_rounding_of_a_sample_strikes_out_nothing(monkeypatch):
    """Two RoIs whose one sample lies exactly at x = W: the framework's own rounding carried the second one past it."""
    rois, beyond = np.float32([[20, 2, 44, 8]] * 2), np.float32([[20, 2, 44, 8], [20, 2, 44.0001, 8]])
    X, indices, attributes = np.full((1, 1, 16, 32), 3, np.float32), np.zeros(2, np.int64), Attributes(sampling_ratio=1)
    Y = meaning(LEGACY)(X, beyond, indices, attributes)
    assert Y.ravel().tolist() == [3, 0]
    calls = [*recorded("torchvision_legacy"), RecordedCall(X, rois, indices, attributes, Y, "on the cut")]
    found = identify_recorded(calls)
    assert found.fits
    assert "torchvision_legacy" in found.names
    one = evidence(found, "border")
    assert one.verdict == "hidden"
    assert one.reason == (
        "no clear majority: 1 of the 2 outputs that distinguish them fit 'inclusive', 1 fit 'exclusive'"
    )
    monkeypatch.setattr(recorded_module, "_steady", lambda call, semantics: np.ones((len(call.rois), 1, 1, 1), bool))
    assert evidence(identify_recorded(calls), "recorded calls").probe.startswith("on the cut: RoI ")


@pytest.mark.parametrize("preset", ["paddle_aligned", "mindspore_0"])
def test_recorded_answers_with_noise_of_1e_5_are_named_alike(preset):
    rng = np.random.default_rng(0)
    noisy = [replace(c, Y=c.Y + rng.uniform(-1e-5, 1e-5, c.Y.shape).astype(np.float32)) for c in recorded(preset)]
    assert identify_recorded(noisy).names == identify_recorded(recorded(preset)).names


def test_recorded_answers_of_two_meanings_fit_none_and_the_first_that_does_not_fit_is_named():
    mixed = [*recorded("torchvision_legacy")[:5], *recorded("torchvision_aligned")]
    found = identify_recorded(mixed)
    assert (found.fits, found.semantics, found.names) == (False, None, ())
    one = evidence(found, "recorded calls")
    assert one.verdict == "odd"
    assert one.reason == (f"no meaning that explains the calls before {mixed[5].name} explains this call"), (
        "the sixth is the first of the other meaning, and is inside the map"
    )
    assert one.seen != one.expected[0][1]


@pytest.mark.parametrize("semantics", DISTINCT, ids=DISTINCT.values())
def test_a_preset_is_found_again_in_calls_recorded_from_it(semantics):
    """With max mode and samples on the cut, which the frameworks' recordings do not all have."""
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
    """Maxima of features between -10000 and 0: they start from no 0, and whether from -10000 nobody sees."""
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
    """A maximum without samples that is 0: it starts from 0, or from none where such bins are 0."""
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


def test_what_is_hidden_is_given_no_value_that_is_ruled_out():
    left = [replace(ALIGNED, end_shift=shift, border=border) for shift in (1.0, 0.5) for border in FIELDS["border"]]
    found = conclude([Evidence("offset", "decided", 0.5, "", (), (), "", (0.5,))], left)
    assert found.semantics == replace(ALIGNED, end_shift=1.0)


def test_recorded_calls_that_cannot_be_are_refused():
    case = recorded("mindspore_0")[0]
    with pytest.raises(RoiAlignError, match="calls must be at least one, got none"):
        identify_recorded([])
    with pytest.raises(RoiAlignError, match=r"Y must have shape .*, got shape .* \(call 0\)"):
        identify_recorded([replace(case, Y=case.Y[:1], name="")])


# What is handed out.


def test_all_of_it_goes_into_json_and_nan_as_a_string():
    for found in (identify(meaning(PRESETS["mindspore_0"])), identify(lambda *_: None)):
        answer = json.loads(json.dumps(found.as_dict(), allow_nan=False))
        assert set(answer) == {"fits", "semantics", "names", "hidden", "evidence"}
        keys = {"subject", "verdict", "value", "probe", "expected", "seen", "reason", "fitting"}
        assert all(set(one) == keys for one in answer["evidence"])
    empty = next(
        one for one in identify(meaning(PRESETS["mindspore_0"])).as_dict()["evidence"] if one["value"] == "nan"
    )
    assert empty["seen"][-1] == "nan"


def test_it_is_a_public_name():
    assert onnx_roialign.identify is identify
    assert identify(reference.roi_align).semantics == Semantics()


@pytest.mark.parametrize("names", [("", ""), ("pool", "pool"), ("first", "")], ids=str)
def test_nodes_without_a_name_of_their_own_are_chosen_by_their_output(names):
    nodes = [node(16), node(16)]
    for one, name, output in zip(nodes, names, ("Y", "Z"), strict=True):
        one.name, one.output[0] = name, output
    nodes[1].attribute.append(onnx.helper.make_attribute("coordinate_transformation_mode", "output_half_pixel"))
    graph = onnx.helper.make_graph(nodes, "graph", [], [])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)])
    with pytest.raises(
        RoiAlignError, match=f"got 2; choose with --node: {names[0] if names[0] == 'first' else 'Y'}, Z"
    ):
        find_node(proto, None, Path("m.onnx"))
    assert find_node(proto, "Z", Path("m.onnx")).meant == PRESETS["onnx_output_half_pixel"]
    assert find_node(proto, "Y", Path("m.onnx")).meant == PRESETS["onnx_half_pixel"]
