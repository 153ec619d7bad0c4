"""emx-onnx-cgen: the model as C, compiled by $CC or gcc. It needs static shapes, so each run has code of its own."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import io
import os
import shlex
import subprocess
import tempfile
from typing import Any

import jinja2
import numpy as np
import onnx
import onnx.backend.base
from emx_onnx_cgen.cli import main
from emx_onnx_cgen.codegen import c_emitter
from onnx.backend.test.runner import BackendIsNotSupposedToImplementIt

__all__ = ["Backend"]


class _Compiled(jinja2.BytecodeCache):
    """Keeps compiled templates in this process: for each model emx-onnx-cgen compiles all its 169, in a second."""

    def __init__(self) -> None:
        self._codes: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Any) -> None:
        if bucket.key in self._codes:
            bucket.bytecode_from_string(self._codes[bucket.key])

    def dump_bytecode(self, bucket: Any) -> None:
        self._codes[bucket.key] = bucket.bytecode_to_string()


c_emitter.Environment = functools.partial(jinja2.Environment, bytecode_cache=_Compiled())


class Backend(onnx.backend.base.Backend):
    """`emx-onnx-cgen compile`, gcc, and a call of the function."""

    name = "emx-onnx-cgen"
    version = importlib.metadata.version("emx-onnx-cgen")

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns the model; it is compiled when the shapes are known."""
        return _Prepared(model)


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        arrays = [np.require(array, requirements="C") for array in inputs]
        model = _pinned(self._model, arrays)
        outputs = [_empty(output) for output in model.graph.output]
        with tempfile.TemporaryDirectory() as folder:
            function = _compiled(model, folder)
            function(*(array.ctypes.data_as(ctypes.c_void_p) for array in (*arrays, *outputs)))
        return tuple(outputs)


def _pinned(model: onnx.ModelProto, arrays: list[Any]) -> onnx.ModelProto:
    """The model with the inputs' shapes in the place of its own, and the outputs' inferred from them."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in made.graph.input if value.name not in weights]
    for value, array in zip(given, arrays, strict=True):
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, array.shape))
    del made.graph.value_info[:]
    for output in made.graph.output:
        output.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(made, data_prop=True)


def _empty(output: onnx.ValueInfoProto) -> Any:
    dims = output.type.tensor_type.shape.dim
    if not dims or not all(dim.HasField("dim_value") for dim in dims):
        raise ValueError(f"{output.name} must have a static shape for emx-onnx-cgen, got a dimension that is not known")
    kind = onnx.helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    return np.zeros([dim.dim_value for dim in dims], kind)


def _compiled(model: onnx.ModelProto, folder: str) -> Any:
    source, generated, library = (os.path.join(folder, name) for name in ("model.onnx", "model.c", "model.so"))
    onnx.save(model, source)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(["compile", source, generated])
    if code or not os.path.exists(generated):
        lines = [line for line in printed.getvalue().splitlines() if line.strip()]
        text = lines[-1] if lines else "no text"
        if "unsupported op" in text.lower():
            raise BackendIsNotSupposedToImplementIt(text)
        raise ValueError(f"emx-onnx-cgen: {text}")
    compiler = shlex.split(os.environ.get("CC", "gcc"))
    command = [*compiler, "-O1", "-shared", "-fPIC", "-o", library, generated, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line.split("error: ", 1)[1] for line in done.stderr.splitlines() if "error: " in line]
        text = f"{compiler[0]}: {errors[0] if errors else done.returncode}"
        if "unknown type name" in text:  # such as bfloat16's, which GCC has since 13
            raise BackendIsNotSupposedToImplementIt(text)
        raise ValueError(text)
    return ctypes.CDLL(library).model
