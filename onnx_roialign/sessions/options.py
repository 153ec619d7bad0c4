"""onnxruntime's side of a session: its version, and the config entries of its options."""

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

from onnx_roialign.errors import NativeLibraryError, RoiAlignError, last_guard, shown
from onnx_roialign.onnx_model.expanded import with_levels_given
from onnx_roialign.onnx_model.facts import ModelFacts, read_facts
from onnx_roialign.onnx_model.file import PROTOBUF_LIMIT, to_bytes
from onnx_roialign.onnx_model.scopes import Scope
from onnx_roialign.ops.nodes import node_name

__all__ = [
    "Source",
    "check_omitted_inputs",
    "check_options",
    "check_version",
    "config_entry",
    "has_own_threads",
    "looking_in",
    "packed",
    "quiet_options",
    "takes_omitted_inputs",
    "usable_cores",
    "version",
    "without_omitted_inputs",
]

_OLDEST = (1, 20)
# Before, onnxruntime reads a null pointer where a custom op's optional input is omitted (1.20 to 1.23 tried).
_OMITTED_INPUTS_SINCE = (1, 24)

# Where external data lies for a model given as bytes.
FOLDER_ENTRY = "session.model_external_initializers_file_folder_path"
_FOLDER_ENTRY_SINCE = (1, 22)


def version() -> tuple[int, int]:
    """The major and minor version of onnxruntime."""
    found = re.match(r"(\d+)\.(\d+)", onnxruntime.__version__)
    return (int(found[1]), int(found[2])) if found else _OLDEST  # a build without a number: let it try


def check_version() -> None:
    """Refuses an onnxruntime that is too old.

    Raises:
        NativeLibraryError: the text says which version is needed.
    """
    if version() < _OLDEST:
        raise NativeLibraryError(
            f"onnxruntime must be {_OLDEST[0]}.{_OLDEST[1]} or newer, got {onnxruntime.__version__}: "
            "pip install -U onnxruntime"
        )


def takes_omitted_inputs() -> bool:
    """Whether onnxruntime runs a private op without an optional input; else it crashes on it."""
    return version() >= _OMITTED_INPUTS_SINCE


def without_omitted_inputs(facts: ModelFacts) -> ModelFacts:
    """Returns the facts of a copy in which no private op lacks an optional input, where onnxruntime crashes on that.

    Elsewhere the facts are returned as they are.

    Raises:
        RoiAlignError: the model's opset is too low for that.
    """
    if not any(map(_crashes, facts.roi_aligns)):
        return facts
    return replace(read_facts(with_levels_given(facts.proto)), folder=facts.folder)


def check_omitted_inputs(facts: ModelFacts) -> None:
    """Refuses a private op without an optional input where onnxruntime crashes on it, before its schema is asked.

    Raises:
        RoiAlignError: the text says which version is needed, and what else can be done.
    """
    for _, node in filter(_crashes, facts.roi_aligns):
        raise RoiAlignError(
            "onnxruntime",
            "unsupported",
            "must be {}.{} or newer for a {} with an omitted input, got {}: pip install -U onnxruntime, use "
            "onnx_roialign.session(), or write the model in ONNX's own operators with "
            "onnx_roialign.graph.unfuse()".format(*_OMITTED_INPUTS_SINCE, node.op_type, onnxruntime.__version__),
            node=node_name(node),
        )


def _crashes(found: tuple[Scope, onnx.NodeProto]) -> bool:
    return not takes_omitted_inputs() and "" in found[1].input


def check_options(sess_options: object) -> None:
    """Refuses what is not onnxruntime's SessionOptions.

    Raises:
        RoiAlignError: it is something else.
    """
    if not isinstance(sess_options, onnxruntime.SessionOptions):
        raise RoiAlignError("sess_options", "type", f"must be onnxruntime.SessionOptions, got {shown(sess_options)}")


def quiet_options() -> onnxruntime.SessionOptions:
    """Options of a session that prints nothing: what onnxruntime would log is in the exception that it raises."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # "fatal"
    return options


def has_own_threads(options: onnxruntime.SessionOptions) -> bool:
    """Whether a session of these options has a thread pool of its own; onnxruntime 1.20 has no other from Python."""
    return bool(getattr(options, "use_per_session_threads", True))


def config_entry(options: onnxruntime.SessionOptions, key: str) -> str | None:
    """A session config entry, None where there is none."""
    try:
        return str(options.get_session_config_entry(key))
    except RuntimeError:
        return None


def usable_cores() -> int:
    """Cores that this process may run on: as many threads as onnxruntime gives a session at the most."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Source(NamedTuple):
    """A model for onnxruntime.

    Attributes:
        model: path or bytes.
        folder: where the external data of bytes lies; None: there is none, or it is where onnxruntime looks by itself.
    """

    model: str | bytes
    folder: str | None = None


def packed(model: onnx.ModelProto, facts: ModelFacts, *, whole: bool = False) -> Source:
    """A model as bytes.

    Args:
        model: the model that was read, or a copy of it; may be changed.
        facts: of the model that was read.
        whole: whether external data is taken in where all of it goes into a protobuf message.

    Raises:
        RoiAlignError: more than protobuf can write, or than this onnxruntime reads beside a model in bytes.
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
    """Lets a session of the options find external data in a folder.

    Shared options forget it again, because it goes before the folder of any path: onnxruntime cannot take an entry
    away, so that an empty text stays, and prints that it was replaced.
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
