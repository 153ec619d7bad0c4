"""onnxruntime's version, the config entries of its session options, and models in the form that it loads."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import onnx
import onnxruntime
from onnx.external_data_helper import load_external_data_for_model

from onnx_roialign.definition.attributes import MAX_THREADS
from onnx_roialign.errors import NativeLibraryError, RoiAlignError, last_guard, one_line, shown
from onnx_roialign.onnx_model.expanded import with_levels_given
from onnx_roialign.onnx_model.facts import ModelFacts, read_facts
from onnx_roialign.onnx_model.file import PROTOBUF_LIMIT, to_bytes
from onnx_roialign.onnx_model.scopes import Scope
from onnx_roialign.ops.nodes import node_name

__all__ = [
    "Source",
    "carries_library",
    "check_omitted_inputs",
    "check_options",
    "check_version",
    "config_entry",
    "has_own_threads",
    "has_providers",
    "looking_in",
    "packed",
    "takes_omitted_inputs",
    "tell_threads",
    "usable_cores",
    "version",
    "why_nothing_loads",
    "without_omitted_inputs",
]

# The keys of kernels/ort/: the session's number of threads, and a mark that the library sets.
_THREADS_ENTRY = "onnx_roialign.threads"
_LIBRARY_ENTRY = "onnx_roialign.registration"

_OLDEST = (1, 20)
# Older versions read a null pointer where a custom op's optional input is omitted (1.20 to 1.23 tried), so that the
# library declares the input required there.
_OMITTED_INPUTS_SINCE = (1, 24)

# The folder of the external data of a model given as bytes.
FOLDER_ENTRY = "session.model_external_initializers_file_folder_path"
_FOLDER_ENTRY_SINCE = (1, 22)


def version() -> tuple[int, ...]:
    """The version of onnxruntime as numbers, as many as it has."""
    found = re.match(r"\d+\.\d+(\.\d+)?", onnxruntime.__version__)
    return tuple(map(int, found[0].split("."))) if found else _OLDEST  # a build without a number counts as supported


def check_version() -> None:
    """Refuses an onnxruntime that is too old.

    Raises:
        NativeLibraryError: with the version that is needed.
    """
    if version() < _OLDEST:
        raise NativeLibraryError(
            f"onnxruntime must be {_OLDEST[0]}.{_OLDEST[1]} or newer, got {onnxruntime.__version__}: "
            "pip install -U onnxruntime"
        )


def takes_omitted_inputs() -> bool:
    """Whether onnxruntime runs a private op without an optional input; else the library lets it refuse the node."""
    return version() >= _OMITTED_INPUTS_SINCE


def without_omitted_inputs(facts: ModelFacts) -> ModelFacts:
    """Returns the facts of a copy in which no private op lacks an optional input, where onnxruntime refuses that.

    Elsewhere the facts are returned as they are.

    Raises:
        RoiAlignError: the model's opset is too low for that.
    """
    if not any(map(_is_refused, facts.roi_aligns)):
        return facts
    return replace(read_facts(with_levels_given(facts.proto)), folder=facts.folder)


def check_omitted_inputs(facts: ModelFacts) -> None:
    """Refuses a private op with an omitted optional input where onnxruntime does, in words that name the way out.

    Raises:
        RoiAlignError: with the version that is needed and the way to avoid it.
    """
    for _, node in filter(_is_refused, facts.roi_aligns):
        raise RoiAlignError(
            "onnxruntime",
            "unsupported",
            "must be {}.{} or newer for a {} with an omitted input, got {}: pip install -U onnxruntime, use "
            "onnx_roialign.session(), or write the model in ONNX's own operators with "
            "onnx_roialign.graph.unfuse()".format(*_OMITTED_INPUTS_SINCE, node.op_type, onnxruntime.__version__),
            node=node_name(node),
        )


def _is_refused(found: tuple[Scope, onnx.NodeProto]) -> bool:
    return not takes_omitted_inputs() and "" in found[1].input


def check_options(sess_options: object) -> None:
    """Refuses what is not onnxruntime's SessionOptions.

    Raises:
        RoiAlignError: it is something else.
    """
    if not isinstance(sess_options, onnxruntime.SessionOptions):
        raise RoiAlignError("sess_options", "type", f"must be onnxruntime.SessionOptions, got {shown(sess_options)}")


def has_own_threads(options: onnxruntime.SessionOptions) -> bool:
    """Whether a session with these options has its own thread pool; in Python, onnxruntime 1.20 always creates one."""
    return bool(getattr(options, "use_per_session_threads", True))


def config_entry(options: onnxruntime.SessionOptions, key: str) -> str | None:
    """The value of a session config entry; None where there is none."""
    try:
        return str(options.get_session_config_entry(key))
    except RuntimeError:
        return None


def has_providers(options: onnxruntime.SessionOptions) -> bool:
    """Whether providers were added to the options themselves, which onnxruntime 1.22 made possible."""
    ask = getattr(options, "has_providers", None)
    return ask is not None and bool(ask())


def carries_library(options: onnxruntime.SessionOptions) -> bool:
    """Whether the library was registered on the options as one of custom ops."""
    return config_entry(options, _LIBRARY_ENTRY) is not None


def why_nothing_loads(options: onnxruntime.SessionOptions) -> str:
    """Returns onnxruntime's error where it loads not even the smallest model with these options; empty if it does."""
    shape = onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["X"], ["Y"])], "usable", [shape], [shape])
    graph.output[0].name = "Y"
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 10)], ir_version=8)
    written = options.optimized_model_filepath, options.enable_profiling
    options.optimized_model_filepath, options.enable_profiling = "", False
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except Exception as error:  # any exception of onnxruntime means that the model does not load
        return one_line(error)
    finally:
        options.optimized_model_filepath, options.enable_profiling = written
    return ""


def tell_threads(options: onnxruntime.SessionOptions) -> None:
    """Tells the library how many threads a session of the options has, if the session has threads of its own."""
    if has_own_threads(options) and config_entry(options, _THREADS_ENTRY) is None:
        threads = options.intra_op_num_threads or usable_cores()
        options.add_session_config_entry(_THREADS_ENTRY, str(min(threads, MAX_THREADS)))


def usable_cores() -> int:
    """The number of cores that this process may run on, which is onnxruntime's default number of threads."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Source(NamedTuple):
    """A model for onnxruntime.

    Attributes:
        model: path or bytes.
        folder: the folder of the external data of bytes; None: there is none, or onnxruntime finds it by the path.
    """

    model: str | bytes
    folder: str | None = None


def packed(model: onnx.ModelProto, facts: ModelFacts, *, whole: bool = False) -> Source:
    """Serializes a model to bytes.

    Args:
        model: the model that was read, or a copy of it; may be changed.
        facts: the facts of the model that was read.
        whole: whether to load external data into the bytes if it fits in a protobuf message.

    Raises:
        RoiAlignError: the model is larger than protobuf can write, or this onnxruntime cannot read external data beside
            a model in bytes.
    """
    folder = facts.folder
    if folder is None or not facts.external_files:
        return Source(to_bytes(model))
    old = version() < _FOLDER_ENTRY_SINCE
    if (whole or old) and facts.external_size() < PROTOBUF_LIMIT:
        with last_guard("read with its external data"):
            load_external_data_for_model(model, folder)
        return Source(to_bytes(model))
    if old:
        raise RoiAlignError(
            "onnxruntime",
            "unsupported",
            "must be {}.{} or newer for a rewritten copy of a model over 2 GB, got {}: "
            "pip install -U onnxruntime".format(*_FOLDER_ENTRY_SINCE, onnxruntime.__version__),
        )
    return Source(to_bytes(model), folder)


@contextlib.contextmanager
def looking_in(folder: str | None, options: onnxruntime.SessionOptions, *, shared: bool) -> Iterator[None]:
    """Context manager in which a session created with the options finds external data in a folder.

    The entry of shared options is reset afterwards, because it would have precedence over the folder of a later model's
    path. onnxruntime cannot remove an entry: an empty text remains, and onnxruntime prints that it was replaced.
    """
    if folder is None:
        yield
        return
    before = config_entry(options, FOLDER_ENTRY)
    options.add_session_config_entry(FOLDER_ENTRY, folder)
    try:
        yield
    finally:
        if shared:
            options.add_session_config_entry(FOLDER_ENTRY, before or "")
