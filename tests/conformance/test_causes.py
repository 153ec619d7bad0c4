"""What a runtime computes instead: causes that act together, in graphs, in another type, on very many RoIs."""

from __future__ import annotations

import pytest

from onnx_roialign.conformance import kills
from onnx_roialign.conformance.cases import all_cases
from onnx_roialign.conformance.comparing import judge_outputs
from onnx_roialign.conformance.mutants import mutants
from onnx_roialign.conformance.plain import PlainRoiAlign
from onnx_roialign.conformance.reports.causes import causes
from onnx_roialign.conformance.result import Status

BY_ID = {case.id: case for case in all_cases()}
STEPS = {made.name: type(made.make()) for made in mutants()}
FROM_0, RATIO_1, FLOAT32 = "max_rule='samples', max_start=0", "default/sampling-ratio-1", "type/float64-in-float32"


class FromZero(PlainRoiAlign):
    """The maximum over samples from 0."""

    def node(self, *arguments):
        made = super().node(*arguments)
        made.meaning.update(max_rule="samples", max_start=0.0)
        return made


def told(steps, ids):
    """Returns the causes of what a RoiAlign of these steps returns in the cases, all of which it fails."""
    make = type("Wrong", tuple(steps), {})
    wrong = [[(BY_ID[id_], kills._run(make(), BY_ID[id_]))] for id_ in ids]
    assert all(judge_outputs(*pairs[0]).status is Status.FAIL for pairs in wrong)
    return causes(wrong)


MAXIMA = [f"maxima/{which}-grid-of-{n}" for which in ("fixed", "all-negative") for n in (1, 2, 3, 4)]
OMITTED = [
    *(
        f"attributes/{what}@{opset}"
        for what in ("all-omitted", "sampling-ratio-omitted-is-adaptive")
        for opset in (10, 16)
    ),
    "edges/adaptive-mean-counts-samples-outside-top-left",
]
FLOAT64 = [*(f"types/float64-keeps-the-features@{n}" for n in (10, 16, 22)), "types/float64-keeps-the-coordinates"]


def test_causes_of_other_outputs_are_told_together():
    both = "maxima/adaptive-5.25x3.75-in-2x2-bins"
    found = told([FromZero, STEPS[RATIO_1]], [*MAXIMA, *OMITTED, both])
    assert found == [FROM_0] * len(MAXIMA) + [f"the error {RATIO_1}"] * len(OMITTED) + [
        f"{FROM_0} and the error {RATIO_1}"
    ]


def test_three_causes_together():
    found = told(
        [FromZero, STEPS[RATIO_1], STEPS[FLOAT32]], [*MAXIMA, *OMITTED, *FLOAT64, "types/float64-max-adaptive"]
    )
    assert found[-1] == f"{FROM_0} and the error {RATIO_1} and the error {FLOAT32}"


def test_an_error_that_fits_one_output_by_chance_gives_way_to_common_causes_together():
    """A maximum that starts from 0, of one sample: 0, as an output without its last RoI."""
    chance = "maxima/adaptive-2.25x6.5-in-1x2-bins"
    assert told([FromZero, STEPS[RATIO_1]], [chance]) != [f"{FROM_0} and the error {RATIO_1}"]
    assert told([FromZero, STEPS[RATIO_1]], [*MAXIMA, *OMITTED, chance])[-1] == f"{FROM_0} and the error {RATIO_1}"


def test_float64_computed_in_float32_is_told_in_any_order_of_operations():
    class Otherwise(STEPS[FLOAT32]):
        def positions(self, a):
            return super().positions(a) * a.real(1 + 1e-7)

    assert told([Otherwise], FLOAT64) == [f"the error {FLOAT32}"] * len(FLOAT64)


def test_float64_with_less_than_float32_is_not_told_as_float32():
    class Coarse(STEPS[FLOAT32]):
        def positions(self, a):
            return super().positions(a) + a.real(1e-4)

    assert f"the error {FLOAT32}" not in told([Coarse], FLOAT64)


@pytest.mark.parametrize("id_", ["graphs/two-nodes-of-both-modes", "graphs/if-false@16"])
def test_fields_explain_graphs_of_several_nodes(id_):
    assert told([FromZero], [*MAXIMA, id_])[-1] == FROM_0


@pytest.mark.long
def test_the_first_of_very_many_rois_are_explained():
    assert told([STEPS[RATIO_1]], [*OMITTED, "images/65537-rois"])[-1] == f"the error {RATIO_1}"
