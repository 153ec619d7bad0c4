"""Measures and fits the costs by which the kernels choose a way of pooling, and prints the lines to paste.

    python kernels/tools/fit_costs.py [--quick]

Builds `measure_costs` (which needs a C++ compiler, CMake and Ninja, and takes minutes the first time), runs it, and
fits the model of kernels/plan/costs.h to what each way took, by least squares of relative errors. The rows of
VectorCosts belong in kernels/isa/NAME.cpp, the constants that all instruction sets share in kernels/plan/costs.h.
Costs need not be exact: a choice matters only where two ways take very different times. So change a cost where the
fit on a quiet machine differs by more than a third, and expect results to change in their last bits then. Only an
aarch64 machine can measure NEON's costs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "costs"

Row = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """One way's cost of a plane as a sum of coefficients, each times a feature of the call."""

    way: str
    terms: dict[str, Callable[[Row], float]]

    def fit(self, rows: list[Row]) -> dict[str, float]:
        """Returns the coefficients that make the sum of squared relative errors least, none of them negative."""
        names = list(self.terms)
        times = np.array([row["plane_ns"] for row in rows])
        features = np.array([[self.terms[name](row) for name in names] for row in rows])
        while names:
            solution = np.linalg.lstsq(features / times[:, None], np.ones(len(times)), rcond=None)[0]
            if (solution >= 0).all():
                return dict.fromkeys(self.terms, 0.0) | dict(zip(names, solution.tolist(), strict=True))
            worst = int(np.argmin(solution))
            del names[worst]
            features = np.delete(features, worst, axis=1)
        return dict.fromkeys(self.terms, 0.0)


MODELS = (
    Model("points", {"kPointsPlane": lambda row: 1.0, "point": lambda row: row["points"]}),
    Model(
        "columns",
        {
            "columns_plane": lambda row: 1.0,
            "swept_vector": lambda row: row["vectors"],
            "kColumnsVectorOfBins": lambda row: row["bins"] / row["lanes"],
        },
    ),
    Model(
        "gathered",
        {
            "gathered_plane": lambda row: 1.0,
            "gathered_ns": lambda row: row["vectors"],
            "gathered_bins": lambda row: row["bins"] / row["lanes"],
        },
    ),
    Model(
        "tile",
        {
            "kTileVectorOfChannels": lambda row: 1.0 / row["tile_lanes"],
            "tile_pixel": lambda row: row["pixels"],
            "kTileBin": lambda row: row["bins"],
            "kTurnedUnit": lambda row: row["units"],
        },
    ),
)
VECTOR_COSTS = ("gathered_vector", "columns_plane", "swept_vector", "tile_pixel", "point")
SHARED = ("kPointsPlane", "kColumnsVectorOfBins", "kTileVectorOfChannels", "kTileBin", "kTurnedUnit")


def build() -> Path:
    """Builds measure_costs in build/costs and returns its path."""
    configure = ["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    for command in (configure, ["cmake", "--build", BUILD, "--target", "measure_costs"]):
        subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)
    return BUILD / "kernels" / "measure_costs"


def measure(program: Path, quick: bool) -> list[Row]:
    """Runs measure_costs and returns what it prints, one row a line."""
    milliseconds, shapes = ("2", "9") if quick else ("20", "99")
    done = subprocess.run([str(program), milliseconds, shapes], check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def fit(rows: list[Row]) -> dict[str, float]:
    """Fits the costs of one instruction set and type."""
    costs: dict[str, float] = {}
    for model in MODELS:
        ways = [row for row in rows if row["way"] == model.way]
        if len(ways) > len(model.terms):
            costs |= model.fit(ways)
    if "gathered_ns" in costs and costs.get("swept_vector"):
        costs["gathered_vector"] = costs["gathered_ns"] / costs["swept_vector"]
    return costs


def error_of(rows: list[Row], costs: dict[str, float]) -> float:
    """Returns the median relative error with which the costs give the measured times of all ways but gathering."""
    errors: list[float] = []
    for model in MODELS:
        for row in rows:
            if row["way"] == model.way != "gathered" and model.terms.keys() <= costs.keys():
                cost = sum(costs[name] * feature(row) for name, feature in model.terms.items())
                errors.append(abs(cost / row["plane_ns"] - 1))
    return float(median(errors))


def shared_costs() -> dict[str, float]:
    """Reads the shared constants from costs.h."""
    lines = (ROOT / "kernels" / "plan" / "costs.h").read_text().splitlines()
    words = [line.rstrip(";").split() for line in lines if line.startswith("constexpr double ")]
    return {name: float(value) for _, _, name, _, value in words}


def report(isa: str, kind: str, rows: list[Row], now: dict[str, float], fitted: dict[str, float]) -> list[str]:
    """Returns the lines for one instruction set and type."""
    errors = f"{error_of(rows, fitted):.0%} fitted, {error_of(rows, now):.0%} as it stands"
    lines = [f"\nkernels/isa/{isa}.cpp, {kind} (median error {errors})"]
    for name in VECTOR_COSTS:
        value = f"{fitted[name]:.2g}" if name in fitted else "?"
        lines.append(f"  costs.{name} = {value};  // now {now[name]:g}")
    return lines


def main() -> None:
    """Measures, fits and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer shapes and less time for each: a trial, not a fit")
    rows = measure(build(), parser.parse_args().quick)
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["isa"], row["type"]].append(row)
    shared_now = shared_costs()
    shared: dict[str, list[float]] = defaultdict(list)
    lines = []
    for (isa, kind), group in groups.items():
        now = shared_now | next(row for row in group if row["way"] == "now")
        measured = [row for row in group if row["way"] != "now" and row["plane_ns"] > 0]
        fitted = fit(measured)
        for name in SHARED:
            shared[name] += [fitted[name]] if name in fitted else []
        lines += report(isa, kind, measured, now, fitted)
    lines.append("\nkernels/plan/costs.h, medians of the above")
    for name, values in shared.items():
        lines.append(f"constexpr double {name} = {median(values):.2g};  // now {shared_now[name]:g}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
