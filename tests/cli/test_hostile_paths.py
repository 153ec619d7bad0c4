"""Every path that a command takes, given as what it should not be: one line, no traceback, no wait, no lost input."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import exports
import pytest
import typer
from command_line import invoke
from conformance_runs import PLANTED, run_planted, three_cases

from onnx_roialign.cli import conform
from onnx_roialign.cli.conform_reports import compare
from onnx_roialign.cli.main import app
from onnx_roialign.conformance import layout
from onnx_roialign.conformance.reports import document as documents

MODELS = exports.MODELS / "torchvision_roi_align"

# The arguments of each command, with every path that it takes below {}. An attacked path is refused before the work, so
# that none of them takes long; what is written at the end of the work is attacked in test_files.py.
COMMANDS = {
    "run": "run {}/model.onnx --inputs {}/io.npz --engine native --repeat 1",
    "demo": "demo --output {}/out/",
    "bench": "bench -o {}/new.json --plot {}/new.png",
    "bench model": "bench --model {}/model.onnx --inputs {}/io.npz -o {}/new.json --repeat 1",
    "validate": "validate {}/model.onnx --inputs {}/io.npz",
    "repair": "repair {}/model.onnx --source torchvision:aligned=True -o {}/new.onnx",
    "convert-opset": "convert-opset {}/model.onnx --target 22 -o {}/new.onnx",
    "make-explicit": "make-explicit {}/model.onnx -o {}/new.onnx",
    "optimize": "optimize {}/model.onnx -o {}/new.onnx",
    "unfuse": "unfuse {}/model.onnx -o {}/new.onnx",
    "deploy": "deploy {}/model.onnx --triton {}/out/",
    "identify": "identify {}/model.onnx --engine native",
    "explain": "explain --roi 0,0,9,9 --feature 9x9 --scale 1 -o {}/new.png",
    "conform": f"conform --backend {PLANTED}:Right --known {{}}/known.json --cases {{}}/cases/ --junit {{}}/new.xml "
    "--markdown {}/new.md --html {}/new.html",
    "conform export": "conform --cases {}/cases/ --export {}/out/",
    "conform import": "conform --cases {}/cases/ --import {}/imported/",
    "conform compare": "conform compare {}/a.json {}/b.json --html {}/new.html",
    "conform report": "conform report {}/a.json {}/b.json --junit {}/new.xml --markdown {}/new.md --html {}/new.html",
    "fuzz": "fuzz --backend native --seconds 1 -o {}/out/",
}
# What these write is written after minutes.
SLOW = ("bench", "bench model")


def paths_of(command):
    """Of a command's words, the places of those that are paths."""
    return [place for place, word in enumerate(COMMANDS[command].split()) if word.startswith("{}")]


def attacks():
    for command in COMMANDS:
        words = COMMANDS[command].split()
        for place in paths_of(command):
            is_folder, is_new = words[place].endswith("/"), "/new." in words[place]
            for kind in ("pipe", "folder", "below", "long", "proc"):
                if not (kind == "folder" and is_folder) and not (kind == "pipe" and is_new and command in SLOW):
                    yield pytest.param(command, place, kind, id=f"{command} {words[place][3:]} {kind}")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copy(MODELS / "torchscript_opset16_aligned_s2.onnx", folder / "model.onnx")
    shutil.copy(MODELS / "io.npz", folder / "io.npz")
    (folder / "known.json").write_text(json.dumps({"deviations": []}))
    layout.export_cases("--export", folder / "cases", three_cases())
    shutil.copytree(folder / "cases", folder / "imported")
    for data in (folder / "imported").rglob("test_data_set_0"):
        shutil.copy(data / "output_0.pb", data / "got_0.pb")
    documents.write(documents.document(three_cases(), [run_planted("Right")]), folder / "a.json")
    (folder / "b.json").write_text((folder / "a.json").read_text().replace("1.2.3", "1.2.4"))
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "here")
    return tmp_path / "here"


def hostile(folder, kind, suffix):
    path = folder / f"{kind}{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "below":
        path = folder / "model.onnx" / f"below{suffix}"
    elif kind == "long":
        path = folder / f"{'n' * 300}{suffix}"
    elif kind == "proc":
        path = Path(f"/proc/onnx_roialign{suffix}")  # neither there nor to be made, not even by root
    return path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_one_line(result):
    return result.stderr.startswith("onnx-roialign: ") and result.stderr.index("\n") == len(result.stderr) - 1


@pytest.mark.parametrize(("command", "place", "kind"), list(attacks()))
def test_a_path_that_is_none_gets_one_line(command, place, kind, folder):
    words = COMMANDS[command].replace("{}", str(folder)).split()
    words[place] = str(hostile(folder, kind, Path(words[place]).suffix))
    before = content(folder)
    result = invoke(*words)
    assert result.exit_code in (1, 2, 3), result.output
    assert is_one_line(result), result.stderr
    assert os.path.basename(words[place])[:40] in result.stderr
    assert result.stdout == ""
    after = content(folder)
    assert before.items() <= after.items()
    assert all(path.name.startswith("new.") for path in after.keys() - before.keys())  # the reports written before


def overwrites():
    for command in COMMANDS:
        words = COMMANDS[command].split()
        for place in paths_of(command):
            for other in paths_of(command):
                if "/new." in words[place] and place != other and not words[other].endswith("/"):
                    yield pytest.param(command, place, other, id=f"{command}: {words[place][3:]} is {words[other][3:]}")


@pytest.mark.parametrize(("command", "place", "other"), list(overwrites()))
def test_an_output_is_no_other_file_of_the_command(command, place, other, folder):
    words = COMMANDS[command].replace("{}", str(folder)).split()
    words[place] = os.path.relpath(words[other])  # the same file by another name
    before = content(folder)
    result = invoke(*words)
    assert result.exit_code == 2, result.output
    assert is_one_line(result), result.stderr
    assert " must be another file than " in result.stderr
    assert content(folder) == before


def test_the_data_of_a_model_is_not_written_over(folder):
    import numpy as np
    import onnx

    model = onnx.load(folder / "model.onnx")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1000, np.float32), "big"))
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, size_threshold=0, location="weights")
    result = invoke("make-explicit", folder / "model.onnx", "-o", folder / "weights")
    assert result.exit_code == 2
    assert "--output must be another file than its data 'weights', got " in result.stderr
    assert (folder / "weights").stat().st_size >= 4000


@pytest.mark.parametrize("command", ["make-explicit", "repair", "convert-opset", "optimize", "unfuse"])
def test_a_model_can_be_written_into_a_device(command, folder):
    words = COMMANDS[command].replace("{}/new.onnx", os.devnull).replace("{}", str(folder)).split()
    result = invoke(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    assert os.path.exists(os.devnull)


def test_the_attacks_are_on_every_path_of_every_command():
    """Derived from the commands themselves, so that a new path cannot be forgotten."""
    callbacks = {info.name or info.callback.__name__: info.callback for info in app.registered_commands}
    callbacks |= {"conform": conform.conform, "conform compare": compare}
    missing = []
    for command, callback in callbacks.items():
        text = " ".join(line for line in COMMANDS.values() if line.startswith(f"{command} "))
        for name, hint in get_type_hints(callback, include_extras=True).items():
            kind, *told = get_args(hint) if get_origin(hint) is Annotated else (hint,)
            if Path in (kind, *get_args(kind)):
                given = (told[0].default, *(told[0].param_decls or ()))  # typer takes the first for a default
                options = [one for one in given if isinstance(one, str)] or [f"--{name.replace('_', '-')}"]
                is_argument = isinstance(told[0], typer.models.ArgumentInfo)
                words = [f"{command} {{}}"] if is_argument else [f" {option} {{}}" for option in options]
                if not any(word in text for word in words):
                    missing.append((command, name))
    assert missing == []
    assert len(callbacks) > 12
