"""Tests the command line: what run and info print, and that a wrong argument gets one line and exit code 2."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import command_line
import exports
import numpy as np
import onnx
import pytest
from command_line import invoke

import onnx_roialign
from models import make_model, roi_align_node
from onnx_roialign.arrays import largest_difference
from onnx_roialign.engines import native
from onnx_roialign.engines.native import active_isa, available_isas
from onnx_roialign.onnx_model.inputs import check_inputs, declared_inputs, generated_inputs

MODEL = exports.MODELS / "torchvision_roi_align" / "torchscript_opset16_aligned_s2.onnx"
MODEL_22 = exports.MODELS / "torchvision_roi_align" / "torchscript_opset22_aligned_s2.onnx"
INPUTS = exports.MODELS / "torchvision_roi_align" / "io.npz"


def roi_align_model(opset=16, x_dims=("N", 3, "H", "W"), rois_dims=("K", 4)):
    node = roi_align_node(spatial_scale=0.25, output_height=2, sampling_ratio=0)
    return make_model([node], opset, shapes=(x_dims, rois_dims, ["K"]))


def test_info_names_the_library_and_the_instruction_set_that_runs():
    result = invoke("info")
    assert result.exit_code == 0
    assert re.search(rf"onnx_roialign +│ {re.escape(onnx_roialign.__version__)} ", result.stdout)
    assert onnx_roialign.library_path() in result.stdout
    assert ", ".join(available_isas()) in result.stdout
    assert re.search(rf"runs on +│ {active_isa()} ", result.stdout)
    assert re.search(r"onnxruntime +│ \d+\.\d+", result.stdout)


def test_info_prints_what_to_do_without_a_library(monkeypatch):
    def missing():
        raise onnx_roialign.NativeLibraryError("the compiled library is missing: reinstall")

    monkeypatch.setattr("onnx_roialign.cli.info.library_path", missing)
    result = invoke("info")
    assert result.exit_code == 1
    assert result.stderr == "onnx-roialign: the compiled library is missing: reinstall\n"


def test_info_prints_that_the_requested_instruction_set_does_not_exist():
    # In a new process: the library reads the variable once.
    command = [sys.executable, "-m", "onnx_roialign", "info"]
    environment = {**os.environ, "ONNX_ROIALIGN_ISA": "sse9"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert re.fullmatch(r"onnx-roialign: ONNX_ROIALIGN_ISA must be one of [a-z0-9, ]+, got 'sse9'\n", result.stderr)


@pytest.mark.parametrize("arguments", [["bench", "--dtype", "float32"]])
def test_a_command_prints_in_one_line_that_the_library_is_missing(monkeypatch, arguments):
    def missing():
        raise onnx_roialign.NativeLibraryError("the compiled library is missing: reinstall")

    monkeypatch.setattr("onnx_roialign.engines.native.library_path", missing)
    native._library.cache_clear()
    try:
        result = invoke(*arguments)
    finally:
        native._library.cache_clear()
    assert result.exit_code == 4
    assert result.stderr == "onnx-roialign: the compiled library is missing: reinstall\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", MODEL, "--inputs", "none.npz"], "--inputs must be a file, got 'none.npz'"),
        (["run", MODEL, "--inputs", MODEL], "--inputs must be a readable .npz file"),
        (["run", MODEL, "--inputs", "{tmp}/cut.npz"], "--inputs must be a readable .npz file"),
        (["run", MODEL, "--inputs", "{tmp}/array.npy"], "--inputs must be a readable .npz file"),
        (["run", MODEL, "--inputs", "{tmp}/pickled.npz"], "--inputs must be a readable .npz file"),
        (["run", MODEL, "--inputs", "{tmp}/missing.npz"], "rois must be among the inputs, got x"),
        (["run", MODEL, "--inputs", "{tmp}/shape.npz"], "rois must have shape (K, 5), got shape (4, 4)"),
        (["run", MODEL, "--inputs", "{tmp}/rank.npz"], "x must have shape (N, 4, 16, 20), got shape (4, 16, 20)"),
        (["run", MODEL, "--inputs", "{tmp}/more.npz"], "x must have shape (N, 4, 16, 20), got shape (3, 4, 16, 20, 1)"),
        (["run", MODEL, "--inputs", "{tmp}/type.npz"], "x must be float32, got float64"),
        (["run", MODEL, "--engine", "cuda"], "--engine must be one of native, reference, builtin, got 'cuda'"),
        (["run", MODEL, "--repeat", "0"], "--repeat must be in [1, 10000], got 0"),
        (["run", MODEL, "--repeat", "99999999999"], "--repeat must be in [1, 10000], got 99999999999"),
        (["run", MODEL, "--repeat", "x"], "--repeat"),
        (["run", MODEL, "--nonsense"], "--nonsense"),
        (["run"], "MODEL"),
        (["nonsense"], "'nonsense'"),
        (["demo", "--output", MODEL], "--output must be a folder, got"),
        (["demo", "--output", MODEL / "below"], "--output must be a folder to write to, got"),
    ],
)
def test_a_wrong_argument_gets_one_line_on_stderr_and_exit_code_2(arguments, message, tmp_path):
    write_wrong_files(tmp_path)
    result = invoke(*(str(argument).replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("onnx-roialign: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")


def write_wrong_files(folder):
    with np.load(INPUTS) as arrays:
        x, rois = arrays["x"], arrays["rois"]
    (folder / "cut.npz").write_bytes(INPUTS.read_bytes()[:5000])
    np.save(folder / "array.npy", x)
    np.savez(folder / "pickled.npz", x=x, rois=np.array([{}, None], dtype=object))
    np.savez(folder / "missing.npz", x=x)
    np.savez(folder / "shape.npz", x=x, rois=rois[:, 1:])
    np.savez(folder / "rank.npz", x=x[0], rois=rois)
    np.savez(folder / "more.npz", x=x[..., None], rois=rois)
    np.savez(folder / "type.npz", x=x.astype(np.float64), rois=rois)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_both_flags_of_help(flag):
    for command in command_line.commands():
        result = invoke(*command.split(), flag)
        assert (result.exit_code, result.stderr) == (0, ""), command
        assert "Usage:" in result.stdout
    assert all(f"{command.split()[0]} " in invoke(flag).stdout for command in command_line.commands() if command)


def test_without_arguments_it_prints_the_help_and_the_exit_code_of_a_wrong_argument():
    result = invoke()
    assert (result.exit_code, result.stderr) == (2, "")
    assert result.stdout.strip() == invoke("--help").stdout.strip()
    assert "Exit codes: 0 success, 1 " in " ".join(result.stdout.replace("│", " ").split())


def test_it_prints_its_version():
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"onnx-roialign {onnx_roialign.__version__}\n")
    command = [sys.executable, "-m", "onnx_roialign", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == result.stdout


def test_the_installed_command_prints_a_wrong_argument_without_a_traceback():
    code = "import sys; sys.argv = ['onnx-roialign', 'run', 'none.onnx']; from onnx_roialign.cli.main import app; app()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == "onnx-roialign: model must be a file, got 'none.onnx', which does not exist\n"


def test_importing_the_command_line_does_not_import_matplotlib():
    code = "import sys, onnx_roialign.cli.main; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_generated_inputs_are_reproducible_and_fit_the_model():
    first, second = generated_inputs(roi_align_model()), generated_inputs(roi_align_model())
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert check_inputs(declared_inputs(roi_align_model()), first).keys() == {"X", "rois", "batch_indices"}


def test_generated_rois_are_boxes_inside_the_image_of_the_first_map():
    made = generated_inputs(roi_align_model(x_dims=(1, 3, 20, 30), rois_dims=(50, None)))
    x1, y1, x2, y2 = made["rois"].T
    assert made["rois"].shape == (50, 4)
    assert made["X"].shape == (1, 3, 20, 30)
    assert np.all((x1 >= 0) & (x1 < x2) & (x2 <= 30 / 0.25))
    assert np.all((y1 >= 0) & (y1 < y2) & (y2 <= 20 / 0.25))
    assert not made["batch_indices"].any()


def test_dimensions_of_the_same_name_get_the_same_size():
    made = generated_inputs(roi_align_model())
    assert made["rois"].shape[0] == made["batch_indices"].shape[0]


def test_an_input_that_is_not_a_tensor_of_numbers_is_refused_by_name():
    model = roi_align_model()
    model.graph.input.append(onnx.helper.make_tensor_value_info("text", onnx.TensorProto.STRING, [1]))
    with pytest.raises(onnx_roialign.RoiAlignError, match="text must be a tensor of numbers"):
        generated_inputs(model)


@pytest.mark.parametrize("name", exports.names())
def test_generated_inputs_fit_every_export(name):
    model = onnx.load_from_string(exports.load(name).model)
    declared = declared_inputs(model)
    assert check_inputs(declared, generated_inputs(model)).keys() == {value.name for value in declared}


def test_the_largest_difference_counts_equal_nans_and_infinities_as_equal():
    assert largest_difference(np.float32([np.nan, np.inf, 1]), np.float32([np.nan, np.inf, 1.5])) == 0.5
    assert largest_difference(np.float32([np.nan]), np.float32([0])) == np.inf
    assert largest_difference(np.float32([np.inf]), np.float32([-np.inf])) == np.inf
    assert largest_difference(np.zeros((0, 4)), np.zeros((0, 4))) == 0
    assert largest_difference(np.zeros(2), np.zeros(3)) == np.inf
