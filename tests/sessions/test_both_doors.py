"""Every model of the tests returns the same bits through both doors: exports, poolers, whole detectors, bodies."""

from __future__ import annotations

import exports
import numpy as np
import pooler_exports
import pytest
from calls import FEEDS
from graph_models import BODIES
from nested_models import NESTED, first_opset
from paths import ROOT
from quiet import DOORS, quiet_session

import onnx_roialign

MODELS = ROOT / "models"
DETECTORS = tuple(path.relative_to(MODELS).as_posix() for path in sorted((MODELS / "shapes").glob("*.onnx")))

pytestmark = pytest.mark.skipif("provider" not in DOORS, reason="this onnxruntime takes no provider from outside")


def who_pools(session):
    """The names of the RoiAligns, of the graph and of the bodies in it, and the providers that run them."""
    nodes = [
        (node.name, part.ep_name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
        if node.op_type == "RoiAlign"
    ]
    return sorted(name for name, _ in nodes), {provider for _, provider in nodes}


def assert_same_bits(model, *feeds):
    """Runs the model on each of the feeds through both doors, each of which runs every RoiAlign."""
    by_provider, by_custom_op = (quiet_session(model, door) for door in ("provider", "custom_op"))
    (names, ours), (want, cpu) = who_pools(by_provider), who_pools(by_custom_op)
    assert (names, bool(ours), bool(cpu)) == (want, bool(want), bool(want))
    assert ours <= {onnx_roialign.ep_name()}
    assert cpu <= {"CPUExecutionProvider"}
    got, wanted = ([outcome(session, one) for one in feeds] for session in (by_provider, by_custom_op))
    assert got == wanted
    assert any(isinstance(one, list) for one in got)


def outcome(session, feeds):
    """The outputs as bytes, or that there are none: some forms take few numbers of boxes."""
    try:
        return [(output.dtype, output.shape, output.tobytes()) for output in session.run(None, feeds)]
    except Exception:  # onnxruntime's own classes, which share no other base
        return "refused"


@pytest.mark.parametrize("name", [*exports.small_names(), *exports.large_names()])
def test_exports(name):
    export = exports.load(name)
    assert_same_bits(export.model, export.feeds())


@pytest.mark.parametrize("name", DETECTORS)
def test_the_detector_of_the_demo(name):
    assert_same_bits(MODELS / name, {"image": np.random.default_rng(3).random((3, 160, 192), dtype=np.float32)})


def test_no_model_of_the_repository_is_left_out():
    here = {path.relative_to(MODELS).as_posix() for path in MODELS.rglob("*.onnx")}
    assert {*DETECTORS} < here <= {*DETECTORS, *exports.small_names(), *exports.large_names()}


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in exports.names() if name.startswith("skeletons/")])
def test_detectors_at_real_size(name):
    export = exports.load(name)
    assert_same_bits(exports.filled(export.model), export.feeds())


@pytest.mark.parametrize("name", pooler_exports.names())
def test_exported_poolers_and_mask_pasting(name):
    assert_same_bits(pooler_exports.load(name), *(feeds for feeds, _ in pooler_exports.cases(name)))


@pytest.mark.parametrize("name", pooler_exports.form_names())
def test_forms_of_poolers_and_mask_pasting(name):
    model = pooler_exports.form(name)
    assert_same_bits(model, *(pooler_exports.drawn(model, count) for count in (0, 1, 11)))


@pytest.mark.parametrize("name", NESTED)
def test_nested_bodies(name):
    for opset in {max(first_opset(name), 11), max(first_opset(name), 16), 22}:
        # Where which is False, this Loop has no turn of which a first could be taken.
        wanted = (True,) if name == "If in a Loop" else (True, False)
        assert_same_bits(NESTED[name](opset), *({**FEEDS, "which": np.array(which)} for which in wanted))


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("opset", [11, 16, 22])
def test_bodies(opset, name):
    feeds = [{**FEEDS, "which": np.array(which)} for which in (True, False)] if name == "if" else [FEEDS]
    assert_same_bits(BODIES[name](opset), *feeds)
