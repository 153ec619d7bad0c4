"""Finds errors of the RoiAligns of a model by reading it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np
import onnx
import onnx_ir as ir

from onnx_roialign.definition import checks as rules
from onnx_roialign.definition.checks import Given
from onnx_roialign.definition.onnx_form import nearest_mode, relevant
from onnx_roialign.definition.semantics import FIRST_OPSET, HALF_PIXEL_OPSET, PRESETS, Semantics
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.findings.finding import Finding, make_finding
from onnx_roialign.graph.findings.onnx_checks import misfit_of_types, refusal
from onnx_roialign.graph.reading.batch import always_first_image, counts_for, images_of
from onnx_roialign.graph.reading.input_types import fit, given
from onnx_roialign.graph.reading.meaning import differences, without_the_sources_shift
from onnx_roialign.graph.reading.narrow import FINE, NARROW, Narrow, exact_up_to
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.reading.stride import Strides, extent
from onnx_roialign.graph.reading.value_types import Known, infer_known
from onnx_roialign.graph.repairs.keep_boxes_wide import keeps_boxes_wide
from onnx_roialign.graph.writing.restore import read
from onnx_roialign.onnx_model.facts import ModelFacts, read_facts
from onnx_roialign.onnx_model.node_rules import broken_nodes
from onnx_roialign.onnx_model.scopes import default_opset
from onnx_roialign.onnx_model.soundness import defects
from onnx_roialign.onnx_model.tensor_data import weightless
from onnx_roialign.ops.nodes import input_names, is_any_roi_align, is_single, node_name, wrong_inputs, wrong_outputs
from onnx_roialign.ops.table import ANY_ROI_ALIGN, op_of

__all__ = ["defect_findings", "read_findings"]

# The code of every field except offset and min_size, which ONNX's coordinate modes set together: see `_coordinates`.
_FIELD_CODES = {
    field.name: {"adaptive": "adaptive-rule", "empty": "empty-bins"}.get(field.name, field.name.replace("_", "-"))
    for field in fields(Semantics)
    if field.name not in ("offset", "min_size")
}


# The effect of each value of a field; None stands for any other value.
_FIELD_TEXTS: Mapping[tuple[str, object], str] = {
    ("start_shift", None): "adds {:g} pixels to x1 and y1",
    ("end_shift", None): "adds {:g} pixels to x2 and y2",
    ("adaptive", "ceil"): "rounds the adaptive number of samples up",
    ("adaptive", "floor"): "rounds the adaptive number of samples down",
    ("empty", "zero"): "returns 0 for bins without samples",
    ("empty", "nan"): "returns NaN for bins without samples",
    ("max_rule", "corners"): "takes the maximum over the weighted pixels",
    ("max_rule", "samples"): "takes the maximum over the interpolated samples",
    ("border", "inclusive"): "includes samples exactly at -1 or at H (W)",
    ("border", "exclusive"): "excludes samples exactly at -1 or at H (W)",
}


def defect_findings(model: onnx.ModelProto) -> list[Finding]:
    """Returns the findings that prevent any further reading of the model."""
    return list(_defects(model))


def _defects(model: onnx.ModelProto) -> Iterator[Finding]:
    for defect in defects(model):
        yield make_finding("broken-model", defect.node, defect.message, repairable=False)
    try:
        for owner in (model, *model.functions):
            default_opset(owner.opset_import)
    except RoiAlignError as error:
        yield make_finding("conflicting-opsets", "", error.rule, repairable=False)


def read_findings(
    model: onnx.ModelProto, source: str | Semantics | None, wanted: Semantics | None, folder: str | None
) -> list[Finding]:
    """Returns the findings in the model's graph, the bodies in it, and its functions.

    Args:
        model: a model without defects.
        source: the source as the caller names it, for messages; None: only errors that do not depend on the source are
            reported.
        wanted: the semantics of the source.
        folder: of the model's file; None: it is not known, and its external data is not looked for.
    """
    findings = list(_read(model, source, wanted, folder))
    if not any(finding.severity == "error" for finding in findings):
        findings += _types(model)
    return findings


def _types(model: onnx.ModelProto) -> list[Finding]:
    """Returns the error of ONNX's inference. It runs last, because the findings about a RoiAlign are more precise."""
    reason = misfit_of_types(model)
    if reason is None:
        return []
    message = f"types and shapes must be consistent, got from ONNX's shape inference: {reason}"
    return [make_finding("inconsistent-types", "", message, repairable=False)]


def _read(
    proto: onnx.ModelProto, source: str | Semantics | None, wanted: Semantics | None, folder: str | None
) -> Iterator[Finding]:
    refused = refusal(proto)
    if refused is not None:
        yield make_finding("broken-model", "", f"model must pass ONNX's checker, got: {refused}", repairable=False)
    newest, opset = onnx.defs.onnx_opset_version(), default_opset(proto.opset_import)
    if opset is not None and opset > newest:
        message = f"opset must be at most {newest}, the newest of the installed onnx, got {opset}"
        yield make_finding("opset-too-new", "", message, repairable=False)
    missing = weightless(proto, folder)
    if missing:
        message = f"initializers must have data, got {len(missing)} without data, the first is {missing[0]!r}"
        yield make_finding("missing-weights", "", message, repairable=False)
    facts = read_facts(proto)
    if not any(is_any_roi_align(node) for _, node in facts.roi_aligns):
        yield make_finding("no-roi-align", "", "model must have a RoiAlign, got none", repairable=False)
    try:
        facts.session_opset()
    except RoiAlignError as error:
        yield make_finding("undecided-meaning", error.node or "", error.rule, repairable=False)
    yield from _broken_private_ops(facts)
    model = read(proto)
    known = infer_known(proto, model)
    every = list(sites(model))
    counts = counts_for(model, every)
    strides, narrow = Strides(known), Narrow(known)
    for site in every:
        for problem in site.problems:
            yield make_finding(problem.code, site.name, problem.error.rule, repairable=problem.repairable)
        if any(problem.code == "invalid-input" for problem in site.problems):
            continue
        yield from _wrong_types(site, known)
        yield from _indices(site, known, counts)
        if site.readable:
            if wanted is None:
                yield from _emulations(site)
            else:
                yield from _differences(without_the_sources_shift(site, wanted), wanted, source)
        yield from _runtimes(site)
        yield from _places(site, known, strides)
        yield from _coarse(site, known, narrow)


def _broken_private_ops(model: ModelFacts) -> Iterator[Finding]:
    """Yields the first rule that each MultiScaleRoiAlign and PasteMasks breaks; a `Site` has the other operators."""
    for node, error in broken_nodes(model, lambda node: not is_single(node)):
        yield make_finding(_code(node, error), node_name(node), error.rule, repairable=False)


def _code(node: onnx.NodeProto, error: RoiAlignError) -> str:
    """Returns the code of the first rule that a node of a private operator breaks, in the order of `check_form`."""
    op = op_of(node)
    attributes = dict(op.attributes) if op else {}
    if wrong_inputs(node, node.input):
        return "invalid-input"
    if wrong_outputs(node.op_type, node.output):
        return "invalid-output"
    if any(attribute.name not in attributes for attribute in node.attribute):
        return "unknown-attribute"
    return "invalid-attribute" if error.subject in attributes else "invalid-input"


def _wrong_types(site: Site, known: Known) -> Iterator[Finding]:
    """Yields the rules that the known types and shapes of the inputs break, one input at a time."""
    names = input_names(site.node)
    every = {name: given(site.input(name), known) for name in names}
    repair = fit(site, known)
    for name in names:
        # the types of the other inputs depend on X's
        alone = {"X": Given(every["X"].dtype, None), name: every[name]}
        wrong = _wrong_input(site, alone)
        if wrong is not None and wrong.subject == name:
            repaired = alone | {name: Given(repair.casts.get(name, every[name].dtype), every[name].shape)}
            repairable = _wrong_input(site, repaired, private=repair.private) is None
            yield make_finding("invalid-input", site.name, wrong.rule, repairable=repairable)


def _wrong_input(site: Site, known: Mapping[str, Given], *, private: bool = False) -> RoiAlignError | None:
    """Returns the first rule that the known types and shapes of a node's inputs break; None if they break none."""
    names = input_names(site.node)
    op = op_of(site.node) or (ANY_ROI_ALIGN if private else None)
    check = op.check_signature if op else rules.check_signature
    try:
        check(*(known.get(name, Given(None, None)) for name in names))
    except RoiAlignError as error:
        return error
    return None


def _indices(site: Site, known: Known, counts: ir.Value | None) -> Iterator[Finding]:
    if not always_first_image(site):
        return
    images = images_of(site, known)
    if counts is not None and not site.in_function and images != 1:
        message = f"batch_indices is always 0, but the model has RoI counts {counts.name!r}, which no node reads"
        yield make_finding("zero-batch-indices", site.name, message, repairable=True)
    elif isinstance(images, int) and images > 1:
        message = f"batch_indices is always 0, but X has {images} images"
        yield make_finding("unread-images", site.name, message, repairable=False)


def _emulations(site: Site) -> Iterator[Finding]:
    """Yields combinations of the node and the nodes before it that match no framework's RoIAlign."""
    meaning = site.effective.semantics
    if meaning.offset == 1.0 and site.shift.start != 0.0:
        message = f"{_node_text(site)}, but half a pixel must be subtracted only once"
        yield make_finding("half-pixel-twice", site.name, message, repairable=True)
    if meaning.min_size is None or site.private:
        return
    if meaning.end_shift != 0.0:
        code, kind = "end-shift-minimum-size", "that adds 1 pixel to x2 and y2 (MindSpore, roi_end_mode=1)"
    elif meaning.offset == 0.5:
        code, kind = "emulated-half-pixel", "with a half-pixel offset"
    else:
        return
    message = f"{_node_text(site)}, but a RoIAlign {kind} has no minimum RoI size"
    yield make_finding(code, site.name, message, repairable=True)


def _differences(site: Site, wanted: Semantics, source: str | Semantics | None) -> Iterator[Finding]:
    """Yields every field in which the node, together with the shift before it, differs from the source."""
    has = site.effective
    differing = differences(has, wanted)
    if "offset" in differing or "min_size" in differing:
        yield _coordinates(site, wanted, source)
    for field, code in _FIELD_CODES.items():
        if field in differing:
            here, there = (_field_text(field, getattr(meaning, field)) for meaning in (has.semantics, wanted))
            message = f"the node {here}, but {_name(source)} {there}"
            yield make_finding(code, site.name, message, repairable=True)


def _field_text(field: str, value: object) -> str:
    """Returns the effect of a value of a field, as the end of a sentence."""
    if field == "max_start":
        start = "the first sample" if value is None else f"{value:g}"
        return f"starts the maximum from {start}"
    return _FIELD_TEXTS.get((field, value)) or _FIELD_TEXTS.get((field, None), f"has {field} {{}}").format(value)


def _coordinates(site: Site, wanted: Semantics, source: str | Semantics | None) -> Finding:
    """Returns the one finding about offset and minimum size, which ONNX's two coordinate modes set together."""
    has = relevant(site.effective)
    if has.offset == wanted.offset:  # only the minimum size differs
        code = "minimum-size"
        if wanted.min_size is None and has.end_shift == wanted.end_shift != 0.0:
            code = "end-shift-minimum-size"
        elif wanted.min_size is None and has.offset == 0.5:
            code = "emulated-half-pixel"
    elif has.offset == 1.0 and site.shift.start != 0.0:
        code = "half-pixel-twice"
    else:
        code = {(0.0, 0.5): "half-pixel-lost", (0.5, 0.0): "half-pixel-added"}.get(
            (has.offset, wanted.offset), "offset"
        )
    message = f"{_node_text(site)}, but {_name(source)} needs {_coordinates_text(wanted)}"
    return make_finding(code, site.name, message, repairable=True)


def _coordinates_text(meaning: Semantics) -> str:
    """Returns the offset and the minimum size of a meaning in ONNX's words, where ONNX has a word for the pair."""
    for mode in ("half_pixel", "output_half_pixel"):
        preset = PRESETS[f"onnx_{mode}"]
        if (meaning.offset, meaning.min_size) == (preset.offset, preset.min_size):
            return mode
    size = "no minimum RoI size" if meaning.min_size is None else f"a minimum RoI size of {meaning.min_size:g}"
    return f"an offset of {meaning.offset:g} and {size}"


def _node_text(site: Site) -> str:
    """Returns the meaning of the node and of the shift before it, in the words of its attributes."""
    meaning = site.attributes.semantics
    mode = nearest_mode(meaning)
    if site.private:
        text = f"offset is {meaning.offset:g} and min_size is {meaning.min_size}"
    elif (site.opset or 0) < HALF_PIXEL_OPSET:
        text = f"RoiAlign of opset {site.opset} means {mode}"
    elif "coordinate_transformation_mode" in site.given:
        text = f"coordinate_transformation_mode is {mode}"
    else:
        text = f"coordinate_transformation_mode is missing; at opset {site.opset} that means {mode}"
    start, end = site.shift.start, site.shift.end
    if not (start or end):
        return text
    shift = f"{start:g} to all coordinates" if start == end else f"{start:g} to x1 and y1 and {end:g} to x2 and y2"
    return f"{text}, and the graph adds {shift} before it"


def _name(source: str | Semantics | None) -> str:
    return source if isinstance(source, str) else "the source"


def _runtimes(site: Site) -> Iterator[Finding]:
    """Yields attributes that are correct ONNX but differ between runtimes."""
    if site.private:
        return
    if site.attributes.mode == "max":
        message = "mode is max, but runtimes compute it differently"
        yield make_finding("max-mode", site.name, message, repairable=False)
    if "sampling_ratio" not in site.given:
        yield make_finding(
            "sampling-ratio-omitted",
            site.name,
            "sampling_ratio is missing, but runtimes have different defaults",
            repairable=True,
        )
    if site.opset is not None and site.opset >= FIRST_OPSET and _lacks_builtin_kernel(site.opset):
        message = (
            f"the opset is {site.opset}, but the installed onnxruntime's CPU provider has no RoiAlign kernel for it"
        )
        yield make_finding("no-builtin-kernel", site.name, message, repairable=False)


def _lacks_builtin_kernel(opset: int) -> bool:
    try:
        from onnx_roialign.sessions.installed import has_builtin_kernel
    except ModuleNotFoundError:  # without onnxruntime there is nothing to report
        return False
    return not has_builtin_kernel(opset)


def _places(site: Site, known: Known, strides: Strides) -> Iterator[Finding]:
    if "spatial_scale" not in {problem.error.subject for problem in site.problems}:
        sizes = strides.misfit(site)
        if sizes is not None:
            (image, feature), scale = sizes, site.attributes.spatial_scale
            message = (
                f"spatial_scale is {scale:g}, but a {feature[0]} x {feature[1]} feature map of a {image[0]} x "
                f"{image[1]} image needs about {feature[1] / image[1]:.3g}"
            )
            yield make_finding("spatial-scale-stride", site.name, message, repairable=False)


def _coarse(site: Site, known: Known, narrow: Narrow) -> Iterator[Finding]:
    """Yields the 16-bit types that the boxes have, or had before a Cast, and that are too coarse for the image."""
    longest, own = extent(site, known), narrow.type(site.input("rois"))
    for kind in narrow.coarse(site):
        name = kind.name.lower()
        if longest is None:
            holds = f"multiples of {2 * FINE:g} above {exact_up_to(kind):g} pixels (the size of the image is not known)"
        else:
            step = float(np.exp2(np.ceil(np.log2(longest)) - NARROW[kind] - 1))
            holds = f"multiples of {step:g} in an image {longest:g} pixels long"
        place = "" if kind == own else " before a Cast"
        message = f"rois are {name}{place}; {name} holds {holds}, but boxes must be exact to {FINE:g} pixels"
        yield make_finding("coarse-coordinates", site.name, message, repairable=keeps_boxes_wide(site, narrow))
