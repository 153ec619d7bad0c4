"""Tests defective models: only RoiAlignError is raised, and our session loads each model without an error."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnx
import pooler_exports
import pytest
from mutations import BYTE_DAMAGES, PROTO_DAMAGES, mutants, nodes_of

from onnx_roialign import RoiAlignError
from onnx_roialign.errors import ModelError
from onnx_roialign.graph import convert_opset, fuse, known_to_onnx, make_explicit, repair, unfuse, validate
from onnx_roialign.identification.node import find_node
from onnx_roialign.onnx_model.file import parse
from onnx_roialign.onnx_model.scopes import has_external_data
from onnx_roialign.onnx_model.soundness import sound

SOURCES = ("torchvision:aligned=True", "paddle", "mindspore", "onnx:16")
TARGETS = (10, 11, 16, 18, 22)
CHUNK, CHUNKS = 100, 20
SHORT = 3  # chunks that every run tries

# The text of the last guard, for errors that nobody foresaw: no mutant may reach it.
UNFORESEEN = "model must be one that can be"


def calls(seed):
    return {
        "validate": validate,
        "validate with a source": lambda model: validate(model, SOURCES[seed % len(SOURCES)]),
        "repair": lambda model: repair(model, SOURCES[seed % len(SOURCES)]),
        "convert_opset": lambda model: convert_opset(model, TARGETS[seed % len(TARGETS)], private_op=seed % 2 == 0),
        "make_explicit": make_explicit,
        "fuse": fuse,
        "unfuse": unfuse,
        "identify": lambda model: find_node(sound(model), None, Path("model.onnx")),
    }


def as_bytes(model):
    return model if isinstance(model, bytes) else model.SerializeToString()


def is_refused(finding):
    return finding.severity == "error" or finding.code == "opset-too-new"


def can_be_run(model):
    """Whether it lacks nothing that `validate` cannot know of.

    That is operators that are neither ONNX's nor ours nor the model's, which only their owner can run, and files beside
    a model that is given without a path.
    """
    proto = parse(model)
    known = {(function.domain, function.name) for function in proto.functions}
    return not has_external_data(proto) and all(
        node.domain in ("", "ai.onnx", "onnx_roialign") or (node.domain, node.op_type) in known
        for node in nodes_of(proto)
    )


def has_fixed_rows(fused):
    """Whether `fuse` says that the old part returned as many rows for any number of boxes: then results differ."""
    return any("rows for any number of boxes" in part.text for part in fused.report)


def chunks():
    return [pytest.param(i, marks=() if i < SHORT else pytest.mark.long) for i in range(CHUNKS)]


@pytest.mark.parametrize("chunk", chunks())
def test_a_damaged_model_raises_only_our_errors(chunk):
    right, rewritten = {}, {}
    outcomes = Counter()
    for seed, model in mutants(range(chunk * CHUNK, (chunk + 1) * CHUNK)):
        for name, call in calls(seed).items():
            before = model if isinstance(model, bytes) else None
            try:
                result = call(model)
            except RoiAlignError as error:
                if "\n" in str(error) or UNFORESEEN in str(error):
                    pytest.fail(f"seed {seed}: {name}: {error}")
                outcomes[name, "refused"] += 1
            except Exception as error:
                pytest.fail(f"seed {seed}: {name} raised {type(error).__name__}: {error}")
            else:
                outcomes[name, "done"] += 1
                made = result.model if name == "fuse" else result
                if isinstance(made, onnx.ModelProto) and is_accepted(parse(model)):
                    assert is_accepted(made), (seed, name)
                if (
                    name in ("fuse", "unfuse")
                    and made != parse(model)
                    and not (name == "fuse" and has_fixed_rows(result))
                ):
                    rewritten[seed, name] = as_bytes(model), as_bytes(made)
                if name == "validate" and not any(is_refused(one) for one in result) and can_be_run(model):
                    right[seed] = as_bytes(model)
            assert before is None or before == model
    assert outcomes["validate", "done"] > CHUNK / 3  # most are read, and their error is found
    assert outcomes["repair", "done"] > CHUNK / 20
    assert outcomes["convert_opset", "done"] > CHUNK / 20
    assert min(outcomes["fuse", "done"], outcomes["unfuse", "done"]) > CHUNK / 20
    assert refused_by_our_session(right) == {}
    assert wrong_after_rewriting(rewritten) == {}


def is_accepted(model):
    """Whether onnx's checker has nothing against the model."""
    try:
        with known_to_onnx():
            onnx.checker.check_model(model)
    except Exception:
        return False
    return True


LOAD = """
import pickle, sys
import onnxruntime, onnx_roialign
onnxruntime.set_default_logger_severity(4)
for seed, model in pickle.load(sys.stdin.buffer).items():
    print("begins", seed, flush=True)
    try:
        onnx_roialign.session(model)
        onnx_roialign.session(model, optimize=True)
    except Exception as error:
        print("refused", seed, " ".join(str(error).split())[:300], flush=True)
"""

COMPARE = """
import pickle, sys
import onnx, onnxruntime, onnx_roialign
from onnx_roialign.arrays import largest_difference, largest_finite
from onnx_roialign.onnx_model.inputs import generated_inputs
onnxruntime.set_default_logger_severity(4)
for (seed, name), (before, after) in pickle.load(sys.stdin.buffer).items():
    print("begins", seed, name, flush=True)
    try:
        feeds = generated_inputs(onnx.load_model_from_string(before))
        wanted = onnx_roialign.session(before).run(None, feeds)
    except Exception:  # damaged
        continue
    print("runs", seed, name, flush=True)
    try:
        got = onnx_roialign.session(after).run(None, feeds)
        apart = max(largest_difference(a, b) / max(largest_finite(b), 1.0) for a, b in zip(got, wanted, strict=True))
        if apart > 1e-5:
            print("refused", seed, name, "differs by", apart, flush=True)
    except Exception as error:
        print("refused", seed, name, " ".join(str(error).split())[:300], flush=True)
"""


def refused_by_our_session(models):
    """The errors of our session for models by seed."""
    return refused_in(LOAD, models)


def wrong_after_rewriting(models):
    """The errors and differences for pairs of a model that runs and its rewritten version."""
    return refused_in(COMPARE, models)


def refused_in(program, given):
    """The errors that a program reports in a new process: a model that does not load may crash it."""
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(given), capture_output=True, timeout=200, check=False
    )
    lines = done.stdout.decode().splitlines()
    refused = {line.split()[1]: line for line in lines if line.startswith("refused")}
    if done.returncode:
        refused["crash"] = f"{done.returncode} after {lines[-1] if lines else 'nothing'}: {done.stderr[-300:]}"
    return refused


def test_a_refused_session_is_detected():
    assert "5" in refused_by_our_session({5: b"no model"})


def test_a_wrong_rewrite_would_be_seen():
    pooler = pooler_exports.load("mmdeploy_3levels_ts11")
    broken, fused = fuse(pooler).model, fuse(pooler).model
    for attribute in next(node for node in broken.graph.node if node.op_type == "MultiScaleRoiAlign").attribute:
        if attribute.name == "spatial_scales":
            attribute.floats[0] *= 2
    pairs = {(1, "fuse"): (pooler, broken), (2, "fuse"): (pooler, fused), (3, "fuse"): (pooler, pooler.graph)}
    wrong = wrong_after_rewriting({key: tuple(one.SerializeToString() for one in pair) for key, pair in pairs.items()})
    assert "differs by" in wrong.pop("1")
    assert set(wrong) == {"3"}


def test_there_are_20_kinds_of_damage_and_each_changes_a_model():
    import random

    from mutations import bases, copied

    assert len(PROTO_DAMAGES) + len(BYTE_DAMAGES) >= 20
    for damage in PROTO_DAMAGES:
        changed = 0
        for seed, base in enumerate(bases()):
            model = copied(base)
            damage(random.Random(seed), model)
            changed += model != base
        assert changed > len(bases()) / 20, damage.__name__


def test_the_last_guard_is_not_used_for_a_model_without_a_defect(monkeypatch):
    def unforeseen(model):
        raise IndexError("list index out of range")

    monkeypatch.setattr(sys.modules["onnx_roialign.graph.findings.validation"], "resolved", unforeseen)
    text = "model must be one that can be read, got IndexError: list index out of range"
    with pytest.raises(ModelError, match=text):
        validate(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])))
