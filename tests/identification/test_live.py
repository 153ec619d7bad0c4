"""Tests identify: presets, engines and recordings are named, and behaviour that no Semantics expresses is reported."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from identified import ALIGNED, LEGACY, evidence, meaning, presets_like

from onnx_roialign import PRESETS
from onnx_roialign.identification.live import identify
from onnx_roialign.identification.result import FIELDS, combinations


def never_empty(semantics):
    return semantics.adaptive == "ceil" and semantics.min_size is not None


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


def test_the_evidence_of_a_field_has_the_reading_of_each_value_and_the_measured_one():
    found = identify(meaning(PRESETS["mindspore_1"]))
    fields = {entry.subject: entry for entry in found.evidence if entry.subject in FIELDS}
    assert list(fields) == list(FIELDS)
    for field, entry in fields.items():
        assert entry.verdict == "decided"
        assert entry.value == getattr(PRESETS["mindspore_1"], field)
        expected = dict(entry.expected)
        assert set(expected) == set(FIELDS[field])
        np.testing.assert_allclose(entry.seen, expected.pop(entry.value), atol=1e-5)
        for other in expected.values():
            difference = np.abs(np.array(entry.seen) - other)
            assert np.isnan(difference).any() or difference.max() > 0.05, "the values are too close to tell in noise"
        assert entry.probe
        assert entry.reason == f"only {entry.value!r} fits"


def test_the_minimum_size_hides_empty_bins_and_is_the_reason_in_the_evidence():
    entry = evidence(identify(meaning(LEGACY)), "empty")
    assert entry.verdict == "hidden"
    assert entry.reason == "no bin is without samples, because of the minimum size: all of 'zero', 'nan' fit"
    assert dict(entry.expected) == {"zero": (1, 1), "nan": (1, 1)}


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


def test_an_offset_of_the_image_is_distinguished_from_an_offset_of_the_map():
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


# Behaviour that no Semantics has.


def rounded(X, rois, indices, attributes):
    return meaning(ALIGNED)(X, np.round(rois), indices, attributes)


def two_samples(X, rois, indices, attributes):
    """Treats 0 as 2, as some implementations do."""
    return meaning(ALIGNED)(X, rois, indices, replace(attributes, sampling_ratio=attributes.sampling_ratio or 2))


def first_image(X, rois, indices, attributes):
    return meaning(ALIGNED)(X, rois, 0 * indices, attributes)


def swapped(X, rois, indices, attributes):
    """Confuses the rows and columns of bins, in grids that are not square."""
    turned = replace(attributes, output_height=attributes.output_width, output_width=attributes.output_height)
    Y = meaning(ALIGNED)(X, rois, indices, turned)
    return Y.reshape(*Y.shape[:2], attributes.output_height, attributes.output_width)


def mean_of_the_inside(X, rois, indices, attributes):
    """Divides by the samples inside the map, not by all."""
    Y, weight = (meaning(ALIGNED)(each, rois, indices, attributes) for each in (X, np.ones_like(X)))
    return Y / np.where(weight > 0, weight, 1) if attributes.mode == "avg" else Y


def unmirrored(X, rois, indices, attributes):
    """Sorts the corners first."""
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
    assert tuple(entry.subject for entry in found.odd) == subjects
    assert (found.fits, found.semantics, found.names) == (False, None, ())
    for entry in found.odd:
        assert entry.reason == "no value fits"
        assert entry.seen
        assert len(entry.expected) == len(FIELDS[entry.subject])


@pytest.mark.parametrize(("axis", "sign", "beyond"), [(0, -1, 0), (0, 1, 15), (1, -1, 0), (1, 1, 11)])
def test_a_border_that_is_open_on_one_side_alone_is_odd(axis, sign, beyond):
    def half_open(X, rois, indices, attributes):
        inclusive, exclusive = (
            meaning(replace(ALIGNED, border=border))(X, rois, indices, attributes) for border in FIELDS["border"]
        )
        middle = (rois[:, axis] + rois[:, axis + 2]) / 2
        return np.where((sign * middle > sign * beyond)[:, None, None, None], exclusive, inclusive)

    assert [entry.subject for entry in identify(half_open).odd] == ["border"]


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
    assert tuple(entry.subject for entry in found.odd) == subjects
    assert not found.fits
    assert name in found.names
    for entry in found.odd:
        assert "outputs differ, most in RoI" in entry.reason
        assert entry.seen != dict(entry.expected)[None]


def test_a_mean_over_only_the_samples_inside_is_reported():
    found = identify(mean_of_the_inside)
    assert [entry.subject for entry in found.odd] == ["samples outside"]


def test_max_that_is_refused_leaves_max_rule_hidden_with_the_reason():
    def no_max(X, rois, indices, attributes):
        if attributes.mode == "max":
            raise NotImplementedError("only\n  averages")
        return meaning(ALIGNED)(X, rois, indices, attributes)

    found = identify(no_max)
    assert found.fits
    assert found.hidden == ("max_rule", "max_start")
    assert evidence(found, "max_rule").reason == "raises NotImplementedError: only averages"
    assert evidence(found, "maxima of negatives").reason == "not probed: max_rule is unknown"
    assert {"torchvision_aligned", "mmcv_aligned"} <= set(found.names)


def test_a_max_that_returns_the_average_is_not_a_rule():
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
def test_an_invalid_output_is_odd(fn, reason):
    found = identify(fn)
    entry = evidence(found, "offset")
    assert entry.verdict == "odd"
    assert re.search(reason, entry.reason)
    assert not found.fits


def test_a_callable_that_raises_fits_nothing():
    def broken(*arguments):
        raise TypeError("wrong call")

    found = identify(broken)
    assert (found.fits, found.semantics) == (False, None)
    assert evidence(found, "offset").reason == "raises TypeError: wrong call"


def test_outputs_that_change_from_call_to_call_are_odd():
    rng = np.random.default_rng(0)

    def moody(*arguments):
        return meaning(ALIGNED)(*arguments) + rng.random()

    entry = evidence(identify(moody), "offset")
    assert entry.verdict == "odd"
    assert entry.reason.startswith("two equal calls return outputs that differ by up to 0.")


def test_a_callable_that_writes_to_its_inputs_has_no_effect():
    def untidy(X, rois, indices, attributes):
        Y = meaning(ALIGNED)(X, rois, indices, attributes)
        X[:], rois[:], indices[:] = 7, 7, 7
        return Y

    assert "torchvision_aligned" in identify(untidy).names
