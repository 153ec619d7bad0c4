"""Tests that all functions and commands that read a model refuse other files in the same words."""

from __future__ import annotations

import os

import onnx
import pytest
from command_line import invoke

import onnx_roialign
from models import make_model, roi_align_node
from onnx_roialign import RoiAlignError
from onnx_roialign.errors import UnreadableModelError
from onnx_roialign.graph import convert_opset, repair, validate
from onnx_roialign.onnx_model.file import parse
from onnx_roialign.onnx_model.scopes import default_opset

ORT = b"\x20\x00\x00\x00ORTM" + bytes(64)

# the content of a file -> the error
NO_MODELS = {
    "no_bytes.onnx": (b"", "model must be an ONNX model, got .* without a graph"),
    "text.onnx": (b"\xffno model", r"model must be an ONNX model, got .* that do(es)? not parse \("),
    "cut.onnx": (make_model([roi_align_node()], 16).SerializeToString()[:-3], r"got .* that do(es)? not parse"),
    "unknown_fields.onnx": (b"\xfa\x3e\x03abc", "got .* without a graph"),
    "no_graph.onnx": (onnx.ModelProto(ir_version=8).SerializeToString(), "got .* without a graph"),
    "model.ort": (ORT, r"got .* in ORT format, which only ONNX Runtime reads; .* onnx-roialign make-explicit MODEL"),
}
TEXTS = {
    "broken.onnxtxt": (b"<ir_version: 8>", "got .*onnxtxt' that does not parse"),
    "broken.textproto": (b"ir_version: x", "got .*textproto' that does not parse"),
    "broken.json": (b"{]", "got .*json' that does not parse"),
    "binary.json": (b"\xff\xfe", "got .*json' that does not parse"),
}
FUNCTIONS = {
    "validate": validate,
    "repair": lambda model: repair(model, "torchvision"),
    "convert_opset": lambda model: convert_opset(model, 16),
    "session": onnx_roialign.session,
}
COMMANDS = {
    "run": (),
    "validate": (),
    "repair": ("--source", "paddle", "-o", "{tmp}/out.onnx"),
    "convert-opset": ("--target", "16", "-o", "{tmp}/out.onnx"),
    "identify": (),
    "bench": ("--model",),
}


def written(folder, name):
    data, _ = (NO_MODELS | TEXTS)[name]
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", NO_MODELS | TEXTS)
def test_a_file_without_a_model_is_refused(name, function, tmp_path):
    with pytest.raises(UnreadableModelError, match=(NO_MODELS | TEXTS)[name][1]) as caught:
        FUNCTIONS[function](written(tmp_path, name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", NO_MODELS)
def test_bytes_without_a_model_are_refused(name, function):
    data, message = NO_MODELS[name]
    with pytest.raises(UnreadableModelError, match=message):
        FUNCTIONS[function](data)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{tmp}/none.onnx", "model must be a file, got '.*none.onnx', which does not exist"),
        ("{tmp}", "model must be a file, got '.*', which is a folder"),
        (os.devnull, "model must be a file, got '.*', which is no file"),
        ("", "model must be a file, got '', which does not exist"),
        ("a\0b", "model must be a file, got '.*', which does not exist"),
    ],
)
def test_a_path_that_is_not_a_file_is_refused(path, message, function, tmp_path):
    with pytest.raises(UnreadableModelError, match=message):
        FUNCTIONS[function](path.replace("{tmp}", str(tmp_path)))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("given", [3, None, b"x".hex, bytearray(b"abc"), onnx.GraphProto()])
def test_an_argument_of_another_type_is_refused(given, function):
    with pytest.raises(RoiAlignError, match="model must be a path, bytes or a ModelProto, got "):
        FUNCTIONS[function](given)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_proto_without_a_graph_is_refused(function):
    with pytest.raises(UnreadableModelError, match=r"model must be an ONNX model, got .* without a graph"):
        FUNCTIONS[function](onnx.ModelProto(ir_version=8))


@pytest.mark.parametrize("ending", [".onnx", ".textproto", ".json", ".onnxtxt", ".dat"])
def test_every_format_that_onnx_writes_is_read(ending, tmp_path):
    model = make_model([roi_align_node()], 16)
    onnx.save(model, tmp_path / f"model{ending}")
    assert [node.op_type for node in parse(tmp_path / f"model{ending}").graph.node] == ["RoiAlign"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["none.onnx", "text.onnx", "model.ort", "broken.json"])
def test_a_command_exits_with_3_if_its_model_is_unreadable(name, command, tmp_path):
    path = tmp_path / name if name == "none.onnx" else written(tmp_path, name)
    more = [argument.replace("{tmp}", str(tmp_path)) for argument in COMMANDS[command]]
    result = invoke(command, *((*more, path) if command == "bench" else (path, *more)))
    assert result.exit_code == 3, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("onnx-roialign: model must be ")
    assert result.stderr.count("\n") == 1


def imports(*pairs):
    return [onnx.helper.make_opsetid(domain, version) for domain, version in pairs]


@pytest.mark.parametrize(
    ("given", "opset"),
    [
        ((), None),
        ((("ai.onnx.ml", 3),), None),
        ((("", 11),), 11),
        ((("ai.onnx", 16),), 16),
        ((("ai.onnx.ml", 3), ("ai.onnx", 16), ("", 16)), 16),
    ],
)
def test_the_opset_is_read_by_both_names_of_onnx_s_own_domain(given, opset):
    assert default_opset(imports(*given)) == opset


@pytest.mark.parametrize("domains", [("", ""), ("", "ai.onnx"), ("ai.onnx", "")])
@pytest.mark.parametrize("versions", [(11, 16), (16, 11), (16, 22)])
def test_two_versions_of_onnx_s_own_operators_are_refused(domains, versions):
    with pytest.raises(
        RoiAlignError, match=f"one version of ONNX's own operators .* got {versions[0]} and {versions[1]}:"
    ):
        default_opset(imports(*zip(domains, versions, strict=True)))


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"bench"}))
def test_a_command_exits_with_1_if_its_model_is_broken(command, tmp_path):
    broken = make_model([roi_align_node("X", "nowhere", "batch_indices", "Y")], 16)
    onnx.save(broken, tmp_path / "broken.onnx")
    more = [argument.replace("{tmp}", str(tmp_path)) for argument in COMMANDS[command]]
    result = invoke(command, tmp_path / "broken.onnx", *more)
    assert result.exit_code == 1, result.output
    assert "'nowhere', which" in result.output
    assert not (tmp_path / "out.onnx").exists()
