"""A pass: every RoiAlign means what its source means, in ONNX's own words where they suffice."""

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

# Types in which the boxes can be moved by an addition: it is rounded to the type of the boxes, as RoiAlign's own
# arithmetic is for these two, while it computes 16-bit boxes in float32.
_MOVABLE = (ir.DataType.FLOAT, ir.DataType.DOUBLE)


def is_right(site: Site, wanted: Semantics, *, exact: bool) -> bool:
    """Whether a node answers what is wanted; NaN for 0 in bins without samples counts as right unless exact."""
    fields = differences(without_the_sources_shift(site, wanted).effective, wanted)
    return not fields or (not exact and fields == ("empty",))


class StateMeaning(ir.passes.InPlacePass):
    """Makes every RoiAlign answer what ``wanted`` means, together with the shift of the boxes before it.

    1. A node that answers that already is left as it is.
    2. Where ONNX's RoiAlign of the model's opset can say it, coordinate_transformation_mode is written. A shift of the
       boxes that emulated it is taken out; one that has become necessary, another offset or an end shift, is put in
       front. That holds in real numbers: the addition is rounded once more, in the last bit of a coordinate, and so is
       not used where the boxes are of a 16-bit type.
    3. Where it cannot, or where it cannot read the boxes, the node becomes onnx_roialign::AnyRoiAlign, which says
       everything by its attributes; without ``private``, this is an error.
    4. The private op of quantized features says everything but NaN too, and stays that op.

    Nodes whose attributes cannot be read (`validate` names them) are left as they are.

    Args:
        wanted: the meaning.
        known: element types, where known.
        exact: whether NaN in bins without samples, where ONNX answers 0, must be kept.
        private: whether the private op may be used.
        always_private: whether it must be, for every node that is not right: so that the answer is the wanted one to
            the last bit.
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
        """Applies the rules; modified tells whether any node changed."""
        modified = False
        names = Names(model)
        for site in [without_the_sources_shift(one, self._wanted) for one in sites(model)]:
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
                    f"opset must be at least {HALF_PIXEL_OPSET}, or the private op allowed, to say "
                    f"{replace(site.attributes, semantics=self._wanted).semantics}, got opset {site.opset}"
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
        """Whether ONNX's RoiAlign can read the node's boxes: those of the private op may be of any float type."""
        known = all(self._known.type(site.input(name)) for name in ("X", "rois"))
        return not needs_private(site, self._known) and (known or not site.private)


def _extra(site: Site, form: OnnxForm) -> tuple[float, float]:
    """What is still to add to the boxes: to all of the shift where what was before it can be read, else to the rest."""
    if site.shift.root is not None:
        return form.start, form.end
    return form.start - site.shift.start, form.end - site.shift.end


def _type(site: Site, known: Known) -> ir.DataType | None:
    """The type of the boxes, where it is not known that of X: where it should be another, `FitInputs` sees to it."""
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
        assert kind is not None  # or the shift would not have been allowed
        assert node.graph is not None
        tape = ir.tape.Tape()
        shift = tape.op("Constant", [], {"value": ir.tensor(np.array([start, start, end, end], kind.numpy()))})
        boxes = tape.op("Add", [boxes, shift])
        for made, suffix in zip(tape.nodes, ("shift", "shifted_rois"), strict=True):
            made.name = made.outputs[0].name = names.fresh(f"{site.name}/{suffix}")
        known.tell(shift, kind, (4,))
        known.tell(boxes, kind, known.shape(before))
        node.graph.insert_before(node, tape.nodes)
    if boxes is not before:
        node.replace_input_with(1, boxes)
        remove_unread(before)
