"""Wrong RoiAligns, each with one error that an author may make; the cases must detect every one."""

from __future__ import annotations

from . import attributes, conditional, geometry, inputs, pooling, rare
from .fields import field_mutants
from .making import Mutant

__all__ = ["Mutant", "field_mutants", "mutants"]

_GROUPS = (
    field_mutants,
    inputs.boxes,
    inputs.order,
    attributes.attributes,
    attributes.scales,
    geometry.half_pixels,
    geometry.sizes,
    geometry.steps,
    geometry.grids,
    geometry.positions,
    geometry.cuts,
    pooling.taps,
    pooling.weights,
    pooling.means,
    pooling.maxima,
    pooling.numbers,
    pooling.state,
    conditional.of_a_mode,
    conditional.between_axes,
    conditional.of_the_grid,
    conditional.outside,
    conditional.beside_other_rois,
    conditional.limits,
    conditional.precision,
    rare.maxima,
    rare.boxes,
    rare.numbers,
    rare.of_a_type,
    rare.memory,
)


def mutants() -> tuple[Mutant, ...]:
    """Returns every mutant; names are unique."""
    return tuple(made for group in _GROUPS for made in group())
