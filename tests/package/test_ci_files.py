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
    put_on_path(tmp_path, f'exec {sys.executable} -m onnx_roialign "$@"')
    return tmp_path


def put_on_path(folder, script):
    command = folder / "bin" / "onnx-roialign"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"#!/bin/bash\n{script}\n")
    command.chmod(0o755)


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
    ("inputs", "words"),
    [
        ({"models": "models/new.onnx"}, "--fail-on warning --format github -- models/new.onnx"),
        ({"models": "models/n*.onnx", "fail-on": "error"}, "--fail-on error --format github -- models/new.onnx"),
        (
            {"models": "models/new.onnx", "ignore": "max-mode\nno-builtin-kernel  border"},
            "--fail-on warning --ignore max-mode --ignore no-builtin-kernel --ignore border --format github -- "
            "models/new.onnx",
        ),
        (
            {"models": "models/*.onnx\nmodels/a b/*", "source": "paddle:aligned=True"},
            "--fail-on warning --source paddle:aligned=True --format github -- models/new.onnx models/right.onnx "
            "models/a b/wrong.onnx",
        ),
        (
            {"models": "$(touch injected); touch injected"},
            "--fail-on warning --format github -- $(touch injected); touch injected",
        ),
        (
            {"models": "-x", "ignore": "$(touch injected)", "source": "`touch injected`"},
            "--fail-on warning --source `touch injected` --ignore $(touch --ignore injected) --format github -- -x",
        ),
    ],
)
@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_action_calls_validate_and_ends_as_it_does(inputs, words, code, folder):
    """No input is run as a command or read as an option."""
    put_on_path(folder, f'printf "%s|" "$@"; exit {code}')
    done, outputs = run_step(folder, **inputs)
    assert (done.returncode, done.stderr, outputs) == (code, "", "")
    assert done.stdout.replace("|", " ") == f"validate {words} "
    assert ("models/a b/wrong.onnx|" in done.stdout) == ("a b" in words)
    assert not list(folder.rglob("injected"))


def test_the_action_refuses_a_pattern_that_matches_nothing(folder):
    done, _ = run_step(folder, models="models/right.onnx\nnone*.onnx")
    assert (done.returncode, done.stdout) == (2, "::error title=no models::no file matches none*.onnx\n")


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
    """The arguments of a user replace the hook's own."""
    assert hook()["args"] == ["--fail-on", "error"]
    for arguments, names, code in (
        (hook()["args"], ["models/new.onnx"], 0),
        (["--source", "torchvision:aligned=True"], ["models/a b/wrong.onnx", "models/right.onnx"], 1),
    ):
        command = [*hook()["entry"].split(), *arguments, *names]
        done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, check=False)
        assert done.returncode == code


@pytest.mark.long
def test_the_action_installs_its_own_version(folder):
    """In an environment of its own, from a copy of this checkout, without a compiler."""
    source = copied(folder)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (step,) = (step for step in action()["runs"]["steps"] if step["name"] == "Install")
    values = {name: "" if "inputs." in value else value for name, value in step["env"].items()}
    given = {"GITHUB_ACTION_PATH": source, "GITHUB_PATH": folder / "paths", "RUNNER_TEMP": folder / "temporary"}
    surroundings = environment(folder, **values, **{name: str(path) for name, path in given.items()})
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    subprocess.run(command, env=surroundings, cwd=folder, check=True, timeout=280)
    (path,) = (folder / "paths").read_text().splitlines()
    done = subprocess.run(
        [Path(path) / "onnx-roialign", "validate", "models/right.onnx"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("1 RoiAlign in 1 model checked: nothing is wrong")


def copied(folder: Path) -> Path:
    """Returns a copy of what an installation of this checkout needs."""
    ignored = shutil.ignore_patterns(".git", ".venv*", "build", "tests", "__pycache__", "envs", "*.webp", "*.png")
    return Path(shutil.copytree(ROOT, folder / "source", ignore=ignored, symlinks=True))


@pytest.mark.long
def test_pre_commit_installs_and_runs_the_hook(folder):
    """With the real pre-commit, from a copy of this checkout, installed without the compiled kernel."""
    source, target = copied(folder), folder / "target"
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
