"""What is wrong with the RoiAligns of a model, by reading it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np
import onnx
import onnx_ir as ir

from onnx_roialign.definition import checks as rules
from onnx_roialign.definition.checks import Given
from onnx_roialign.definition.onnx_form import nearest_mode, relevant
from onnx_roialign.definition.semantics import FIRST_OPSET, HALF_PIXEL_OPSET, Semantics
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.findings.finding import Finding, make_finding
from onnx_roialign.graph.findings.onnx_says import misfit_of_types, refusal
from onnx_roialign.graph.reading.batch import always_first_image, counts_for, images_of
from onnx_roialign.graph.reading.input_types import fit, given
from onnx_roialign.graph.reading.meaning import differences, without_the_sources_shift
from onnx_roialign.graph.reading.narrow import FINE, NARROW, Narrow, exact_up_to
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.reading.stride import Strides, extent
from onnx_roialign.graph.reading.value_types import Known, infer_known
from onnx_roialign.graph.repairs.keep_boxes_wide import keeps_boxes_wide
from onnx_roialign.graph.writing.restore import read
from onnx_roialign.onnx_model.facts import read_facts
from onnx_roialign.onnx_model.scopes import default_opset
from onnx_roialign.onnx_model.soundness import defects
from onnx_roialign.onnx_model.tensor_data import weightless
from onnx_roialign.ops.nodes import input_names
from onnx_roialign.ops.table import ANY_ROI_ALIGN, op_of

__all__ = ["defect_findings", "read_findings"]

# The code of every field but those two that ONNX's coordinate modes set together, which `_coordinates` names.
_FIELD_CODES = {
    field.name: {"adaptive": "adaptive-rule", "empty": "empty-bins"}.get(field.name, field.name.replace("_", "-"))
    for field in fields(Semantics)
    if field.name not in ("offset", "min_size")
}


def defect_findings(model: onnx.ModelProto) -> list[Finding]:
    """What makes reading on pointless: nothing more can be found in a model that has such."""
    return list(_defects(model))


def _defects(model: onnx.ModelProto) -> Iterator[Finding]:
    for defect in defects(model):
        yield make_finding("broken-model", defect.node, defect.message, repairable=False)
    try:
        for owner in (model, *model.functions):
            default_opset(owner.opset_import)
    except RoiAlignError as error:
        yield make_finding("conflicting-opsets", "", error.rule, repairable=False)


def read_findings(model: onnx.ModelProto, source: str | Semantics | None, wanted: Semantics | None) -> list[Finding]:
    """What shows in the model's graph, the bodies in it, and its functions.

    Args:
        model: without defects.
        source: what the model came from, as the caller names it; None: what is wrong for any source.
        wanted: what the source means.
    """
    findings = list(_read(model, source, wanted))
    if not any(one.severity == "error" for one in findings):
        findings += _types(model)
    return findings


def _types(model: onnx.ModelProto) -> list[Finding]:
    """What does not fit anywhere in the model: asked last, because what is wrong with a RoiAlign is said better."""
    reason = misfit_of_types(model)
    if reason is None:
        return []
    message = f"the types and shapes of a model must fit, got from ONNX's inference: {reason}"
    return [make_finding("inconsistent-types", "", message, repairable=False)]


def _read(proto: onnx.ModelProto, source: str | Semantics | None, wanted: Semantics | None) -> Iterator[Finding]:
    refused = refusal(proto)
    if refused is not None:
        yield make_finding("broken-model", "", f"model must pass ONNX's checker, got: {refused}", repairable=False)
    newest, opset = onnx.defs.onnx_opset_version(), default_opset(proto.opset_import)
    if opset is not None and opset > newest:
        message = f"opset must be at most {newest}, the newest that the installed onnx knows, got {opset}"
        yield make_finding("opset-too-new", "", message, repairable=False)
    missing = weightless(proto)
    if missing:
        message = f"initializers must have data, got {len(missing)} without any, {missing[0]!r} the first"
        yield make_finding("missing-weights", "", message, repairable=False)
    try:
        read_facts(proto).session_opset()
    except RoiAlignError as error:
        yield make_finding("undecided-meaning", error.node or "", error.rule, repairable=False)
    model = read(proto)
    known = infer_known(proto, model)
    every = list(sites(model))
    counts = counts_for(model, every)
    strides, narrow = Strides(known), Narrow(known)
    for site in every:
        yield from (make_finding(one.code, site.name, one.message, repairable=one.repairable) for one in site.problems)
        if any(one.code == "invalid-input" for one in site.problems):
            continue
        yield from _wrong_types(site, known)
        yield from _indices(site, known, counts)
        if site.readable:
            yield from (
                _dialect(site)
                if wanted is None
                else _departures(without_the_sources_shift(site, wanted), wanted, source)
            )
        yield from _runtimes(site)
        yield from _places(site, known, strides)
        yield from _coarse(site, known, narrow)


def _wrong_types(site: Site, known: Known) -> Iterator[Finding]:
    """What is known of the inputs, held to the rules that arrays are held to, one input at a time."""
    names = input_names(site.node)
    every = {name: given(site.input(name), known) for name in names}
    mend = fit(site, known)
    for name in names:
        # the types of the others depend on X's
        alone = {"X": Given(every["X"].dtype, None), name: every[name]}
        wrong = _wrong_input(site, alone)
        if wrong is not None and wrong.subject == name:
            mended = alone | {name: Given(mend.casts.get(name, every[name].dtype), every[name].shape)}
            repairable = _wrong_input(site, mended, private=mend.private) is None
            yield make_finding("invalid-input", site.name, wrong.rule, repairable=repairable)


def _wrong_input(site: Site, known: Mapping[str, Given], *, private: bool = False) -> RoiAlignError | None:
    """The first rule on types and shapes that what is known of a node's inputs breaks; None where it breaks none."""
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
        message = f"batch_indices must follow the RoI counts {counts.name!r}, which nothing reads, got constant zeros"
        yield make_finding("zero-batch-indices", site.name, message, repairable=True)
    elif isinstance(images, int) and images > 1:
        message = f"batch_indices must tell the {images} images of X apart, got constant zeros"
        yield make_finding("unread-images", site.name, message, repairable=False)


def _dialect(site: Site) -> Iterator[Finding]:
    """Emulations that fit no framework's RoIAlign."""
    meaning = site.effective.semantics
    if meaning.offset == 1.0 and site.shift.start != 0.0:
        message = "half a pixel must be taken off once, got it taken off by the graph and by the node"
        yield make_finding("half-pixel-twice", site.name, message, repairable=True)
    if meaning.min_size is None or site.private:
        return
    if meaning.end_shift != 0.0:
        message = (
            "RoIs that end one pixel later (MindSpore, roi_end_mode=1) must not be made at least 1 x 1, got "
            f"output_half_pixel at opset {site.opset}"
        )
        yield make_finding("end-shift-minimum-size", site.name, message, repairable=True)
    elif meaning.offset == 0.5:
        message = (
            "half_pixel must come without a minimum size, got it emulated by a subtraction before output_half_pixel "
            f"at opset {site.opset}"
        )
        yield make_finding("emulated-half-pixel", site.name, message, repairable=True)


def _departures(site: Site, wanted: Semantics, source: str | Semantics | None) -> Iterator[Finding]:
    """Every field in which the node, with the shift before it, is not what the source means."""
    has = site.effective
    departing = differences(has, wanted)
    if "offset" in departing or "min_size" in departing:
        yield _coordinates(site, wanted, source)
    for field, code in _FIELD_CODES.items():
        if field in departing:
            want, got = getattr(wanted, field), getattr(has.semantics, field)
            message = f"{field} must be {want!r} as in {_name(source)}, got {got!r}"
            yield make_finding(code, site.name, message, repairable=True)


def _coordinates(site: Site, wanted: Semantics, source: str | Semantics | None) -> Finding:
    """The one finding for offset and minimum size, which ONNX's two coordinate modes set together."""
    has = relevant(site.effective)
    got = _spelled(site)
    if has.offset == wanted.offset:  # only the minimum size
        code = "minimum-size"
        if wanted.min_size is None and has.end_shift == wanted.end_shift != 0.0:
            code = "end-shift-minimum-size"
        elif wanted.min_size is None and has.offset == 0.5:
            code = "emulated-half-pixel"
        rule = (
            "have no minimum size"
            if wanted.min_size is None
            else f"be at least {wanted.min_size:g} pixel wide and high"
        )
        return make_finding(code, site.name, f"RoIs must {rule} as in {_name(source)}, got {got}", repairable=True)
    if has.offset == 1.0 and site.shift.start != 0.0:
        code, rule = "half-pixel-twice", "be taken off once"
    elif (has.offset, wanted.offset) == (0.0, 0.5):
        code, rule = "half-pixel-lost", "be taken off"
    elif (has.offset, wanted.offset) == (0.5, 0.0):
        code, rule = "half-pixel-added", "not be taken off"
    else:
        message = f"offset must be {wanted.offset:g} pixels as in {_name(source)}, got {has.offset:g}"
        return make_finding("offset", site.name, message, repairable=True)
    return make_finding(code, site.name, f"half a pixel must {rule} as in {_name(source)}, got {got}", repairable=True)


def _spelled(site: Site) -> str:
    """What the node says, in its own words."""
    meaning = site.attributes.semantics
    if site.private:
        return f"offset {meaning.offset:g} and min_size {meaning.min_size}"
    mode = nearest_mode(meaning)
    if "coordinate_transformation_mode" in site.given and (site.opset or 0) >= HALF_PIXEL_OPSET:
        text = mode
    else:
        text = f"{mode}, which a node without coordinate_transformation_mode means at opset {site.opset}"
    moved = site.shift.start or site.shift.end
    return (
        f"{text}, on RoIs that the graph moves by {site.shift.start:g} and {site.shift.end:g} pixels" if moved else text
    )


def _name(source: str | Semantics | None) -> str:
    return source if isinstance(source, str) else "the source"


def _runtimes(site: Site) -> Iterator[Finding]:
    """What runtimes make different things of, however right it is."""
    if site.private:
        return
    if site.attributes.mode == "max":
        message = "mode must be 'avg' to mean the same to every runtime, got 'max'"
        yield make_finding("max-mode", site.name, message, repairable=False)
    if "sampling_ratio" not in site.given:
        yield make_finding(
            "sampling-ratio-omitted", site.name, "sampling_ratio must be written, got none", repairable=True
        )
    if site.opset is not None and site.opset >= FIRST_OPSET and _lacks_builtin_kernel(site.opset):
        message = f"opset must be one whose RoiAlign the installed onnxruntime's CPU provider has, got {site.opset}"
        yield make_finding("no-builtin-kernel", site.name, message, repairable=False)


def _lacks_builtin_kernel(opset: int) -> bool:
    try:
        from onnx_roialign.sessions.installed import has_builtin_kernel
    except ModuleNotFoundError:  # no onnxruntime to say this of
        return False
    return not has_builtin_kernel(opset)


def _places(site: Site, known: Known, strides: Strides) -> Iterator[Finding]:
    if "spatial_scale" not in {one.subject for one in site.problems}:
        sizes = strides.misfit(site)
        if sizes is not None:
            (image, feature), scale = sizes, site.attributes.spatial_scale
            message = (
                f"spatial_scale must fit the stride, got {scale:g} for a {feature[0]} x {feature[1]} feature map of a "
                f"{image[0]} x {image[1]} image, which has about {feature[1] / image[1]:.3g}"
            )
            yield make_finding("spatial-scale-stride", site.name, message, repairable=False)


def _coarse(site: Site, known: Known, narrow: Narrow) -> Iterator[Finding]:
    """16-bit types that the boxes have, or had on their way, and that hold them worse than to parts of a pixel."""
    longest, own = extent(site, known), narrow.type(site.input("rois"))
    for kind in narrow.coarse(site):
        if longest is None:
            size, step = f"above {exact_up_to(kind):g} pixels, in an image of open size", 2 * FINE
        else:
            size = f"in an image {longest:g} pixels long"
            step = float(np.exp2(np.ceil(np.log2(longest)) - NARROW[kind] - 1))
        name = kind.name.lower() if kind == own else f"{kind.name.lower()} before a Cast"
        message = f"rois must be exact to {FINE:g} pixels, got {name}, which holds multiples of {step:g} {size}"
        yield make_finding("coarse-coordinates", site.name, message, repairable=keeps_boxes_wide(site, narrow))
