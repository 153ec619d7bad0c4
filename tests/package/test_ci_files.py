"""Tests the pre-commit hook and the GitHub action: their commands run on models, and what they say stops a commit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import exports
import pytest
import yaml
from paths import ROOT

MODELS = exports.MODELS / "torchvision_roi_align"
WRONG = MODELS / "torchscript_opset11_aligned_s2.onnx"
RIGHT = MODELS / "torchscript_opset16_aligned_s2.onnx"
NEW = MODELS / "torchscript_opset22_aligned_s2.onnx"


@pytest.fixture
def folder(tmp_path):
    """Models, and a folder with the command onnx-roialign for PATH."""
    (tmp_path / "models" / "a b").mkdir(parents=True)
    shutil.copy(WRONG, tmp_path / "models" / "a b" / "wrong.onnx")
    shutil.copy(RIGHT, tmp_path / "models" / "right.onnx")
    shutil.copy(NEW, tmp_path / "models" / "new.onnx")
    command = tmp_path / "bin" / "onnx-roialign"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m onnx_roialign "$@"\n')
    command.chmod(0o755)
    return tmp_path


def environment(folder, **more):
    return {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", **more}


# The action


def action():
    return yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def run_step(folder, **inputs):
    """Runs the step that validates as GitHub does: bash, the inputs in the environment, with the action's defaults."""
    given = {name: entry.get("default", "") for name, entry in action()["inputs"].items()} | inputs
    (step,) = (step for step in action()["runs"]["steps"] if step.get("id") == "validate")
    values = {}
    for name, expression in step["env"].items():
        values[name] = given[expression.removeprefix("${{ inputs.").removesuffix(" }}")]
    outputs = folder / "outputs"
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, GITHUB_OUTPUT=str(outputs), **values),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done, outputs.read_text() if outputs.exists() else ""


def test_the_action_writes_annotations_and_sarif(folder):
    models = "models/**/*.onnx\n\n"
    done, outputs = run_step(folder, models=models, source="torchvision:aligned=True", sarif="found.sarif")
    assert (done.returncode, done.stderr) == (1, "")
    *commands, counted = done.stdout.splitlines()
    assert counted == "3 RoiAligns in 3 models checked: 1 error, 1 warning"
    assert commands[0].startswith("::error file=models/a b/wrong.onnx,title=half-pixel-lost::/RoiAlign: ")
    assert outputs == "sarif=found.sarif\n"
    log = json.loads((folder / "found.sarif").read_text())
    uris = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in log["runs"][0]["results"]]
    assert uris == ["models/a%20b/wrong.onnx", "models/new.onnx"]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"models": "models/new.onnx"}, 1),
        ({"models": "models/new.onnx", "fail-on": "error"}, 0),
        ({"models": "models/new.onnx", "ignore": "max-mode\nno-builtin-kernel"}, 0),
        ({"models": "models/*.onnx", "ignore": "$(touch injected) no-builtin-kernel"}, 2),
        ({"models": "models/$(touch injected).onnx"}, 3),
        ({"models": "models/right.onnx; touch injected"}, 3),
        ({"models": "none*.onnx"}, 2),
        ({"models": "models/right.onnx"}, 0),
    ],
)
def test_the_action_fails_as_validate_does_and_runs_nothing_that_an_input_says(inputs, code, folder):
    done, outputs = run_step(folder, **inputs)
    assert done.returncode == code, done.stdout + done.stderr
    assert outputs == ""
    assert not list(folder.rglob("injected"))


def test_the_action_hands_each_input_over_in_the_environment():
    """An expression in a script would run what an input says."""
    steps = action()["runs"]["steps"]
    assert all("${{" not in step["run"] and step["shell"] == "bash" for step in steps)
    used = {value for step in steps for value in step["env"].values() if "inputs." in value}
    assert used == {f"${{{{ inputs.{name} }}}}" for name in action()["inputs"]}


# The hook


def hook():
    (entry,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    return entry


def test_the_hooks_command_checks_models(folder):
    command = [*hook()["entry"].split(), *hook()["args"]]
    for names, code in ((["models/a b/wrong.onnx"], 0), (["models/right.onnx", "models/new.onnx"], 0)):
        done = subprocess.run([*command, *names], cwd=folder, env=environment(folder), capture_output=True, check=False)
        assert done.returncode == code
    more = ["--source", "torchvision:aligned=True"]
    done = subprocess.run([*command, *more, "models/a b/wrong.onnx"], cwd=folder, env=environment(folder), check=False)
    assert done.returncode == 1


@pytest.mark.long
def test_pre_commit_installs_and_runs_the_hook(folder):
    """With the real pre-commit, from a copy of this checkout, installed without the compiled kernel."""
    source, target = folder / "source", folder / "target"
    ignored = shutil.ignore_patterns(".git", ".venv*", "build", "tests", "__pycache__", "envs", "*.webp", "*.png")
    shutil.copytree(ROOT, source, ignore=ignored, symlinks=True)
    target.mkdir()
    shutil.copy(WRONG, target / "model.onnx")
    config = {"id": hook()["id"], "args": ["--source", "torchvision:aligned=True"]}
    repo = {"repo": str(source), "rev": "HEAD", "hooks": [config]}
    (target / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [repo]}))
    for place in (source, target):
        git(place, "init", "--quiet")
        git(place, "add", "--all")
        git(place, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "all")
    text = (target / ".pre-commit-config.yaml").read_text().replace("HEAD", git(source, "rev-parse", "HEAD").strip())
    (target / ".pre-commit-config.yaml").write_text(text)
    stopped = run_pre_commit(target)
    assert stopped.returncode == 1, stopped.stdout + stopped.stderr
    assert "model.onnx: /RoiAlign: half-pixel-lost: error: " in stopped.stdout
    shutil.copy(RIGHT, target / "model.onnx")
    git(target, "add", "--all")
    passed = run_pre_commit(target)
    assert (passed.returncode, "Passed" in passed.stdout) == (0, True), passed.stdout


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def run_pre_commit(folder):
    environment = {**os.environ, "PRE_COMMIT_HOME": str(folder / ".cache"), "ONNX_ROIALIGN_PURE": "1"}
    command = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
