"""RoiAlign among other RoiAligns, and its inputs constant or computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.conformance import oracle
from onnx_roialign.conformance.case import Case, Outcome, Tier, Tolerance
from onnx_roialign.conformance.oracle import OUTPUT_HALF_PIXEL

from .building import FUNCTIONS_IR_VERSION, IR_VERSIONS, features

__all__ = ["DECLARED", "GIVEN", "IMAGES", "POOL", "POOL_MAX", "ROIS", "X", "cases", "graph", "pooled"]

TEXT = "ONNX's text of RoiAlign, and of the operators beside it"
BORDER = "torchvision 0.27, Paddle 3.3 and ONNX Runtime 1.31 in recorded calls on boxes across the border"
TOLERANCE = Tolerance(8, "features, weights and positions are exact; products and sums round")

X = features(2, 3, 8, 9, seed=61)
ROIS = np.array([[1.25, 0.5, 6.5, 5.25], [2, 3, 7.25, 6.75], [0.75, 1.5, 4.25, 7]], np.float32)
IMAGES = np.array([1, 0, 1], np.int64)
GIVEN: Mapping[str, Array] = {"X": X, "rois": ROIS, "images": IMAGES}
DECLARED = "float[2,3,8,9] X, float[3,4] rois, int64[3] images"
POOL = "RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2>"
POOL_MAX = 'RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2, mode = "max">'

pooled = partial(oracle.roi_align, output_height=2, output_width=2, sampling_ratio=2)


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    yield from _several_nodes()
    yield from _constants()
    yield from _computed_inputs()


def graph(
    name: str,
    clause: str,
    text: str,
    outputs: Mapping[str, Array],
    *,
    inputs: Mapping[str, Array] = GIVEN,
    requires: tuple[str, ...] = (),
    opset: int = 16,
    functions: str = "",
    tier: Tier = Tier.SPEC,
    source: str = TEXT,
) -> Case:
    """Returns the case of a graph.

    Args:
        name: the case's id after "graphs/".
        clause: the statement as a sentence.
        text: the graph in ONNX's textual syntax.
        outputs: what it must return.
        inputs: what it is given.
        requires: operators besides RoiAlign.
        opset: version of ONNX's operators.
        functions: model-local functions, of the domain "local", in the same syntax.
        tier: how firmly it is founded.
        source: where the clause comes from.
    """
    imports = f'["" : {opset}, "local" : 1]' if functions else f'["" : {opset}]'
    version = max(IR_VERSIONS[opset], FUNCTIONS_IR_VERSION if functions else 0)
    model = onnx.parser.parse_model(f"<ir_version: {version}, opset_import: {imports}>\n{text}\n{functions}")
    return Case(f"graphs/{name}", clause, tier, source, model, inputs, (Outcome(outputs),), TOLERANCE, tuple(requires))


def _several_nodes() -> Iterator[Case]:
    yield graph(
        "two-nodes-of-different-attributes",
        "Two RoiAlign nodes with the same inputs keep their own attributes.",
        f"""several ({DECLARED}) => (float[3,3,2,2] A, float[3,3,1,3] B) {{
            A = {POOL} (X, rois, images)
            B = RoiAlign <output_width = 3, sampling_ratio = 1, spatial_scale = 0.5> (X, rois, images)
        }}""",
        {
            "A": pooled(X, ROIS, IMAGES),
            "B": oracle.roi_align(X, ROIS, IMAGES, output_width=3, sampling_ratio=1, spatial_scale=0.5),
        },
    )
    yield graph(
        "two-nodes-of-both-modes",
        "avg and max side by side do not mix, nor do the coordinate modes.",
        f"""several ({DECLARED}) => (float[3,3,2,2] A, float[3,3,2,2] B, float[3,3,2,2] C) {{
            A = {POOL_MAX} (X, rois, images)
            B = {POOL} (X, rois, images)
            C = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2,
                          coordinate_transformation_mode = "output_half_pixel"> (X, rois, images)
        }}""",
        {
            "A": pooled(X, ROIS, IMAGES, mode="max"),
            "B": pooled(X, ROIS, IMAGES),
            "C": pooled(X, ROIS, IMAGES, rules=OUTPUT_HALF_PIXEL),
        },
    )
    yield from _one_difference()
    other = 1 - IMAGES
    yield graph(
        "two-nodes-of-different-images",
        "Two RoiAlign nodes with the same RoIs keep their own batch indices.",
        f"""several ({DECLARED}, int64[3] other) => (float[3,3,2,2] A, float[3,3,2,2] B) {{
            A = {POOL} (X, rois, images)
            B = {POOL} (X, rois, other)
        }}""",
        {"A": pooled(X, ROIS, IMAGES), "B": pooled(X, ROIS, other)},
        inputs={**GIVEN, "other": other},
    )
    small = np.ascontiguousarray(X[:, :, :4, :5])
    yield graph(
        "two-nodes-on-maps-of-different-sizes",
        "Two RoiAlign nodes with the same RoIs sample each its own map, up to its own border.",
        f"""several ({DECLARED}, float[2,3,4,5] small) => (float[3,3,2,2] A, float[3,3,2,2] B) {{
            A = {POOL} (X, rois, images)
            B = {POOL} (small, rois, images)
        }}""",
        {"A": pooled(X, ROIS, IMAGES), "B": pooled(small, ROIS, IMAGES)},
        inputs={**GIVEN, "small": small},
        tier=Tier.SETTLED,
        source=BORDER,
    )
    yield graph(
        "levels-of-a-pyramid",
        "RoiAlign nodes on maps of different sizes and scales, joined by Concat.",
        f"""levels ({DECLARED}, float[2,3,4,5] small) => (float[6,3,2,2] Y) {{
            a = {POOL} (X, rois, images)
            b = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2, spatial_scale = 0.5>
                (small, rois, images)
            Y = Concat <axis = 0> (a, b)
        }}""",
        {"Y": np.concatenate([pooled(X, ROIS, IMAGES), pooled(small, ROIS, IMAGES, spatial_scale=0.5)])},
        inputs={**GIVEN, "small": small},
        requires=("Concat",),
    )
    first = oracle.roi_align(X, ROIS, IMAGES, output_height=4, output_width=4, sampling_ratio=1)
    inner = np.array([[0.75, 1.25, 3.5, 3.25], [1, 0.5, 2.75, 3.5]], np.float32)
    yield graph(
        "the-output-of-one-is-the-input-of-the-next",
        "RoiAlign pools the output of RoiAlign, whose images are the first one's RoIs.",
        f"""chain ({DECLARED}, float[2,4] inner, int64[2] of) => (float[2,3,2,2] Y) {{
            a = RoiAlign <output_height = 4, output_width = 4, sampling_ratio = 1> (X, rois, images)
            Y = {POOL} (a, inner, of)
        }}""",
        {"Y": pooled(first, inner, np.array([2, 0]))},
        inputs={**GIVEN, "inner": inner, "of": np.array([2, 0], np.int64)},
    )
    yield graph(
        "names-of-inputs-are-free",
        "The node's inputs are found by their position, not by their names.",
        f"""names (float[2,3,8,9] rois, float[3,4] batch_indices, int64[3] X) => (float[3,3,2,2] Z) {{
            Z = {POOL} (rois, batch_indices, X)
        }}""",
        {"Z": pooled(X, ROIS, IMAGES)},
        inputs={"rois": X, "batch_indices": ROIS, "X": IMAGES},
    )


def _one_difference() -> Iterator[Case]:
    right: Mapping[str, Any] = {"output_height": 2, "output_width": 2, "sampling_ratio": 2, "spatial_scale": 1.0}
    for name, value in {"output_height": 3, "output_width": 3, "sampling_ratio": 1, "spatial_scale": 0.5}.items():
        nodes = {"A": right, "B": {**right, name: value}}
        written = {
            key: ", ".join(f"{attribute} = {number}" for attribute, number in node.items())
            for key, node in nodes.items()
        }
        yield graph(
            f"two-nodes-of-another-{name.replace('_', '-')}",
            f"Two RoiAlign nodes that differ in {name} alone are two.",
            f"""several ({DECLARED}) => (float[3,3,2,2] A, float[3,3,h,w] B) {{
                A = RoiAlign <{written["A"]}> (X, rois, images)
                B = RoiAlign <{written["B"]}> (X, rois, images)
            }}""",
            {key: oracle.roi_align(X, ROIS, IMAGES, **node) for key, node in nodes.items()},
        )
    moved = ROIS + np.float32(0.5)
    yield graph(
        "two-nodes-of-different-rois",
        "Two RoiAlign nodes on the same map keep their own RoIs.",
        f"""several ({DECLARED}, float[3,4] moved) => (float[3,3,2,2] A, float[3,3,2,2] B) {{
            A = {POOL} (X, rois, images)
            B = {POOL} (X, moved, images)
        }}""",
        {"A": pooled(X, ROIS, IMAGES), "B": pooled(X, moved, IMAGES)},
        inputs={**GIVEN, "moved": moved},
    )


def _constants() -> Iterator[Case]:
    boxes = "{1.25, 0.5, 6.5, 5.25, 2, 3, 7.25, 6.75, 0.75, 1.5, 4.25, 7}"
    constants: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
        "rois": ("float[2,3,8,9] X, int64[3] images", f"<float[3,4] rois = {boxes}>", ()),
        "batch-indices": ("float[2,3,8,9] X, float[3,4] rois", "<int64[3] images = {1, 0, 1}>", ()),
        "rois-and-batch-indices": (
            "float[2,3,8,9] X",
            f"<float[3,4] rois = {boxes}, int64[3] images = {{1, 0, 1}}>",
            (),
        ),
    }
    for name, (declared, initializers, requires) in constants.items():
        yield graph(
            f"constant-{name}",
            "Inputs may be initializers.",
            f"constants ({declared}) => (float[3,3,2,2] Y) {initializers} {{ Y = {POOL} (X, rois, images) }}",
            {"Y": pooled(X, ROIS, IMAGES)},
            inputs={key: value for key, value in GIVEN.items() if f" {key}" in declared},
            requires=requires,
        )
    yield graph(
        "constant-rois-with-a-scale",
        "RoIs that are initializers are scaled once.",
        f"""constants (float[2,3,8,9] X, int64[3] images) => (float[3,3,2,2] Y) <float[3,4] rois = {boxes}> {{
            Y = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2, spatial_scale = 0.5>
                (X, rois, images)
        }}""",
        {"Y": pooled(X, ROIS, IMAGES, spatial_scale=0.5)},
        inputs={"X": X, "images": IMAGES},
    )
    many = np.array([[1.251953125, 0.5009765625, 6.501953125, 5.251953125]], np.float32)
    yield graph(
        "constant-rois-of-many-digits",
        "RoIs that are initializers keep more digits than float16 has.",
        f"""constants (float[1,1,8,9] X, int64[1] images) => (float[1,1,2,2] Y)
            <float[1,4] rois = {{{", ".join(map(str, many[0].tolist()))}}}> {{ Y = {POOL} (X, rois, images) }}""",
        {"Y": pooled(one := X[:1, :1].copy(), many, np.zeros(1, np.int64))},
        inputs={"X": one, "images": np.zeros(1, np.int64)},
    )
    yield graph(
        "constant-nodes",
        "Inputs may be Constant nodes.",
        f"""constants (float[2,3,8,9] X) => (float[3,3,2,2] Y) {{
            rois = Constant <value: tensor = float[3,4] {boxes}> ()
            images = Constant <value: tensor = int64[3] {{1, 0, 1}}> ()
            Y = {POOL} (X, rois, images)
        }}""",
        {"Y": pooled(X, ROIS, IMAGES)},
        inputs={"X": X},
        requires=("Constant",),
    )
    pixels = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    box = np.array([[0.75, 0.5, 3.5, 2.25]], np.float32)
    yield graph(
        "constant-features",
        "X may be an initializer.",
        f"""constants (float[1,4] rois, int64[1] images) => (float[1,1,2,2] Y)
            <float[1,1,3,4] X = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}> {{ Y = {POOL} (X, rois, images) }}""",
        {"Y": pooled(pixels, box, np.zeros(1, np.int64))},
        inputs={"rois": box, "images": np.zeros(1, np.int64)},
    )
    cube = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    yield graph(
        "constant-features-of-2-channels",
        "X may be an initializer, and is read in its own layout.",
        f"""constants (float[1,4] rois, int64[1] images) => (float[1,2,2,2] Y)
            <float[1,2,3,4] X = {{{", ".join(map(str, range(24)))}}}> {{ Y = {POOL} (X, rois, images) }}""",
        {"Y": pooled(cube, box, np.zeros(1, np.int64))},
        inputs={"rois": box, "images": np.zeros(1, np.int64)},
    )
    yield graph(
        "all-constant",
        "A graph of constants may be folded, to the same result.",
        f"""constants (float[1,1,2,2] bias) => (float[1,1,2,2] Y)
            <float[1,1,3,4] X = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}, float[1,4] rois = {{0.75, 0.5, 3.5, 2.25}},
             int64[1] images = {{0}}> {{
            y = {POOL} (X, rois, images)
            Y = Add (y, bias)
        }}""",
        {"Y": pooled(pixels, box, np.zeros(1, np.int64))},
        inputs={"bias": np.zeros((1, 1, 2, 2), np.float32)},
        requires=("Add",),
    )


def _computed_inputs() -> Iterator[Case]:
    yield graph(
        "computed-rois",
        "RoIs of corner and size are made corners by other nodes.",
        f"""computed (float[2,3,8,9] X, float[3,2] corner, float[3,2] size, int64[3] images) => (float[3,3,2,2] Y) {{
            end = Add (corner, size)
            rois = Concat <axis = 1> (corner, end)
            Y = {POOL} (X, rois, images)
        }}""",
        {"Y": pooled(X, ROIS, IMAGES)},
        inputs={"X": X, "corner": ROIS[:, :2].copy(), "size": ROIS[:, 2:] - ROIS[:, :2], "images": IMAGES},
        requires=("Add", "Concat"),
    )
    yield graph(
        "computed-rois-with-a-scale",
        "RoIs that another node computes are scaled too.",
        f"""computed ({DECLARED}, float two) => (float[3,3,2,2] Y) {{
            larger = Mul (rois, two)
            Y = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2, spatial_scale = 0.25>
                (X, larger, images)
        }}""",
        {"Y": pooled(X, 2 * ROIS, IMAGES, spatial_scale=0.25)},
        inputs={**GIVEN, "two": np.array(2, np.float32)},
        requires=("Mul",),
    )
    rows = np.concatenate([IMAGES[:, None].astype(np.float32), ROIS], axis=1)
    yield graph(
        "batch-indices-from-a-column",
        "Rows of five numbers are split into batch indices and RoIs, as converters of PyTorch do.",
        f"""computed (float[2,3,8,9] X, float[3,5] rows) => (float[3,3,2,2] Y)
            <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] five = {{5}}> {{
            column = Slice (rows, zero, one, one)
            rois = Slice (rows, one, five, one)
            flat = Squeeze (column, one)
            images = Cast <to = 7> (flat)
            Y = {POOL} (X, rois, images)
        }}""",
        {"Y": pooled(X, ROIS, IMAGES)},
        inputs={"X": X, "rows": rows},
        requires=("Slice", "Squeeze", "Cast"),
    )
    for kept in (0, 2):
        yield graph(
            f"{kept}-rois-selected-at-run-time",
            "The number of RoIs may follow from the data, and be 0.",
            f"""computed ({DECLARED}, float[3] scores, float half) => (float[n,3,2,2] Y) {{
                good = Greater (scores, half)
                rois_kept = Compress <axis = 0> (rois, good)
                images_kept = Compress <axis = 0> (images, good)
                Y = {POOL} (X, rois_kept, images_kept)
            }}""",
            {"Y": pooled(X, ROIS[1 : 1 + kept], IMAGES[1 : 1 + kept])},
            inputs={**GIVEN, "scores": np.array([0, kept, kept], np.float32), "half": np.array(0.5, np.float32)},
            requires=("Greater", "Compress"),
        )
