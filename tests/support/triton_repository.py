"""A Triton model repository, read as the server reads it: the config by the published protobuf, the model by path."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from google.protobuf import text_format

from onnx_roialign.sessions.silent import silent_options

# The types of triton/core/include/triton/core/tritonserver.h, by the names of the config.
DTYPES = {
    "TYPE_FP16": np.float16,
    "TYPE_FP32": np.float32,
    "TYPE_FP64": np.float64,
    "TYPE_INT64": np.int64,
    "TYPE_INT32": np.int32,
    "TYPE_UINT8": np.uint8,
    "TYPE_BOOL": np.bool_,
    "TYPE_STRING": np.object_,
}


@functools.cache
def _messages() -> Any:
    """tritonclient's model_config_pb2, without its package, which would import grpc."""
    try:
        package = importlib.metadata.distribution("tritonclient")
    except importlib.metadata.PackageNotFoundError as error:
        raise AssertionError("tritonclient is not installed: pip install --no-deps tritonclient") from error
    path = package.locate_file("tritonclient/grpc/model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # protobuf warns of code that its last major version generated
        spec.loader.exec_module(module)
    return module


def parsed(text: str) -> Any:
    """The config as protobuf's message ModelConfig; a text of another form is an error."""
    return text_format.Parse(text, _messages().ModelConfig())


def type_name(tensor: Any) -> str:
    return _messages().DataType.Name(tensor.data_type)


def loaded(folder: str | Path, version: int = 1) -> tuple[Any, onnxruntime.InferenceSession]:
    """The config, and a session with nothing but its libraries, as Triton's ONNX Runtime backend makes it."""
    config = parsed((Path(folder) / "config.pbtxt").read_text(encoding="utf-8"))
    assert config.name == Path(folder).name
    assert config.backend == "onnxruntime"
    options = silent_options()
    for library in config.model_operations.op_library_filename:
        options.register_custom_ops_library(library)
    path = Path(folder) / str(version) / "model.onnx"
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    assert_fits(config, session)
    return config, session


def assert_fits(config: Any, session: onnxruntime.InferenceSession) -> None:
    """The checks of ValidateInputs and ValidateOutputs in Triton's onnxruntime.cc, without which it loads no model."""
    for tensors, values, exact in (
        (config.input, session.get_inputs(), False),
        (config.output, session.get_outputs(), True),
    ):
        found = {value.name: value for value in values}
        assert [tensor.name for tensor in tensors] == list(found)
        for tensor in tensors:
            sizes = [size if isinstance(size, int) else -1 for size in found[tensor.name].shape]
            dims = list(tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims)
            assert tensor.dims
            assert all(size == -1 or size >= 1 for size in tensor.dims)
            if config.max_batch_size:
                assert sizes[0] == -1
                dims = [-1, *dims]
            if not sizes:
                assert set(dims) == {1}
            elif exact:
                assert sizes == dims
            else:
                assert len(sizes) == len(dims)
                assert all(size in (-1, dim) for size, dim in zip(sizes, dims, strict=True))
