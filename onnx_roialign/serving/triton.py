"""deploy_triton: writes a model as one of a Triton model repository, with the library beside it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnx_roialign.definition.attributes import integer
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.engines.installation import library_path
from onnx_roialign.errors import ModelError, RoiAlignError, shown
from onnx_roialign.files import write_file
from onnx_roialign.onnx_model.expanded import with_levels_given
from onnx_roialign.onnx_model.file import Model, parse, to_bytes
from onnx_roialign.onnx_model.scopes import external_files, infer, scopes
from onnx_roialign.onnx_model.tensor_data import weightless, without_weights
from onnx_roialign.ops.nodes import is_ours
from onnx_roialign.ops.table import ANY_ROI_ALIGN, op_of
from onnx_roialign.serving.batching import MixedBatchError, batch_is_kept_apart
from onnx_roialign.serving.load_apart import LoadedApart
from onnx_roialign.serving.triton_config import check_tensors, config_text, why_no_batch

__all__ = ["TritonModel", "deploy_triton"]

_MODEL, _CONFIG = "model.onnx", "config.pbtxt"  # the names that Triton looks for
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")  # no escapes in the URLs of requests
_BATCH = 8  # max_batch_size of a model that is proved to keep requests apart
_MOST = 2**31 - 1  # int32


@dataclass(frozen=True, slots=True)
class TritonModel:
    """A model of a Triton model repository, as `deploy_triton` wrote it.

    Attributes:
        folder: of the model, in the repository; its name is the model's.
        version: the version that was written; the name of its folder.
        library: path of the compiled library as the server sees it.
        max_batch_size: the most requests that Triton joins in one run; 0: none.
        batching: why requests are joined or not, in one line.
        config: the text of config.pbtxt.
    """

    folder: str
    version: int
    library: str
    max_batch_size: int
    batching: str
    config: str


def deploy_triton(
    model: Model,
    repository: str | os.PathLike[str],
    *,
    name: str | None = None,
    version: int = 1,
    served_at: str | None = None,
    source: str | Semantics | None = None,
    max_batch_size: int | None = None,
) -> TritonModel:
    """Writes a model into a Triton model repository: ``NAME/config.pbtxt``, ``NAME/VERSION/model.onnx``, the library.

    Triton's ONNX Runtime backend registers a library by its path, but sets no session config entry for it. So the
    model is made explicit (`onnx_roialign.graph.make_explicit`). It is loaded in another process with nothing but the
    library before the version appears in the repository; the config has the dimensions that onnxruntime reports, which
    are also written into the model's outputs.

    Requests are joined to a batch only if all inputs and outputs begin with the same named dimension (not where a
    number of RoIs differs from that of images) and two requests have the same results in one batch as apart.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data is copied to the new model.
        repository: folder of the repository, which is created if it does not exist; other models in it are kept.
        name: of the model for Triton; None: the model file's name without its ending.
        version: number of the version, which must not exist yet. Other versions are kept, and their config, if its
            inputs, outputs and library are the same: the rest of it may have been changed by hand.
        served_at: the repository's path on the server, such as "/models" in a container, as part of the library's
            path, which Triton resolves from its own working directory; None: the repository's absolute path here.
        source: the framework call that the model was exported from; it is repaired first, as by
            `onnx_roialign.graph.repair`. None: the model's own results are correct.
        max_batch_size: the most requests in one batch, 0 for none; None: 8 if requests are proved to be kept apart,
            otherwise 0.

    Raises:
        RoiAlignError: the model cannot be read, repaired or loaded; an input or output is not a tensor of a type and
            rank that Triton has; requests cannot be joined, but max_batch_size is not 0; or a folder is in the way or
            cannot be written to. Nothing remains of this version then.
        NativeLibraryError: the compiled library is missing.
    """
    from onnx_roialign.graph import make_explicit, repair  # onnx-ir and its passes are slow to import

    given, library = parse(model), library_path()
    target = Path(_path("repository", repository)) / _checked_name(name, model)
    version = _number("version", version, 1)
    most = None if max_batch_size is None else _number("max_batch_size", max_batch_size, 0)
    base = os.path.dirname(os.path.abspath(target)) if served_at is None else _absolute(served_at)
    data = _external_data(given, None if isinstance(model, (bytes, onnx.ModelProto)) else Path(model).parent)
    with _refused(target):
        if os.path.lexists(target / str(version)):
            rule = f"must not exist yet, got {version}, which {str(target)!r} has; pass another one"
            raise RoiAlignError("version", "conflict", rule)
    explicit = _without_omitted_inputs(make_explicit(given if source is None else repair(given, source)))
    served = f"{base.rstrip('/')}/{target.name}/{os.path.basename(library)}"
    with _refused(target), _new_version(target, version) as (staged, publish):
        for file, path in data.items():
            (staged / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, staged / file)
        (staged / _MODEL).write_bytes(to_bytes(explicit))
        with LoadedApart(str(staged / _MODEL), library) as loaded:
            known = infer(without_weights(explicit)).graph
            _check_interface(loaded, known)
            size, why = _batch(loaded, explicit, most)
        if _declare_shapes(explicit, loaded):
            (staged / _MODEL).write_bytes(to_bytes(explicit))
        config = config_text(target.name, loaded.inputs, loaded.outputs, served, size)
        kept = _config_of_others(target, config)
        if kept is not None and kept != config:
            config, size, why = kept, _max_batch_size(kept), "the config of the other versions is kept"
        write_file("repository", target / os.path.basename(library), Path(library).read_bytes())
        write_file("repository", target / _CONFIG, config.encode())
        publish()
    return TritonModel(str(target), version, served, size, why, config)


def _without_omitted_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the model with the levels of every MultiScaleRoiAlign as an input.

    A server's onnxruntime may be older than this one, and before 1.24 it crashes on a custom op without an optional
    input.
    """
    if any("" in node.input and op_of(node) for scope in scopes(model) for node in scope.nodes):
        return with_levels_given(model)
    return model


def _path(argument: str, path: object) -> str:
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise RoiAlignError(argument, "type", f"must be a path, got {shown(path)}")
    if os.path.exists(text) and not os.path.isdir(text):
        raise RoiAlignError(argument, "file", f"must be a folder, got {text!r}")
    return text


def _absolute(served_at: object) -> str:
    if not (isinstance(served_at, str) and served_at.startswith("/") and "\0" not in served_at):
        raise RoiAlignError("served_at", "form", f"must be an absolute path on the server, got {shown(served_at)}")
    return served_at


def _checked_name(name: object, model: Model) -> str:
    if name is None:
        if isinstance(model, (bytes, onnx.ModelProto)):
            raise RoiAlignError("name", "missing", "must be given for a model without a path, got None")
        name = Path(model).stem
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        rule = "must be at most 200 letters, digits, '_', '.' and '-' and not begin with '.' or '-'"
        raise RoiAlignError("name", "form", f"{rule}, got {shown(name)}")
    return name


def _number(argument: str, value: object, least: int) -> int:
    number = integer(argument, value)
    if not least <= number <= _MOST:
        raise RoiAlignError(argument, "range", f"must be in [{least}, {_MOST}], got {shown(number)}")
    return number


def _external_data(model: onnx.ModelProto, folder: Path | None) -> dict[str, Path]:
    """Returns the files of the model's external data, by their path relative to the model.

    Raises:
        ModelError: a file is missing or too short, has the model's own name, or lies outside the model's folder.
    """
    names = {name for scope in scopes(model) for name in external_files(scope)}
    if names and folder is None:
        raise RoiAlignError("model", "missing", "must be a path where its external data lies beside it, got none")
    found: dict[str, Path] = {}
    for name in sorted(names):
        inside = os.path.normpath(name)
        if os.path.isabs(name) or inside.split(os.sep)[0] == ".." or "\0" in name or inside in (_MODEL, "."):
            rule = f"must have its external data below its folder and not in {_MODEL}, got {name!r}"
            raise ModelError("model", "file", rule)
        assert folder is not None
        if not os.path.isfile(folder / inside):
            raise ModelError("model", "file", f"must have its external data beside it, got no file {name!r}")
        found[inside] = folder / inside
    missing = weightless(model, None if folder is None else str(folder))
    if missing:
        raise ModelError("model", "missing", f"must have the data of its weights, got none for {missing[0]!r}")
    return found


@contextlib.contextmanager
def _new_version(target: Path, version: int) -> Iterator[tuple[Path, Callable[[], object]]]:
    """A new folder in the model's, and what renames it to the version; after an error nothing remains.

    Triton ignores folders whose names are no numbers.
    """
    staged = target / f".{secrets.token_hex(8)}.tmp"
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    try:
        staged.mkdir(parents=True)
        yield staged, lambda: staged.rename(target / str(version))
    except BaseException:
        shutil.rmtree(target if target in made else staged, ignore_errors=True)
        for folder in made:  # the innermost first
            with contextlib.suppress(OSError):  # gone, or somebody else's files are in it
                folder.rmdir()
        raise


@contextlib.contextmanager
def _refused(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        rule = f"must be a folder to write to, got {str(target.parent)!r} ({error.strerror or error})"
        raise RoiAlignError("repository", "file", rule) from error


def _check_interface(loaded: LoadedApart, known: onnx.GraphProto) -> None:
    scalars = [
        value.name
        for value in (*known.input, *known.output)
        if value.type.tensor_type.HasField("shape") and not value.type.tensor_type.shape.dim
    ]
    if not loaded.inputs:
        raise ModelError("model", "missing", "must have an input for Triton, got a model without any")
    check_tensors((*loaded.inputs, *loaded.outputs), scalars)


def _batch(loaded: LoadedApart, model: onnx.ModelProto, most: int | None) -> tuple[int, str]:
    """Returns max_batch_size, and why in one line."""
    if most == 0:
        return 0, "requests are not joined, as was asked"
    untested = None
    try:
        why_not = why_no_batch(loaded.inputs, loaded.outputs, _per_roi(model))
        if why_not is None:
            untested = batch_is_kept_apart(loaded, model)
    except MixedBatchError as error:
        why_not = str(error)
    if why_not is not None and most is not None:
        raise RoiAlignError("max_batch_size", "conflict", f"must be 0 for this model, got {most}: {why_not}")
    if why_not is not None:
        return 0, f"requests are not joined: {why_not}"
    if untested is not None and most is None:
        return 0, f"requests are not joined, because that was not tested: {untested}"
    batch = loaded.inputs[0].shape[0]
    tested = "two requests have the same results in one batch" if untested is None else f"not tested: {untested}"
    return most or _BATCH, f"requests are joined along {batch!r}, with which all inputs and outputs begin; {tested}"


def _per_roi(model: onnx.ModelProto) -> set[str]:
    """Returns the values that RoiAligns read as rois or batch_indices."""
    nodes = [node for scope in scopes(model) for node in scope.nodes if is_ours(node)]
    return {
        value
        for node in nodes
        for name, value in zip((op_of(node) or ANY_ROI_ALIGN).input_names, node.input, strict=False)
        if name in ("rois", "batch_indices")
    }


def _declare_shapes(model: onnx.ModelProto, loaded: LoadedApart) -> bool:
    """Writes the dimensions that onnxruntime reports into the outputs, for other versions of it that infer fewer.

    Triton compares them with the config. Returns whether an output was changed.
    """
    shapes = {tensor.name: tensor.shape for tensor in loaded.outputs}
    changed = False
    for value in model.graph.output:
        declared = value.type.tensor_type
        before = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in declared.shape.dim]
        wanted = [size if isinstance(size, int) else -1 for size in shapes[value.name]]
        if before == wanted and declared.HasField("shape"):
            continue
        names = [dim.dim_param for dim in declared.shape.dim] if len(before) == len(wanted) else [""] * len(wanted)
        declared.shape.ClearField("dim")
        for size, name in zip(wanted, names, strict=True):
            dim = declared.shape.dim.add()
            if size >= 0:
                dim.dim_value = size
            elif name:
                dim.dim_param = name
        changed = True
    return changed


def _config_of_others(target: Path, config: str) -> str | None:
    """Returns the config that the model's other versions have, with what was changed in it by hand; None: no others.

    Raises:
        RoiAlignError: its inputs, outputs or library are not those of the new config.
    """
    path = target / _CONFIG
    if not path.exists():
        return None
    found = path.read_text(encoding="utf-8", errors="replace")
    interfaces = [
        sorted(line for line in text.splitlines() if line.startswith(("input ", "output ", "model_operations ")))
        for text in (found, config)
    ]
    if interfaces[0] != interfaces[1]:
        rule = f"must fit {str(path)!r}, which is the config of all versions, got a model that needs another one"
        raise RoiAlignError("version", "conflict", f"{rule}; pass another name, or remove the model")
    return found


def _max_batch_size(config: str) -> int:
    found = re.search(r"^max_batch_size: *(\d+)", config, re.M)
    return int(found[1]) if found else 0
