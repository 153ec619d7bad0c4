"""A pass that gives every RoiAlign the meaning of its source, with ONNX's own RoiAlign where possible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from onnx_roialign.definition.attributes import PLAIN
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, Semantics
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.reading.input_types import needs_private
from onnx_roialign.graph.reading.meaning import OnnxForm, differences, express_in_onnx, without_the_sources_shift
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.writing.fresh import Names
from onnx_roialign.graph.writing.private import import_private, write_node, write_private
from onnx_roialign.graph.writing.unread import remove_unread
from onnx_roialign.ops import roi_align as private_op

__all__ = ["StateMeaning", "is_right"]

# Types of boxes to which the graph can add a shift. The addition is rounded to the type of the boxes, like RoiAlign's
# own arithmetic for these two types; RoiAlign computes 16-bit boxes in float32.
_MOVABLE = (ir.DataType.FLOAT, ir.DataType.DOUBLE)


def is_right(site: Site, wanted: Semantics, *, exact: bool) -> bool:
    """Returns whether a node has the wanted meaning; unless exact, NaN and 0 in bins without samples count as equal."""
    fields = differences(without_the_sources_shift(site, wanted).effective, wanted)
    return not fields or (not exact and fields == ("empty",))


class StateMeaning(ir.passes.InPlacePass):
    """Gives every RoiAlign, together with the shift of the boxes before it, the meaning ``wanted``.

    1. A node that already has this meaning is not changed.
    2. If ONNX's RoiAlign of the model's opset can express it, coordinate_transformation_mode is written. A shift of the
       boxes that emulated it is removed; a shift that is necessary (another offset, an end shift) is inserted. The
       addition rounds once more, in the last bit of a coordinate, and so is not used for 16-bit boxes.
    3. If ONNX's RoiAlign cannot express it, or cannot read the boxes, the node becomes onnx_roialign::AnyRoiAlign with
       the meaning in its attributes; without ``private``, this is an error.
    4. The private operator of quantized features can express everything except NaN, and is kept.

    Nodes whose attributes cannot be read (`validate` reports them) are not changed.

    Args:
        wanted: the meaning.
        known: known element types.
        exact: whether the NaN of bins without samples must be kept, for which ONNX computes 0.
        private: whether the private operator may be used.
        always_private: whether every wrong node becomes the private operator, so that the results are right to the
            last bit.
    """

    def __init__(
        self,
        wanted: Semantics,
        known: Known,
        *,
        exact: bool = False,
        private: bool = True,
        always_private: bool = False,
    ) -> None:
        self._wanted = wanted
        self._known = known
        self._exact = exact
        self._private = private
        self._always_private = always_private

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; `modified` of the result is whether any node changed."""
        modified = False
        names = Names(model)
        for site in [without_the_sources_shift(site, self._wanted) for site in sites(model)]:
            if not site.readable or is_right(site, self._wanted, exact=self._exact and not site.quantized):
                continue
            modified = True
            form = None if self._always_private else self._onnx_form(site)
            if form is not None:
                _write_onnx_form(site, form, self._known, names)
            elif self._private or site.quantized:
                write_private(site, self._wanted)
            else:
                raise RoiAlignError(
                    "opset",
                    "unsupported",
                    f"must be at least {HALF_PIXEL_OPSET}, or the private op allowed, to express "
                    f"{replace(site.attributes, semantics=self._wanted).semantics}, got opset {site.opset}",
                ).in_node(site.name)
        if modified:
            import_private(model)
        return ir.passes.PassResult(model, modified)

    def _onnx_form(self, site: Site) -> OnnxForm | None:
        wanted = replace(site.attributes, semantics=self._wanted)
        if site.opset is None or site.quantized or (self._private and not self._takes_boxes(site)):
            return None
        form = express_in_onnx(wanted, site.opset, exact=self._exact)
        if form is not None and _extra(site, form) != (0.0, 0.0) and _type(site, self._known) not in _MOVABLE:
            return None
        return form

    def _takes_boxes(self, site: Site) -> bool:
        """Returns whether ONNX's RoiAlign can read the node's boxes; the private operator's can have any float type."""
        known = all(self._known.type(site.input(name)) for name in ("X", "rois"))
        return not needs_private(site, self._known) and (known or not site.private)


def _extra(site: Site, form: OnnxForm) -> tuple[float, float]:
    """Returns the constants to add to the boxes: in place of the present shift, or on top if it cannot be removed."""
    if site.shift.root is not None:
        return form.start, form.end
    return form.start - site.shift.start, form.end - site.shift.end


def _type(site: Site, known: Known) -> ir.DataType | None:
    """Returns the type of the boxes; if it is unknown, the type of X, to which `FitInputs` casts them."""
    kinds = [known.type(site.input(name)) for name in ("rois", "X")]
    return next((ir.DataType(kind) for kind in kinds if kind), None)


def _write_onnx_form(site: Site, form: OnnxForm, known: Known, names: Names) -> None:
    node = site.node
    if site.private:
        write_node(
            node,
            ("", "RoiAlign"),
            {name: value for name, value in private_op.attributes_of(site.attributes).items() if name in PLAIN},
        )
    if site.opset is not None and site.opset >= HALF_PIXEL_OPSET:
        node.attributes.add(ir.AttrString("coordinate_transformation_mode", form.mode))
    start, end = _extra(site, form)
    before = node.inputs[1]
    boxes = before if site.shift.root is None else site.shift.root
    if (start, end) != (0.0, 0.0):
        kind = _type(site, known)
        assert kind is not None  # else the shift is not allowed
        assert node.graph is not None
        tape = ir.tape.Tape()
        shift = tape.op("Constant", [], {"value": ir.tensor(np.array([start, start, end, end], kind.numpy()))})
        boxes = tape.op("Add", [boxes, shift])
        for new, suffix in zip(tape.nodes, ("shift", "shifted_rois"), strict=True):
            new.name = new.outputs[0].name = names.fresh(f"{site.name}/{suffix}")
        known.record(shift, kind, (4,))
        known.record(boxes, kind, known.shape(before))
        node.graph.insert_before(node, tape.nodes)
    if boxes is not before:
        node.replace_input_with(1, boxes)
        remove_unread(before)
