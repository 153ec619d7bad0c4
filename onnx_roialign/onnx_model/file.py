"""Reads a model from a path, bytes or ModelProto without its external data, and writes it as bytes."""

from __future__ import annotations

import os

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from onnx_roialign.errors import RoiAlignError, UnreadableModelError, one_line

__all__ = ["PROTOBUF_LIMIT", "Model", "format_of", "parse", "to_bytes"]

Model = str | os.PathLike[str] | bytes | onnx.ModelProto

# The largest protobuf message, hence the largest ModelProto with its data inside.
PROTOBUF_LIMIT = 2**31 - 1

# Bytes 4 to 7 of a model in ORT format.
_ORT_FORMAT = b"ORTM"

_LONGEST_REASON = 200  # the message of a text parser may quote the whole file


def parse(model: Model) -> onnx.ModelProto:
    """Reads a model without its external data, which may be larger than memory.

    Args:
        model: path, bytes or ModelProto. The ending of a path may be that of one of onnx's text formats (.onnxtxt,
            .textproto, .json ...).

    Raises:
        UnreadableModelError: the file does not exist, or has no model with a graph.
        RoiAlignError: the argument has another type.
    """
    if isinstance(model, onnx.ModelProto):
        return _with_graph(model, "a ModelProto")
    if isinstance(model, bytes):
        return _with_graph(_decoded(model, f"{len(model)} bytes"), f"{len(model)} bytes")
    path = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    if not isinstance(path, str):
        raise RoiAlignError("model", "type", f"must be a path, bytes or a ModelProto, got {type(model).__name__}")
    if not os.path.isfile(path):
        state = "is a folder" if os.path.isdir(path) else "is no file" if os.path.exists(path) else "does not exist"
        raise UnreadableModelError("model", "file", f"must be a file, got {path!r}, which {state}")
    try:
        if os.path.getsize(path) > PROTOBUF_LIMIT:
            raise UnreadableModelError(
                "model",
                "file",
                f"must be a file of less than 2 GB with its weights in files beside it, got {path!r} of "
                f"{os.path.getsize(path)} bytes",
            )
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnreadableModelError(
            "model", "file", f"must be a file to read, got {path!r} ({error.strerror})"
        ) from error
    return _with_graph(_decoded(data, repr(path), format_of(path)), repr(path))


def format_of(path: str) -> str:
    """Returns onnx's name for the format of a file, by its ending: "protobuf" for an unknown ending."""
    return onnx.serialization.registry.get_format_from_file_extension(os.path.splitext(path)[1]) or "protobuf"


def _decoded(data: bytes, source: str, text_format: str = "protobuf") -> onnx.ModelProto:
    if data[4:8] == _ORT_FORMAT:
        raise UnreadableModelError(
            "model",
            "form",
            f"must be an ONNX model, got {source} in ORT format, which only ONNX Runtime reads; use the ONNX model "
            "that it was converted from, made explicit before the conversion: onnx-roialign make-explicit MODEL -o OUT",
        )
    try:
        return onnx.load_model_from_string(data, text_format)
    # The exceptions of protobuf, of its JSON and text formats and of onnx's parser have no common base.
    except Exception as error:
        reason = one_line(error)
        raise UnreadableModelError(
            "model",
            "form",
            f"must be an ONNX model, got {source} that do{'' if source.endswith('bytes') else 'es'} not parse "
            f"({reason[:_LONGEST_REASON]})",
        ) from error


def _with_graph(model: onnx.ModelProto, source: str) -> onnx.ModelProto:
    if not model.HasField("graph"):
        raise UnreadableModelError("model", "form", f"must be an ONNX model, got {source} without a graph")
    return model


def to_bytes(model: onnx.ModelProto) -> bytes:
    """Returns the model as bytes.

    Raises:
        RoiAlignError: it is larger than the limit of protobuf, or than memory.
    """
    try:
        return _to_bytes(model)
    except EncodeError as error:  # protobuf has no other error for it
        raise RoiAlignError(
            "model", "size", f"must fit into memory once more to be written, got {one_line(error)}"
        ) from error


def _to_bytes(model: onnx.ModelProto) -> bytes:
    size = model.ByteSize()
    if size > PROTOBUF_LIMIT:
        raise RoiAlignError(
            "model",
            "size",
            f"must be a path where it is over 2 GB, got a ModelProto of {size} bytes; "
            "save it with onnx.save_model(..., save_as_external_data=True) and pass the path",
        )
    return bytes(model.SerializeToString())
