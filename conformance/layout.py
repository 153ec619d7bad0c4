"""Cases as folders: ONNX's backend-test layout, with what it cannot say in case.json.

    TIER/test_roialign_NAME/model.onnx
    TIER/test_roialign_NAME/data.json                       tolerances, as onnx.backend.test.loader reads them
    TIER/test_roialign_NAME/case.json                       id, clause, tier, source, tolerance, requires, outcomes
    TIER/test_roialign_NAME/test_data_set_0/input_0.pb      one file for each graph input, in their order
    TIER/test_roialign_NAME/test_data_set_0/output_0.pb     one file for each graph output, where one result is right
    TIER/test_roialign_NAME/outcome_0/output_0.pb           the same for each of several results
    index.json                                              the list of cases

A runtime that replays the folders with its own runner writes beside the inputs test_data_set_0/got_0.pb, or error.txt
or unsupported.txt with the reason, and may write runtime.json, {"name": ..., "version": ...}, beside index.json.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from onnx_roialign import __version__
from onnx_roialign.arrays import Array
from onnx_roialign.errors import RoiAlignError, one_line
from onnx_roialign.files import read_file

from .case import Case, Outcome, Tier, Tolerance
from .comparing import judge_error, judge_outputs, unit
from .process import Identity
from .result import Result, Status

__all__ = [
    "export_cases",
    "folder_name",
    "import_results",
    "make_folder",
    "read_cases",
    "read_identity",
    "read_outputs",
    "write_case",
    "write_question",
]

_DATA = "test_data_set_0"


def folder_name(case: Case) -> str:
    """Returns the path of a case's folder below the exported one: the tier, and a name of letters, digits and _."""
    return f"{case.tier.value}/test_roialign_{re.sub('[^A-Za-z0-9]', '_', case.id)}"


def write_question(folder: Path, case: Case) -> None:
    """Writes the model and the inputs of a case, without the results that are right."""
    (folder / _DATA).mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    names = [graph_input.name for graph_input in case.model.graph.input if graph_input.name in case.inputs]
    _write_tensors(folder / _DATA, "input", {name: case.inputs[name] for name in names})


def write_case(folder: Path, case: Case) -> None:
    """Writes a case with the results that are right."""
    write_question(folder, case)
    absolute = case.tolerance.ulps * unit(np.dtype(case.dtype), case.scale)
    _write_json(folder / "data.json", {"rtol": 0.0, "atol": absolute})
    outcomes = []
    for index, outcome in enumerate(case.outcomes):
        where = _DATA if len(case.outcomes) == 1 else f"outcome_{index}"
        if outcome.outputs is not None:
            (folder / where).mkdir(exist_ok=True)
            _write_tensors(
                folder / where, "output", {name: outcome.outputs[name] for name in _output_names(case.model)}
            )
        outputs = None if outcome.outputs is None else where
        outcomes.append({"name": outcome.name, "outputs": outputs, "mentions": list(outcome.mentions)})
    tolerance = {"ulps": case.tolerance.ulps, "absolute": absolute, "reason": case.tolerance.reason}
    _write_json(folder / "case.json", {**_summary(case), "tolerance": tolerance, "outcomes": outcomes})


def _summary(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "clause": case.clause,
        "tier": case.tier.value,
        "source": case.source,
        "opset": case.opset,
        "dtype": case.dtype,
        "requires": list(case.requires),
    }


def make_folder(option: str, folder: Path) -> None:
    """Makes the folder for cases that an option names.

    Raises:
        RoiAlignError: it has content, or cannot be written.
    """
    with _written(option, folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RoiAlignError(option, "file", f"must be a new or empty folder, got {str(folder)!r}")
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def export_cases(
    option: str, folder: Path, cases: Sequence[Case], after_each: Callable[[], None] = lambda: None
) -> None:
    """Writes cases and their index into a folder that is new or empty.

    Args:
        option: that names the folder, for messages.
        folder: where to.
        cases: what to write.
        after_each: called after each case.

    Raises:
        RoiAlignError: the folder has content, or cannot be written.
    """
    make_folder(option, folder)
    with _written(option, folder):
        for case in cases:
            write_case(folder / folder_name(case), case)
            after_each()
        index = [{**_summary(case), "folder": folder_name(case)} for case in cases]
        _write_json(folder / "index.json", {"suite": f"onnx_roialign {__version__}", "cases": index})


@contextlib.contextmanager
def _written(option: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RoiAlignError(
            option, "file", f"must be a folder to write to, got {str(folder)!r} ({error.strerror})"
        ) from error


def read_cases(folder: Path) -> tuple[Case, ...]:
    """Returns the cases of a folder: each folder in it, at any depth, that has a case.json; in the order of their ids.

    Raises:
        RoiAlignError: there is none, or one is damaged; the message names it.
    """
    found = sorted(folder.rglob("case.json")) if os.path.isdir(folder) else []
    if not found:
        raise RoiAlignError("--cases", "file", f"must be a folder with case.json files, got {str(folder)!r}")
    return tuple(sorted((_read_case(path.parent) for path in found), key=lambda case: case.id))


def _read_case(folder: Path) -> Case:
    try:
        data = json.loads(read_file(folder / "case.json"))
        model = onnx.load_model_from_string(read_file(folder / "model.onnx"))
        outcomes = tuple(
            Outcome(
                None if entry["outputs"] is None else read_outputs(folder / entry["outputs"], _output_names(model)),
                entry["name"],
                tuple(entry["mentions"]),
            )
            for entry in data["outcomes"]
        )
        tolerance = Tolerance(data["tolerance"]["ulps"], data["tolerance"]["reason"])
        inputs = dict(_read_tensors(folder / _DATA, "input"))
        texts = data["id"], data["clause"], Tier(data["tier"]), data["source"]
        return Case(*texts, model, inputs, outcomes, tolerance, tuple(data["requires"]))
    except Exception as error:  # a damaged file raises anything
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise RoiAlignError("--cases", "form", f"must hold cases, got {str(folder)!r} ({reason})") from error


def read_outputs(folder: Path, names: Sequence[str], stem: str = "output") -> dict[str, Array]:
    """Returns the arrays in STEM_i.pb by name: the file's, or of the graph output at that place if the file has none.

    Args:
        folder: of the files.
        names: of the graph's outputs.
        stem: beginning of the files' names.
    """
    tensors = _read_tensors(folder, stem)
    return {
        name or (names[index] if index < len(names) else f"output {index}"): array
        for index, (name, array) in enumerate(tensors)
    }


def read_identity(folder: Path) -> Identity:
    """Returns what runtime.json in an imported folder says of the runtime; the folder's name if there is none.

    Raises:
        RoiAlignError: the file is not of this form.
    """
    path = folder / "runtime.json"
    if not path.exists():
        return Identity(folder.resolve().name, "", {})
    try:
        data = json.loads(read_file(path))
        return Identity(str(data["name"]), str(data.get("version", "")), {})
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise RoiAlignError(
            "runtime.json", "form", f"must be an object with name and version, got {str(path)!r} ({reason})"
        ) from error


def import_results(
    folder: Path, cases: Sequence[Case], after_each: Callable[[], None] = lambda: None
) -> tuple[Result, ...]:
    """Returns the results of outputs that a runtime wrote into an exported folder.

    Raises:
        RoiAlignError: there is no such folder, or it has no result at all.
    """
    if not os.path.isdir(folder):
        raise RoiAlignError("--import", "file", f"must be a folder that --export wrote, got {str(folder)!r}")
    if not any(any(folder.glob(f"*/*/{_DATA}/{name}")) for name in ("got_*.pb", "error.txt", "unsupported.txt")):
        raise RoiAlignError(
            "--import",
            "file",
            f"must be a folder with results, got_0.pb, error.txt or unsupported.txt beside the inputs, "
            f"got none in {str(folder)!r}",
        )
    results = []
    for case in cases:
        results.append(_import_result(folder / folder_name(case) / _DATA, case))
        after_each()
    return tuple(results)


def _import_result(data: Path, case: Case) -> Result:
    for name, judge in (("unsupported.txt", _unsupported), ("error.txt", judge_error)):
        if (data / name).exists():
            return judge(case, " ".join(read_file(data / name).decode(errors="replace").split()))
    if not (data / "got_0.pb").exists():
        return Result(case.id, Status.FAIL, "no result: neither got_0.pb nor error.txt nor unsupported.txt")
    try:
        got = read_outputs(data, _output_names(case.model), "got")
    except Exception as error:
        return Result(
            case.id, Status.FAIL, f"got_0.pb must be a TensorProto, got {type(error).__name__}: {one_line(error)}"
        )
    return judge_outputs(case, got)


def _unsupported(case: Case, text: str) -> Result:
    return Result(case.id, Status.UNSUPPORTED, text)


def _output_names(model: onnx.ModelProto) -> list[str]:
    return [output.name for output in model.graph.output]


def _write_tensors(folder: Path, stem: str, arrays: Mapping[str, Array]) -> None:
    for index, (name, array) in enumerate(arrays.items()):
        (folder / f"{stem}_{index}.pb").write_bytes(numpy_helper.from_array(array, name).SerializeToString())


def _read_tensors(folder: Path, stem: str) -> list[tuple[str, Array]]:
    count = len(list(folder.glob(f"{stem}_*.pb")))
    tensors = [onnx.load_tensor_from_string(read_file(folder / f"{stem}_{index}.pb")) for index in range(count)]
    return [(tensor.name, numpy_helper.to_array(tensor)) for tensor in tensors]


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
