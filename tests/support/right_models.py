"""Models that are correct by construction: RoiAligns in graphs, bodies and functions, drawn by a seed."""

from __future__ import annotations

import random

import numpy as np
import onnx
from graph_models import constant
from onnx import TensorProto, helper

from models import value
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.sessions.installed import has_builtin_kernel

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
FIRST_MODE_OPSET, BFLOAT16_OPSET = 16, 22
SHAPES_MAY_DIFFER_OPSET = 11  # of the branches of an If
NAMES = ("", "ai.onnx")  # of ONNX's own domain
DEEPEST = 2

FEEDS = {
    "X": np.random.default_rng(0).standard_normal((2, 3, 9, 11)).astype(np.float32),
    "rois": np.array([[0, 0, 10, 10], [1.5, 2, 17, 12.25], [3, 3, 3.5, 3.25]], np.float32),
    "batch_indices": np.array([0, 1, 1]),
    "which": np.array(True),
}


class RightModel:
    """One model, and its true facts.

    Attributes:
        proto: the model.
        warnings: the findings that are true of it.
        pools: how many RoiAligns it has.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.opset = self._rng.randint(10, 22)
        self._domain = self._rng.choice(NAMES)
        self._functions: list[onnx.FunctionProto] = []
        self.warnings = set() if has_builtin_kernel(self.opset) else {"no-builtin-kernel"}
        self.pools = 0
        parts = [self._part(0, i) for i in range(self._rng.randint(1, 3))]
        opsets = [helper.make_opsetid(self._domain, self.opset), helper.make_opsetid(private_op.DOMAIN, 1)]
        graph = helper.make_graph(
            [node for nodes, _ in parts for node in nodes],
            "right",
            [value("X", FLOAT, ("N", 3, 9, 11)), value("rois", FLOAT, ("K", 4)), value("batch_indices", INT64, ("K",))],
            [value(output, FLOAT) for _, output in parts],
        )
        graph.input.append(value("which", BOOL, ()))
        for node in graph.node:  # the graph may call the domain by either name, whichever the model imports
            node.domain = node.domain or self._rng.choice(NAMES)
        self.proto = helper.make_model(
            graph,
            opset_imports=[*opsets, helper.make_opsetid("local", 1)],
            functions=self._functions,
            ir_version=8,
        )

    def _part(self, depth: int, index: int) -> tuple[list[onnx.NodeProto], str]:
        """Nodes of a graph, and the float32 output of the last; names repeat in every body of one depth."""
        kinds = ["pool", "function"] if depth == DEEPEST else ["pool", "if", "loop", "scan", "function"]
        if self.opset < SHAPES_MAY_DIFFER_OPSET and "if" in kinds:
            kinds.remove("if")
        return getattr(self, f"_{self._rng.choice(kinds)}")(depth, f"{depth}_{index}")

    def _body(self, depth: int) -> tuple[list[onnx.NodeProto], str]:
        nodes: list[onnx.NodeProto] = []
        for index in range(self._rng.randint(1, 2)):
            more, output = self._part(depth + 1, index)
            nodes += more
        return nodes, output

    def _pool(self, depth: int, suffix: str) -> tuple[list[onnx.NodeProto], str]:
        rng = self._rng
        kinds = [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16]
        kind = rng.choice(kinds if self.opset < BFLOAT16_OPSET else [*kinds, TensorProto.BFLOAT16])
        if kind in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
            self.warnings.add("coarse-coordinates")
        attributes = {"output_height": rng.randint(1, 4), "output_width": rng.randint(1, 4), "spatial_scale": 0.5}
        attributes["sampling_ratio"] = rng.randint(0, 3)
        private = rng.random() < 0.3
        if rng.random() < 0.3:
            attributes["mode"] = "max"
            self.warnings |= set() if private else {"max-mode"}
        if private:
            attributes |= {"offset": rng.choice((0.0, 0.25, 0.5, 1.0)), "adaptive": rng.choice(("floor", "ceil"))}
        elif self.opset >= FIRST_MODE_OPSET and rng.random() < 0.6:
            attributes["coordinate_transformation_mode"] = rng.choice(("half_pixel", "output_half_pixel"))
        op_type = private_op.OP_TYPE if private else "RoiAlign"
        domain = private_op.DOMAIN if private else ""
        x, r, y, out = (f"{name}{suffix}" for name in ("x", "r", "y", "out"))
        self.pools += 1
        nodes = [
            helper.make_node("Cast", ["X"], [x], to=kind),
            helper.make_node("Cast", ["rois"], [r], to=kind),
            helper.make_node(op_type, [x, r, "batch_indices"], [y], domain=domain, **attributes),
            helper.make_node("Cast", [y], [out], to=FLOAT),
        ]
        return nodes, out

    def _if(self, depth: int, suffix: str) -> tuple[list[onnx.NodeProto], str]:
        branches = []
        for name in ("then", "else"):
            nodes, output = self._body(depth)
            branches.append(helper.make_graph(nodes, name, [], [value(output, FLOAT)]))
        out = f"out{suffix}"
        return [helper.make_node("If", ["which"], [out], then_branch=branches[0], else_branch=branches[1])], out

    def _loop(self, depth: int, suffix: str) -> tuple[list[onnx.NodeProto], str]:
        nodes, output = self._body(depth)
        go, on, i, carried = (f"{name}{suffix}" for name in ("go", "on", "i", "carried"))
        nodes += [
            helper.make_node("Identity", [go], [on]),
            helper.make_node("Identity", [carried], [f"{carried}_on"]),
        ]
        body = helper.make_graph(
            nodes,
            "body",
            [value(i, INT64, ()), value(go, BOOL, ()), value(carried, INT64, ())],
            [value(on, BOOL, ()), value(f"{carried}_on", INT64, ()), value(output, FLOAT)],
        )
        turns, out = f"turns{suffix}", f"out{suffix}"
        loop = helper.make_node("Loop", [turns, "which", turns], [f"last{suffix}", out], body=body)
        return [constant(turns, 2, np.int64), loop], out

    def _scan(self, depth: int, suffix: str) -> tuple[list[onnx.NodeProto], str]:
        nodes, output = self._body(depth)
        rows, out = f"rows{suffix}", f"out{suffix}"
        body = helper.make_graph(nodes, "body", [value(f"row{suffix}", FLOAT, ())], [value(output, FLOAT)])
        return [constant(rows, [0, 0]), helper.make_node("Scan", [rows], [out], body=body, num_scan_inputs=1)], out

    def _function(self, depth: int, suffix: str) -> tuple[list[onnx.NodeProto], str]:
        nodes, output = self._pool(depth, "")  # the same names as in every other function
        name, out = f"Pool{len(self._functions)}", f"out{suffix}"
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(private_op.DOMAIN, 1)]
        inputs = ["X", "rois", "batch_indices"]
        self._functions.append(helper.make_function("local", name, inputs, [output], nodes, opsets))
        return [helper.make_node(name, inputs, [out], domain="local")], out
