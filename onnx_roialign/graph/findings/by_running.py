"""Finds errors by running a model: outputs that are not as expected, and the first node that is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_roialign.arrays import Array
from onnx_roialign.definition import reference
from onnx_roialign.definition.element_types import TYPES
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.engines.caller_arrays import array_of
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.graph.findings.comparison import difference_text, is_same
from onnx_roialign.graph.findings.finding import Finding, make_finding
from onnx_roialign.graph.findings.tap import Tap, outputs, tapped
from onnx_roialign.graph.reading.batch import always_first_image, counts_for
from onnx_roialign.graph.reading.meaning import without_the_sources_shift
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.writing.restore import read

__all__ = ["by_name", "feeds_of", "wrong_node", "wrong_output"]


def feeds_of(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Returns the arrays for the inputs of the graph. The session checks their shapes and types.

    Raises:
        RoiAlignError: an input is missing.
    """
    if not isinstance(inputs, Mapping):
        raise RoiAlignError("inputs", "type", f"must be a mapping from names to arrays, got {shown(inputs)}")
    initialized = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input]
    for name in names:
        if name not in inputs and name not in initialized:
            given = ", ".join(sorted(map(str, inputs))) or "none"
            raise RoiAlignError(name, "missing", f"must be among the inputs, got {given}")
    return {name: array_of(name, inputs[name]) for name in names if name in inputs}


def by_name(model: onnx.ModelProto, expected: Mapping[str, Array] | Sequence[Array]) -> dict[str, Array]:
    """Returns the expected outputs by name.

    Raises:
        RoiAlignError: the model has no such output, or another number of outputs.
    """
    names = [output.name for output in model.graph.output]
    if isinstance(expected, Mapping):
        for name in expected:
            if name not in names:
                raise RoiAlignError(
                    "expected", "choice", f"must name outputs of the model ({', '.join(names)}), got {shown(name)}"
                )
        if not expected:
            raise RoiAlignError("expected", "missing", f"must have an output of {', '.join(names)}, got none")
        return {name: _numbers(f"expected[{name!r}]", array) for name, array in expected.items()}
    try:
        listed = list(itertools.islice(expected, len(names) + 1))  # it may have no end
    except TypeError:
        raise RoiAlignError(
            "expected", "type", f"must be outputs by name or all in order, got {shown(expected)}"
        ) from None
    if len(listed) != len(names):
        got = len(expected) if hasattr(expected, "__len__") else shown(expected)
        raise RoiAlignError("expected", "shape", f"must have the model's {len(names)} outputs, got {got}")
    return {name: _numbers(f"expected[{i}]", listed[i]) for i, name in enumerate(names)}


def _numbers(name: str, given: Any) -> Array:
    array = array_of(name, given)
    if array.dtype.kind not in "biuf" and array.dtype.name not in TYPES:
        raise RoiAlignError(name, "type", f"must be an array of numbers, got {array.dtype}")
    return array


def wrong_output(model: onnx.ModelProto, feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> Finding | None:
    """Returns a finding about the first output of the model that is not as expected; None if all are.

    Args:
        model: a model with its external data and without functions.
        feeds: array by input name.
        expected: array by output name.
    """
    got = outputs(model, feeds, list(expected))
    for (name, want), have in zip(expected.items(), got, strict=True):
        if not is_same(have, want):
            is_numbers = isinstance(have, np.ndarray) and have.dtype.kind not in "OSU"
            how = difference_text(have, want) if is_numbers else "is no array of numbers"
            text = f"output {name!r}, compared with the expected array, {how}"
            return make_finding("wrong-output", "", text, repairable=False)
    return None


def wrong_node(model: onnx.ModelProto, feeds: Mapping[str, Array], wanted: Semantics) -> Finding | None:
    """Returns a finding about the first RoiAlign whose output is not the source's for the same inputs; None if none is.

    Args:
        model: a model with its external data and without functions.
        feeds: array by input name.
        wanted: the semantics of the source.
    """
    graph = read(model, weights=True)
    every = [site for site in sites(graph) if site.readable and not site.quantized]
    if not every:
        return None
    counts = counts_for(graph, every)
    given = None if counts is None or counts.name is None else feeds.get(counts.name)
    names = [site.name for site in every]
    for number, site in enumerate(every):
        site.node.name = f"onnx_roialign.{number}"  # nodes may have no names, or the same name
    nodes = {f"onnx_roialign.{number}": ir.to_proto(site.node) for number, site in enumerate(every)}
    by_node = dict(zip(nodes, zip(every, names, strict=True), strict=True))
    for tap in tapped(ir.to_proto(graph), feeds, list(nodes.values())):
        site, name = by_node[tap.node]
        want = _source_output(site, tap, wanted, given)
        if not is_same(tap.Y, want):
            text = f"Y, compared with the source's result, {difference_text(tap.Y, want)}"
            return make_finding("wrong-answer", name, text, repairable=True)
    return None


def _source_output(site: Site, tap: Tap, wanted: Semantics, counts: Array | None) -> Array:
    indices = tap.batch_indices
    if counts is not None and always_first_image(site) and int(counts.sum()) == len(indices):
        indices = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    attributes = replace(site.attributes, semantics=without_the_sources_shift(site, wanted).wanted_here(wanted))
    return reference.roi_align(tap.X, tap.rois, indices, attributes)
