"""Random C calls, most of them malformed in one or two places, with Python's result for each.

Every array and the struct have exactly the size of their data: under AddressSanitizer any read or write beside them
ends the process.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import ml_dtypes
import numpy as np

from onnx_roialign import RoiAlignError
from onnx_roialign.definition import attributes, checks, pyramid, reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.element_types import FLOATS
from onnx_roialign.definition.pyramid import MAX_LEVELS, LevelRule, Pyramid
from onnx_roialign.definition.semantics import CHOICES, NUMBERS, Semantics
from onnx_roialign.engines import native
from onnx_roialign.errors import shown

DTYPES = {kind.number: np.dtype(getattr(ml_dtypes, kind.name, kind.name)) for kind in FLOATS}
FLAGS = ("mode_max", *native._FLAGS.values())
ARRAYS = ("X", "rois", "batch_indices", "Y")
POINTERS = (*ARRAYS, "features", "levels", "ran")
LATER = ("start_shift", "max_start", "features", "num_features", "levels")  # added after the first release

# The struct's smallest size, and the largest that the library accepts (kernels/c/call.cpp).
FIRST_SIZE = native._Arguments.ran.offset + ctypes.sizeof(ctypes.c_char_p)
FULL_SIZE = ctypes.sizeof(native._Arguments)
MOST_SIZE = 4096

UGLY_FLOATS = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, 1e-320, 1e39, -1e39, 3.5e38, 1e300, -1.0, 1e9, 1e20)
UGLY_INT32 = (0, -1, 2, 255, 1024, 1025, 2**31 - 1, -(2**31))
UGLY_INT64 = (0, -1, 2**31, 2**32 + 1, 2**40, 2**62, 2**63 - 1, -(2**63), 16384, 16385, 32768, 32769, 2**22 + 1)
UGLY_FEATURES = (math.nan, math.inf, -math.inf, -0.0, 1e-45, 1e38)
UGLY_COORDINATES = (*UGLY_FLOATS, -3e38, 65504.0, 2.0**31, 2.0**40, 2.0**62)
UGLY_INDICES = (-1, 2, 2**31, 2**40, 2**62, -(2**63))
UGLY_ISAS = (b"", b"sse9000", b"\xff\xfe", b"a\nb", b"it's  \x1b\\", b"x" * 62 + b"\xc3\xa9", b"avx2" * 1000)
UGLY_SIZES = (0, 8, FIRST_SIZE - 1, FULL_SIZE + 8, MOST_SIZE, MOST_SIZE + 1, 2**62)
UGLY_SIZES += tuple(getattr(native._Arguments, name).offset for name in LATER)

_MOST_ELEMENTS = 1 << 18


def pick(rng: np.random.Generator, values: Any) -> Any:
    return values[rng.integers(len(values))]


@dataclass
class Call:
    """The struct's fields and arrays by name; None: a null pointer.

    With several maps their arrays are features[0], features[1] ..., and `levels` is an array too.
    """

    fields: dict[str, Any]
    maps: list[dict[str, Any]] = field(default_factory=list)  # H, W and spatial_scale of each; empty: the one map X
    arrays: dict[str, np.ndarray | None] = field(default_factory=dict)
    struct_size: int = FULL_SIZE
    behind: int = 0  # the byte after the fields of the struct that this library has
    misaligned: str | None = None
    without_levels: bool = False  # null, as the caller's struct has none

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each map by its name in messages."""
        return {name: tuple(fields[axis] for axis in "NCHW") for name, fields in self.each_map().items()}

    def each_map(self) -> dict[str, dict[str, Any]]:
        """The fields of one call on each map, by the map's name in messages."""
        return {map_name(i): self.fields | own for i, own in enumerate(self.maps)} or {"X": self.fields}

    def output_shape(self) -> tuple[int, ...]:
        return tuple(self.fields[name] for name in ("num_rois", "C", "output_height", "output_width"))


def map_name(level: int) -> str:
    return f"features[{level}]"


def good_call(rng: np.random.Generator, isas: list[bytes]) -> Call:
    fields = {
        "type": pick(rng, list(DTYPES)),
        "rois_type": pick(rng, (0, 0, *DTYPES)),
        "N": pick(rng, (1, 2)),
        "C": pick(rng, (1, 2, 5, 17)),
        "H": int(rng.integers(1, 30)),
        "W": int(rng.integers(1, 40)),
        "num_rois": pick(rng, (1, 1, 2, 6)),
        "output_height": pick(rng, (1, 1, 2, 7, 9)),
        "output_width": pick(rng, (1, 1, 2, 7, 9)),
        "sampling_ratio": pick(rng, (0, 0, 1, 2, 3)),
        "spatial_scale": pick(rng, (1.0, 0.25, 0.1)),
        "offset": pick(rng, (0.0, 0.5)),
        "min_size": pick(rng, (1.0, -math.inf)),
        "start_shift": pick(rng, (0.0, 0.0, 0.5)),
        "end_shift": pick(rng, (0.0, 1.0)),
        "max_start": pick(rng, (-math.inf, -math.inf, 0.0, -1e4)),
        "threads": pick(rng, (1, 1, 2, 3)),
        "isa": pick(rng, (None, *isas)),
    }
    maps = [
        {"H": int(rng.integers(1, 30)), "W": int(rng.integers(1, 40)), "spatial_scale": pick(rng, (1.0, 0.25, 0.1))}
        for _ in range(pick(rng, (0, 0, 0, 1, 2, 4)))
    ]
    return Call(fields | {name: int(rng.integers(2)) for name in FLAGS} | {"num_features": len(maps)}, maps)


def spoil_fields(rng: np.random.Generator, call: Call) -> None:
    """One field of the struct, struct_size too, or of one map gets an ugly value."""
    kinds = {name: kind for name, kind in native._Arguments._fields_ if name not in POINTERS}
    fields, name = call.fields, pick(rng, list(kinds))
    if call.maps and rng.random() < 0.3:
        fields, name = pick(rng, call.maps), pick(rng, ("H", "W", "spatial_scale"))
    if name == "struct_size":
        call.struct_size, call.behind = pick(rng, UGLY_SIZES), pick(rng, (0, 0, 1))
        forget_later_fields(call)
        return
    by_kind = {ctypes.c_int32: UGLY_INT32, ctypes.c_int64: UGLY_INT64, ctypes.c_double: UGLY_FLOATS}
    before = fields[name]
    fields[name] = pick(rng, UGLY_ISAS if name == "isa" else by_kind[kinds[name]])
    # What the checks let pass must be held by real arrays.
    sizes = (*map(elements, call.shapes().values()), elements(call.output_shape()))
    if size_problem(call) is None and max(sizes) > _MOST_ELEMENTS:
        fields[name] = before


def forget_later_fields(call: Call) -> None:
    """What the caller does not know has its default."""
    defaults = {"start_shift": 0.0, "max_start": -math.inf, "num_features": 0}
    for name in LATER if call.struct_size >= FIRST_SIZE else ():
        if getattr(native._Arguments, name).offset < call.struct_size:
            continue
        if name == "features":
            call.maps = []
        elif name == "levels":
            call.without_levels = True
        else:
            call.fields[name] = defaults[name]


def elements(shape: tuple[int, ...]) -> int:
    """How many there are, or were if no size was 0: NumPy's bound too."""
    return math.prod(max(size, 1) for size in shape)


def fill(rng: np.random.Generator, call: Call) -> None:
    """Arrays of the call's sizes, where it has sizes that arrays can have."""
    dtype = DTYPES.get(call.fields["type"], np.dtype(np.float32))
    rois_dtype = DTYPES.get(call.fields["rois_type"], dtype)
    shapes, count, output = call.shapes(), call.fields["num_rois"], call.output_shape()
    real = all(min(size) >= 0 and elements(size) <= 1 << 24 for size in (*shapes.values(), output))
    if not real:
        shapes, count, output = dict.fromkeys(shapes, (1, 1, 1, 1)), 1, (1, 1, 1, 1)
    start = rng.uniform(-20, 60, (count, 2))
    rois = np.hstack([start, start + rng.uniform(-3, 50, (count, 2))])
    if rng.random() < 0.1:
        rois *= pick(rng, (1e3, 1e9, -1.0, 1e-30, 1e20))
    images = next(iter(shapes.values()))[0]
    with np.errstate(over="ignore"):
        call.arrays = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()} | {
            "rois": rois.astype(rois_dtype),
            "batch_indices": rng.integers(0, max(min(images, 9), 1), count),
            "Y": np.zeros(output, dtype),
        }
    if call.maps:
        levels = rng.integers(-1, len(call.maps) + 1, count)
        call.arrays["levels"] = None if call.without_levels else levels


def spoil_arrays(rng: np.random.Generator, call: Call) -> None:
    """Values of one array, or where it lies."""
    name = pick(rng, [name for name, array in call.arrays.items() if array is not None])
    array = call.arrays[name]
    assert array is not None
    if rng.random() < 0.1:
        call.arrays[name] = None
    elif rng.random() < 0.1:
        call.misaligned = name
    elif name != "Y" and array.size:
        others = {"rois": UGLY_COORDINATES, "batch_indices": UGLY_INDICES, "levels": UGLY_INT64}
        values = others.get(name, UGLY_FEATURES)
        with np.errstate(over="ignore"):
            for _ in range(int(rng.integers(1, 4))):
                array.flat[rng.integers(array.size)] = pick(rng, values)


def draw_call(rng: np.random.Generator, isas: list[bytes]) -> Call:
    call = good_call(rng, isas)
    ugly = pick(rng, ((), (spoil_fields,), (spoil_fields,), (spoil_arrays,), (spoil_fields, spoil_arrays)))
    if spoil_fields in ugly:
        spoil_fields(rng, call)
    fill(rng, call)
    if spoil_arrays in ugly:
        spoil_arrays(rng, call)
    return call


# ---- the call itself ----


@dataclass
class Answer:
    status: int
    message: bytes
    Y: np.ndarray | None


def shifted(array: np.ndarray) -> np.ndarray:
    """The same values, one byte off an address that is aligned."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    memory[1:] = np.frombuffer(array.tobytes(), np.uint8)
    return memory[1:]


def address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def make_call(call: Call, message_size: int) -> Answer:
    known = 0 if not FIRST_SIZE <= call.struct_size <= MOST_SIZE else call.struct_size
    full = native._Arguments(struct_size=call.struct_size, **call.fields)
    kept = dict(call.arrays)
    for name, array in kept.items():
        if array is not None and call.misaligned == name:
            kept[name] = array = shifted(array)
    maps = [
        native._Map(address(kept[map_name(i)]), **fields)  # the arrays outlive the call in kept
        for i, fields in enumerate(call.maps)
    ]
    for name in (*ARRAYS, "levels"):
        setattr(full, name, address(kept.get(name)))
    if maps:
        full.features = (native._Map * len(maps))(*maps)
    memory = np.zeros(known or FULL_SIZE, np.uint8)
    memory[:FULL_SIZE] = np.frombuffer(bytes(full), np.uint8)[: len(memory)]
    memory[FULL_SIZE:] = call.behind
    given = ctypes.cast(memory.ctypes.data, ctypes.POINTER(native._Arguments))
    text = np.full(max(message_size, 1), 0x55, np.uint8)
    pointer = ctypes.cast(text.ctypes.data if message_size else None, ctypes.c_char_p)
    status = native._library().onnx_roialign_call(given, pointer, message_size)
    message = text[:message_size].tobytes()
    assert message_size == 0 or 0 in message, "the message has no end"
    return Answer(status, message.split(b"\0")[0], kept["Y"])


# ---- Python's result ----


def size_problem(call: Call) -> str | None:
    """The error in the sizes of the arrays or of the output; None if there is none."""
    fields = call.fields
    for name, shape in call.shapes().items():
        for size, value in zip("NCHW", shape, strict=True):
            if value < 0:  # which no array can have
                return f"{size} must be at least 0, got {value}"
        if fields["num_rois"] < 0:
            return f"num_rois must be at least 0, got {fields['num_rois']}"
        try:
            sizes = Attributes(output_height=fields["output_height"], output_width=fields["output_width"])
            X = SimpleNamespace(shape=shape, dtype=np.dtype(np.float64))  # no array can have such sizes
            checks.check_sizes(cast(Any, X), fields["num_rois"], sizes)
        except RoiAlignError as error:
            return str(error.about(name) if error.subject == "X" else error)
    return None


def refuse(problem: str | None) -> None:
    if problem is not None:
        raise RoiAlignError("", "range", problem)


def struct_problem(call: Call) -> str | None:
    size = call.struct_size
    if not FIRST_SIZE <= size <= MOST_SIZE:
        return f"struct_size must be in [{FIRST_SIZE}, {MOST_SIZE}], got {size}"
    if size > FULL_SIZE and call.behind:
        version = native._library().onnx_roialign_version
        version.restype = ctypes.c_char_p
        return (
            f"struct_size must be at most {FULL_SIZE} where a field behind is not 0, got {size}; the caller needs a "
            f"newer library than {version().decode()}"
        )
    return None


def type_problem(call: Call) -> str | None:
    first = next(iter(call.each_map()))
    for name, code in ((first, call.fields["type"]), ("rois", call.fields["rois_type"] or call.fields["type"])):
        if code not in DTYPES:
            return f"{name} must be float32, float64, float16 or bfloat16, got type {code}"
    return None


def pointer_problem(call: Call) -> str | None:
    count = call.fields["num_rois"]
    needed = {name: math.prod(shape) for name, shape in call.shapes().items()}
    needed |= {"rois": count, "batch_indices": count, "Y": count * call.fields["C"]}
    needed |= {"levels": count} if call.maps else {}
    types = {"rois": call.fields["rois_type"] or call.fields["type"], "batch_indices": None, "levels": None}
    for name in needed:
        if needed[name] == 0:
            continue
        if call.arrays[name] is None:
            return f"{name} must not be null, got null"
        code = types.get(name, call.fields["type"])
        size = 8 if code is None else DTYPES[code].itemsize
        if call.misaligned == name:
            return f"{name} must be aligned to {size} bytes, got an address of 1 more"
    return None


# C shows bytes that are not UTF-8 unchanged, Python escapes their surrogates: here letters replace them for a while.
_PRINTABLE = {0xDC80 + i: 0x3480 + i for i in range(128)}
_SURROGATES = {letter: surrogate for surrogate, letter in _PRINTABLE.items()}


def isa_problem(name: bytes | None, isas: list[bytes]) -> bytes | None:
    if name is None or name in isas:
        return None
    text = name.decode("utf-8", "surrogateescape").translate(_PRINTABLE)
    got = shown(text).translate(_SURROGATES).encode("utf-8", "surrogateescape")
    return b"isa must be one of " + b", ".join(isas) + b", got " + got


def read(fields: dict[str, Any]) -> Attributes:
    """The fields as Attributes: -infinity in C is None."""
    for name in FLAGS:
        refuse(None if fields[name] in (0, 1) else f"{name} must be 0 or 1, got {fields[name]}")
    optional = {name: None for name in ("min_size", "max_start") if fields[name] == -math.inf}
    choices = {name: CHOICES[name][1] for name, flag in native._FLAGS.items() if fields[flag]}
    plain = ("output_height", "output_width", "sampling_ratio", "spatial_scale")
    return Attributes(
        **{name: fields[name] for name in plain},
        mode="max" if fields["mode_max"] else "avg",
        semantics=Semantics(**{name: fields[name] for name in NUMBERS} | optional | choices),
    )


def expected(call: Call, isas: list[bytes]) -> Any:
    """The output, or status 1 or 2 and the message; in the order of checks that onnx_roialign.h promises."""
    try:
        refuse(struct_problem(call))
        maps = call.fields["num_features"]
        if call.maps and not 1 <= maps <= MAX_LEVELS:
            refuse(f"num_features must be in [1, {MAX_LEVELS}], got {maps}")
        per_map = [read(fields) for fields in call.each_map().values()]
        attributes.check_threads(call.fields["threads"])
        refuse(type_problem(call))
        dtype = DTYPES[call.fields["type"]]
        for map_attributes in per_map:
            map_attributes.check_in(dtype)
        refuse(size_problem(call))
        refuse(pointer_problem(call))
        want = reference_output(call, per_map)
    except RoiAlignError as error:
        return 1, str(error).encode()
    problem = isa_problem(call.fields["isa"], isas)
    return want if problem is None else (2, problem)


def reference_output(call: Call, per_map: list[Attributes]) -> np.ndarray:
    """The reference's output, with an array for every null pointer."""
    count, dtype = call.fields["num_rois"], DTYPES[call.fields["type"]]
    empty = {name: np.empty(shape, dtype) for name, shape in call.shapes().items() if call.arrays[name] is None}
    empty |= {"rois": np.empty((count, 4), dtype), "batch_indices": np.empty(count, np.int64)}
    given = empty | {name: array for name, array in call.arrays.items() if array is not None}
    rois, batch_indices, levels = (given.get(name) for name in ("rois", "batch_indices", "levels"))
    if not call.maps:
        return reference.roi_align(given["X"], rois, batch_indices, per_map[0])
    pooler = Pyramid(tuple(of_map.spatial_scale for of_map in per_map), LevelRule(), per_map[0])
    features = [given[name] for name in call.shapes()]
    levels = np.zeros(count, np.int64) if levels is None else levels
    return pyramid.multiscale_roi_align(rois, batch_indices, features, pooler, levels)
