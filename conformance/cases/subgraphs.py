"""RoiAlign in branches, loops and model-local functions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from onnx_roialign.conformance import oracle
from onnx_roialign.conformance.case import Case, Tier
from onnx_roialign.conformance.oracle import HALF_PIXEL, OUTPUT_HALF_PIXEL

from .graphs import BORDER, DECLARED, GIVEN, IMAGES, POOL, POOL_MAX, ROIS, X, graph, pooled

__all__ = ["cases"]


def cases() -> Iterator[Case]:
    """Yields the cases of this group; their ids begin with "graphs/" too."""
    yield from _branches()
    yield from _loops()
    yield from _loops_of_other_sizes()
    yield from _functions()


def _branches() -> Iterator[Case]:
    for value in (True, False):
        for opset in (10, 16, 22):
            rules = OUTPUT_HALF_PIXEL if opset < 16 else HALF_PIXEL
            yield graph(
                f"if-{str(value).lower()}@{opset}",
                "In the branches of an If, RoiAlign reads values of the outer graph.",
                f"""branches (bool c, {DECLARED}) => (float[3,3,2,2] Y) {{
                    Y = If (c) <
                        then_branch = yes () => (float[3,3,2,2] a) {{ a = {POOL} (X, rois, images) }},
                        else_branch = no () => (float[3,3,2,2] b) {{ b = {POOL_MAX} (X, rois, images) }}
                    >
                }}""",
                {"Y": pooled(X, ROIS, IMAGES, rules=rules, mode="avg" if value else "max")},
                inputs={"c": np.array(value), **GIVEN},
                requires=("If",),
                opset=opset,
            )


def _loops() -> Iterator[Case]:
    steps = [pooled(X, ROIS + np.float32(k) / 4, IMAGES) for k in range(3)]
    for opset in (16, 22):
        yield graph(
            f"loop-moves-the-rois@{opset}",
            "In the body of a Loop, RoiAlign pools the RoIs of each iteration.",
            f"""loop (int64 n, bool go, float step, float[3,3,2,2] zero, {DECLARED})
                => (float[3,4] last, float[3,3,2,2] Y) {{
                last, Y = Loop (n, go, rois, zero) <body = one (int64 i, bool more, float[3,4] boxes,
                    float[3,3,2,2] sum) => (bool again, float[3,4] moved, float[3,3,2,2] next) {{
                        again = Identity (more)
                        y = {POOL} (X, boxes, images)
                        next = Sub (y, sum)
                        moved = Add (boxes, step)
                    }}>
            }}""",
            {"last": ROIS + np.float32(0.75), "Y": steps[2] - (steps[1] - steps[0])},
            inputs={
                "n": np.array(3, np.int64),
                "go": np.array(True),
                "step": np.array(0.25, np.float32),
                "zero": np.zeros_like(steps[0]),
                **GIVEN,
            },
            requires=("Loop", "Identity", "Add", "Sub"),
            opset=opset,
        )
    first, second = (pooled(x, ROIS, i, spatial_scale=0.5) for x, i in ((X, IMAGES), (-X, 1 - IMAGES)))
    yield graph(
        "loop-changes-the-features-and-the-images",
        "In the body of a Loop, RoiAlign reads the features and the batch indices of each iteration, and scales.",
        f"""loop (int64 n, bool go, int64 one, float[3,3,2,2] zero, {DECLARED})
            => (float[2,3,8,9] x, int64[3] i, float[3,3,2,2] Y) {{
            x, i, Y = Loop (n, go, X, images, zero) <body = once (int64 k, bool more, float[2,3,8,9] map, int64[3] of,
                float[3,3,2,2] sum) => (bool again, float[2,3,8,9] negative, int64[3] others, float[3,3,2,2] next) {{
                    again = Identity (more)
                    y = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2, spatial_scale = 0.5>
                        (map, rois, of)
                    next = Sub (y, sum)
                    negative = Neg (map)
                    others = Sub (one, of)
                }}>
        }}""",
        {"x": X, "i": IMAGES, "Y": second - first},
        inputs={
            "n": np.array(2, np.int64),
            "go": np.array(True),
            "one": np.array(1, np.int64),
            "zero": np.zeros_like(first),
            **GIVEN,
        },
        requires=("Loop", "Identity", "Neg", "Sub"),
    )


def _loops_of_other_sizes() -> Iterator[Case]:
    counts = (2, 3, 1)
    parts = [np.zeros((1, 3, 2, 2), np.float32), *(pooled(X, ROIS[:n], IMAGES[:n]) for n in counts)]
    yield graph(
        "loop-changes-the-number-of-rois",
        "In the body of a Loop, the number of RoIs may grow and fall.",
        f"""loop (int64 n, bool go, int64[3,1] counts, float[1,3,2,2] none, {DECLARED}) => (float[m,3,2,2] Y)
            <int64[1] zero = {{0}}> {{
            Y = Loop (n, go, none) <body = part (int64 i, bool more, float[k,3,2,2] before)
                => (bool again, float[l,3,2,2] after) {{
                    again = Identity (more)
                    end = Gather <axis = 0> (counts, i)
                    boxes = Slice (rois, zero, end, zero)
                    of = Slice (images, zero, end, zero)
                    y = {POOL} (X, boxes, of)
                    after = Concat <axis = 0> (before, y)
                }}>
        }}""",
        {"Y": np.concatenate(parts)},
        inputs={
            "n": np.array(3, np.int64),
            "go": np.array(True),
            "counts": np.array(counts, np.int64)[:, None],
            "none": parts[0],
            **GIVEN,
        },
        requires=("Loop", "Identity", "Gather", "Slice", "Concat"),
    )
    sizes = ((4, 5), (8, 9), (7, 6))
    results = [pooled(np.ascontiguousarray(X[:, :, :h, :w]), ROIS, IMAGES) for h, w in sizes]
    yield graph(
        "loop-changes-the-size-of-the-map",
        "In the body of a Loop, the map may have another size at each iteration.",
        f"""loop (int64 n, bool go, int64[3,2] sizes, float[3,3,2,2] none, {DECLARED}) => (float[3,3,2,2] Y)
            <int64[2] zeros = {{0, 0}}, int64[2] axes = {{2, 3}}> {{
            Y = Loop (n, go, none) <body = part (int64 i, bool more, float[3,3,2,2] before)
                => (bool again, float[3,3,2,2] after) {{
                    again = Identity (more)
                    size = Gather <axis = 0> (sizes, i)
                    map = Slice (X, zeros, size, axes)
                    y = {POOL} (map, rois, images)
                    after = Sub (y, before)
                }}>
        }}""",
        {"Y": results[2] - (results[1] - results[0])},
        inputs={
            "n": np.array(3, np.int64),
            "go": np.array(True),
            "sizes": np.array(sizes, np.int64),
            "none": np.zeros_like(results[0]),
            **GIVEN,
        },
        requires=("Loop", "Identity", "Gather", "Slice", "Sub"),
        tier=Tier.SETTLED,
        source=BORDER,
    )
    first, second = (pooled(x, ROIS, IMAGES, mode="max") for x in (X, -X))
    yield graph(
        "loop-changes-the-features",
        "In the body of a Loop, RoiAlign reads the features of each iteration at the same RoIs.",
        f"""loop (int64 n, bool go, float[3,3,2,2] zero, {DECLARED}) => (float[2,3,8,9] x, float[3,3,2,2] Y) {{
            x, Y = Loop (n, go, X, zero) <body = once (int64 k, bool more, float[2,3,8,9] map, float[3,3,2,2] sum)
                => (bool again, float[2,3,8,9] negative, float[3,3,2,2] next) {{
                    again = Identity (more)
                    y = {POOL_MAX} (map, rois, images)
                    next = Sub (y, sum)
                    negative = Neg (map)
                }}>
        }}""",
        {"x": X, "Y": second - first},
        inputs={"n": np.array(2, np.int64), "go": np.array(True), "zero": np.zeros_like(first), **GIVEN},
        requires=("Loop", "Identity", "Neg", "Sub"),
    )


def _functions() -> Iterator[Case]:
    for opset in (10, 16, 22):
        yield graph(
            f"function@{opset}",
            "RoiAlign in a model-local function has the defaults of the opset that the function imports.",
            f"functions ({DECLARED}) => (float[3,3,2,2] Y) {{ Y = local.Pool (X, rois, images) }}",
            {"Y": pooled(X, ROIS, IMAGES, rules=OUTPUT_HALF_PIXEL if opset < 16 else HALF_PIXEL)},
            functions=f"""<domain: "local", opset_import: ["" : {opset}]>
                Pool (features, boxes, of) => (y) {{ y = {POOL} (features, boxes, of) }}""",
            requires=("model-local function",),
            opset=opset,
        )
    yield graph(
        "function-with-attributes",
        "A function passes its attributes on to RoiAlign, other ones at each call.",
        f"""functions ({DECLARED}) => (float[3,3,2,3] A, float[3,3,2,3] B) {{
            A = local.Pool <ratio = 1, scale = 0.5, how = "max"> (X, rois, images)
            B = local.Pool <ratio = 3, scale = 1.0, how = "avg"> (X, rois, images)
        }}""",
        {
            name: oracle.roi_align(
                X, ROIS, IMAGES, output_height=2, output_width=3, sampling_ratio=r, spatial_scale=s, mode=m
            )
            for name, r, s, m in (("A", 1, 0.5, "max"), ("B", 3, 1.0, "avg"))
        },
        functions="""<domain: "local", opset_import: ["" : 16]>
            Pool <ratio, scale, how> (features, boxes, of) => (y) {
                y = RoiAlign <output_height = 2, output_width = 3, sampling_ratio: int = @ratio,
                              spatial_scale: float = @scale, mode: string = @how> (features, boxes, of)
            }""",
        requires=("model-local function",),
    )
