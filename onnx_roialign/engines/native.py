"""The compiled library: its instruction sets, and RoiAlign on NumPy arrays through its C function."""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes, check_threads
from onnx_roialign.definition.checks import Given, check_signature, check_sizes, check_values, enough_memory, new_output
from onnx_roialign.definition.element_types import TYPES, element_type
from onnx_roialign.definition.pyramid import Pyramid, check_call, check_call_values
from onnx_roialign.definition.semantics import CHOICES, NUMBERS
from onnx_roialign.engines.installation import library_path
from onnx_roialign.errors import NativeLibraryError, RoiAlignError, shown

__all__ = ["active_isa", "available_isas", "ep_name", "ep_names", "multiscale_roi_align", "roi_align"]

_OK, _INVALID_ARGUMENT = 0, 1
_MESSAGE_SIZE = 512

# Field of Semantics -> the member that is 1 if the field has its second value.
_FLAGS = MappingProxyType(
    {"adaptive": "adaptive_floor", "empty": "empty_nan", "max_rule": "max_samples", "border": "border_exclusive"}
)


class _Map(ctypes.Structure):
    """onnx_roialign_map of kernels/c/onnx_roialign.h, member for member."""

    _fields_ = (
        ("X", ctypes.c_void_p),
        ("H", ctypes.c_int64),
        ("W", ctypes.c_int64),
        ("spatial_scale", ctypes.c_double),
    )


class _Arguments(ctypes.Structure):
    """onnx_roialign_args of kernels/c/onnx_roialign.h, member for member."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("type", ctypes.c_int32),
        ("rois_type", ctypes.c_int32),
        ("X", ctypes.c_void_p),
        ("rois", ctypes.c_void_p),
        ("batch_indices", ctypes.c_void_p),
        ("Y", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("N", "C", "H", "W", "num_rois")),
        *((name, ctypes.c_int64) for name in ("output_height", "output_width", "sampling_ratio")),
        ("spatial_scale", ctypes.c_double),
        ("mode_max", ctypes.c_int32),
        *((name, ctypes.c_double) for name in ("offset", "min_size", "end_shift")),
        *((name, ctypes.c_int32) for name in _FLAGS.values()),
        ("threads", ctypes.c_int32),
        ("isa", ctypes.c_char_p),
        ("ran", ctypes.c_char_p),
        *((name, ctypes.c_double) for name in ("start_shift", "max_start")),
        ("features", ctypes.POINTER(_Map)),
        ("num_features", ctypes.c_int64),
        ("levels", ctypes.c_void_p),
    )


def ep_name() -> str:
    """Returns the name of the execution provider in the library."""
    return "RoiAlignExecutionProvider"


def ep_names() -> list[str]:
    """Returns the names of all execution providers in the library: `ep_name` alone."""
    return [ep_name()]


def available_isas() -> tuple[str, ...]:
    """Returns the names of the instruction sets that both the library and this CPU support, widest first.

    Raises:
        NativeLibraryError: the library is missing or cannot be loaded.
    """
    names = _library().onnx_roialign_isas()
    return tuple(name.decode() for name in itertools.takewhile(lambda name: name is not None, names))


def active_isa() -> str:
    """Returns the name of the default instruction set: $ONNX_ROIALIGN_ISA, or the widest available.

    Raises:
        NativeLibraryError: the library is missing, or it or this CPU lacks the instruction set in $ONNX_ROIALIGN_ISA.
    """
    outcome = _call(_arguments(Attributes()))  # without RoIs, the call only selects the instruction set
    outcome.check()
    return outcome.ran


def roi_align(
    X: Array,
    rois: Array,
    batch_indices: Array,
    attributes: Attributes,
    *,
    threads: int | None = None,
    isa: str | None = None,
) -> Array:
    """Pools every RoI with the compiled library; the result is that of `reference.roi_align`.

    Args:
        X: (N, C, H, W) feature maps, float32, float64, float16 or bfloat16.
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, of any of these types.
        batch_indices: (num_rois,) image of each RoI, int64.
        attributes: sizes, sampling ratio, scale, mode and semantics.
        threads: number of threads, at most 1024; None or 0: one per core that this process may run on.
        isa: instruction set, one of `available_isas()`; None: $ONNX_ROIALIGN_ISA, or the widest available.

    Returns:
        (num_rois, C, output_height, output_width), of X's type; the same bits for any number of threads.

    Raises:
        RoiAlignError: an input is invalid; the message names it.
        NativeLibraryError: the library is missing or lacks the instruction set.
    """
    if not isinstance(attributes, Attributes):
        raise RoiAlignError("attributes", "type", f"must be Attributes, got {shown(attributes)}")
    for name, array in (("X", X), ("rois", rois), ("batch_indices", batch_indices)):
        if not isinstance(array, np.ndarray):
            raise RoiAlignError(name, "type", f"must be an array, got {shown(array)}")
    arguments = _arguments(attributes, threads, isa)
    # Types and shapes are checked here, before memory is allocated. The library checks the values of all arrays, with
    # the same messages.
    check_signature(*map(Given.of, (X, rois, batch_indices)), rois_types=TYPES)
    check_sizes(X, len(rois), attributes)
    X, rois, batch_indices = _contiguous(X, rois, batch_indices)
    check = partial(check_values, X, rois, batch_indices, attributes)
    try:
        Y = new_output(X, len(rois), attributes)
    except RoiAlignError:
        check()  # a wrong value is reported first, as by the reference
        raise
    arguments.X = X.ctypes.data
    arguments.H, arguments.W = X.shape[2:]
    return _pooled(arguments, X, rois, batch_indices, Y, check)


def multiscale_roi_align(
    rois: Array,
    batch_indices: Array,
    features: Sequence[Array],
    pyramid: Pyramid,
    levels: Array | None = None,
    *,
    threads: int | None = None,
    isa: str | None = None,
) -> Array:
    """Pools every RoI from the map of its level with the compiled library, all levels in one call.

    Arguments, result and errors are those of `definition.pyramid.multiscale_roi_align`; threads and isa are those of
    `roi_align`.
    """
    arguments = _arguments(pyramid.attributes, threads, isa)
    check_call(rois, batch_indices, features, pyramid, levels)
    levels = pyramid.rule.levels(rois) if levels is None else levels
    rois, batch_indices, levels, *maps = _contiguous(rois, batch_indices, levels, *features)
    check = partial(check_call_values, rois, batch_indices, features, pyramid)
    try:
        Y = new_output(maps[0], len(rois), pyramid.attributes)
    except RoiAlignError:
        check()  # a wrong value is reported first, as by the reference
        raise
    structs = [_Map(X.ctypes.data, *X.shape[2:], scale) for X, scale in zip(maps, pyramid.spatial_scales, strict=True)]
    arguments.features, arguments.num_features = (_Map * len(structs))(*structs), len(structs)
    arguments.levels = levels.ctypes.data
    return _pooled(arguments, maps[0], rois, batch_indices, Y, check)


def _contiguous(*arrays: Array) -> list[Array]:
    with enough_memory("X, rois and batch_indices", "must fit into memory, got arrays that are copied and do not"):
        return [np.require(array, requirements=("C_CONTIGUOUS", "ALIGNED")) for array in arrays]


def _pooled(
    arguments: _Arguments, X: Array, rois: Array, batch_indices: Array, Y: Array, check: Callable[[], None]
) -> Array:
    """Calls the library; X is the map or the first of several; `check` checks the values in Python."""
    arguments.type, arguments.rois_type = (element_type(array.dtype).number for array in (X, rois))
    arguments.rois, arguments.batch_indices, arguments.Y = (array.ctypes.data for array in (rois, batch_indices, Y))
    arguments.N, arguments.C = X.shape[:2]
    arguments.num_rois = len(rois)
    outcome = _call(arguments)
    if outcome.status == _INVALID_ARGUMENT:
        raise _invalid(outcome.message, check)
    outcome.check()
    return Y


def _invalid(message: str, check: Callable[[], None]) -> RoiAlignError:
    """Returns the library's message as an error, with the subject and the code of the same check in Python."""
    try:
        check()
    except RoiAlignError as error:
        return RoiAlignError(error.subject, error.code, message.removeprefix(f"{error.subject} "))
    return RoiAlignError("", "range", message)


def _arguments(attributes: Attributes, threads: int | None = None, isa: str | None = None) -> _Arguments:
    arguments = _Arguments(struct_size=ctypes.sizeof(_Arguments))
    _library().onnx_roialign_defaults(ctypes.byref(arguments))
    plain = attributes.plain()
    arguments.mode_max = plain.pop("mode") == "max"
    for name, value in plain.items():
        setattr(arguments, name, value)
    for name in NUMBERS:
        number = getattr(attributes.semantics, name)
        setattr(arguments, name, -math.inf if number is None else number)
    for name, (_, second) in CHOICES.items():
        setattr(arguments, _FLAGS[name], getattr(attributes.semantics, name) == second)
    arguments.threads = check_threads(threads)
    arguments.isa = None if isa is None else _name(isa)
    return arguments


def _name(isa: str) -> bytes:
    if not isinstance(isa, str) or "\0" in isa:
        raise RoiAlignError("isa", "choice", f"must be one of {', '.join(available_isas())}, got {shown(isa)}")
    return isa.encode(errors="replace")


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: int
    message: str
    ran: str

    def check(self) -> None:
        if self.status == _INVALID_ARGUMENT:
            raise RoiAlignError("", "range", self.message)
        if self.status != _OK:
            raise NativeLibraryError(self.message)


def _call(arguments: _Arguments) -> _Outcome:
    message = ctypes.create_string_buffer(_MESSAGE_SIZE)
    status = _library().onnx_roialign_call(ctypes.byref(arguments), message, ctypes.sizeof(message))
    ran = arguments.ran
    return _Outcome(status, message.value.decode(errors="replace"), "" if ran is None else ran.decode())


@functools.cache
def _library() -> ctypes.CDLL:
    path = library_path()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise NativeLibraryError(
            f"the compiled library cannot be loaded ({error}): reinstall it on this machine (pip install .)"
        ) from error
    try:
        library.onnx_roialign_call.argtypes = (ctypes.POINTER(_Arguments), ctypes.c_char_p, ctypes.c_size_t)
        library.onnx_roialign_call.restype = ctypes.c_int
        library.onnx_roialign_defaults.argtypes = (ctypes.POINTER(_Arguments),)
        library.onnx_roialign_defaults.restype = ctypes.c_int
        library.onnx_roialign_isas.restype = ctypes.POINTER(ctypes.c_char_p)
    except AttributeError as error:
        raise NativeLibraryError(
            f"the compiled library is of another version ({error}): reinstall it on this machine (pip install .)"
        ) from error
    return library
