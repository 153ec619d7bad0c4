"""Tests the script that fits the costs of pooling: it finds the costs behind times, and has their names in C++."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest
from paths import ROOT

SCRIPT = ROOT / "kernels" / "tools" / "fit_costs.py"


@pytest.fixture(scope="module")
def fit_costs():
    spec = importlib.util.spec_from_file_location("fit_costs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fit_costs"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fit_costs"]


COSTS = {
    "kPointsPlane": 2.5,
    "point": 0.3,
    "columns_plane": 45.0,
    "swept_vector": 0.66,
    "kColumnsVectorOfBins": 4.5,
    "gathered_plane": 40.0,
    "gathered_ns": 2.64,
    "gathered_bins": 5.0,
    "kTileVectorOfChannels": 64.0,
    "tile_pixel": 0.1,
    "kTileBin": 0.2,
    "kTurnedUnit": 1.5,
}
SIZES = ((1, 4, 1, 5, 0.5), (49, 300, 90, 500, 2), (196, 900, 60, 2000, 4), (4, 30, 8, 60, 1), (25, 90, 25, 300, 1.5))


def rows(fit_costs, costs):
    for model in fit_costs.MODELS:
        for bins, points, vectors, pixels, units in SIZES:
            sizes = {"points": points, "vectors": vectors, "pixels": pixels, "units": units}
            row = {"way": model.way, "bins": bins, "lanes": 4, "tile_lanes": 8, **sizes}
            yield row | {"plane_ns": sum(costs[name] * term(row) for name, term in model.terms.items())}


def test_the_fit_finds_the_costs_behind_the_times(fit_costs):
    measured = list(rows(fit_costs, COSTS))
    fitted = fit_costs.fit(measured)
    assert fitted == pytest.approx(COSTS | {"gathered_vector": 4.0}, rel=1e-6)
    assert fit_costs.error_of(measured, fitted) == pytest.approx(0, abs=1e-6)
    assert fit_costs.error_of(measured, COSTS | {"point": 0.6, "tile_pixel": 0.2, "swept_vector": 1.32}) > 0.2


def test_no_fitted_cost_is_negative(fit_costs):
    fitted = fit_costs.fit(list(rows(fit_costs, COSTS | {"kPointsPlane": -0.5})))
    assert fitted["kPointsPlane"] == 0 < fitted["point"]


def test_its_costs_are_those_of_the_cpp(fit_costs):
    text = (ROOT / "kernels" / "plan" / "costs.h").read_text()
    fields = re.findall(r"^  double (\w+) = 0;", text, re.MULTILINE)
    assert sorted(fields) == sorted(fit_costs.VECTOR_COSTS)
    assert fit_costs.shared_costs().keys() >= set(fit_costs.SHARED)
    assert all(value > 0 for value in fit_costs.shared_costs().values())


def test_a_report_names_each_cost(fit_costs):
    measured = list(rows(fit_costs, COSTS))
    lines = fit_costs.report("neon", "float32", measured, COSTS | {"gathered_vector": 4.0}, fit_costs.fit(measured))
    assert lines[0] == "\nkernels/isa/neon.cpp, float32 (median error 0% fitted, 0% as it stands)"
    assert lines[1] == "  costs.gathered_vector = 4;  // now 4"
    assert lines[-1] == "  costs.point = 0.3;  // now 0.3"
