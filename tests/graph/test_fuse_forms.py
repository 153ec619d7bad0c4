"""Tests fuse on exports of poolers as frameworks write them, by all exporters and simplifiers, and on look-alikes."""

from __future__ import annotations

import numpy as np
import pooler_exports
import pytest
from installed_versions import newest_opset
from node_facts import opset_of
from quiet import run_all
from tolerances import FUSED

from models import check_with_schemas
from onnx_roialign.graph import fuse
from onnx_roialign.ops.roi_align import DOMAIN

POOL, PASTE = "MultiScaleRoiAlign", "PasteMasks"

# File: the number of ops it becomes, the part of the report, and why it is here.
FUSED_FORMS = {
    "tv_L5_ts11": ([POOL], "floor(4 + log2(sqrt(area) / 224) + 1e-06), 2 to 6", "torchvision, five levels, opset 11"),
    "tv_L3_ts13": ([POOL], "/ 96) + 1e-06), 2 to 4", "three images, another canonical scale"),
    "tv_L3_ts20": ([POOL], "/ 96) + 1e-06), 2 to 4", "opset 20"),
    "tv_static_ts16": ([POOL], "/ 224) + 1e-06), 2 to 5", "a fixed number of boxes"),
    "tv_coarse_ts16": ([POOL], "no box has a level", "maps from coarse to fine: no box has a level"),
    "tv_mob_ts16": ([POOL], "5 to 6", "two maps of one stride: one of them never gets a box"),
    "tv_other_ts13": ([POOL], "2 to 5", "areas are read elsewhere too"),
    "tv_scaled_ts17": ([POOL], "2 to 5", "boxes are scaled before, for levels and pooling alike"),
    "tv_sum_ts16": ([POOL, POOL], "2 to 5", "two poolers that are added up"),
    "tv_f16_ts16": ([POOL], "floor(4 + log2(sqrt(area) / 224) + 1e-06), 2 to 5", "float16"),
    "tv_f64_ts16": ([POOL], "levels are an input", "float64, whose boundaries no attribute holds"),
    "tv_L4_ts15_sim": ([POOL], "/ 112) + 1e-06), 2 to 5", "after onnxsim"),
    "tv_L4_ts15_slim": ([POOL], "/ 112) + 1e-06), 2 to 5", "after onnxslim"),
    "tv_L4_ts15_orte": ([POOL], "/ 112) + 1e-06), 2 to 5", "after onnxruntime's extended optimisation"),
    "tvd_L4_dyn20": ([POOL], "the old part returned 19 rows for any number", "dynamo fixed the number of boxes"),
    "tvd_static_dyn20": ([POOL], "2 to 4", "dynamo, static shapes"),
    "tvd_f64_dyn18": ([POOL], "levels are an input", "dynamo, float64"),
    "d2_levels_ts17": ([POOL], "/ 224) + 1e-08), 2 to 5", "Detectron2, its levels are an output"),
    "d2_L5_ts15": ([POOL], "floor(4 + log2(sqrt(area) / 224) + 1e-08), 2 to 6", "Detectron2, five levels"),
    "d2_L4_ts11": ([POOL], "/ 224) + 1e-08), 2 to 5", "Detectron2 below opset 16, which drops aligned"),
    "mm2_masked_ts13": ([POOL], "/ 56 + 1e-06)), 0 to 4; features are assumed", "mmdetection 2: masks are multiplied"),
    "mm2_masked_ts11_slim": ([POOL], "/ 56 + 1e-06)), 0 to 3; features are assumed", "the same after onnxslim"),
    "mm2_maskedd_dyn18": ([POOL], "0 to 3; features are assumed to be finite", "the same by dynamo"),
    "mm_where_ts12": ([POOL], "/ 56 + 1e-06)), 0 to 3", "levels are selected by Where"),
    "mm_whered_dyn18": ([POOL], "/ 56 + 1e-06)), 0 to 3", "the same by dynamo"),
    "mmdeploy_L5_ts13": (
        [POOL],
        "/ 56 + 1e-06)), 0 to 4",
        "mmdeploy: rows are cut off, shifted boxes joined again",
    ),
    "perm_ts16": ([POOL], "a box of negative area gets a row of zeros", "levels are joined and put in order"),
    "permd_dyn18": ([POOL], "2 to 4", "the same by dynamo: GatherND"),
    "paddledist_ts11": ([POOL], "2 to 5", "Paddle's distribute_fpn_proposals: every RoI is of image 0"),
    "mm_reversed_ts16": ([POOL], "/ 56 + 1e-06)), 0 to 3", "levels are counted from the coarsest map"),
    "mm_levelsin_ts16": ([POOL], "levels are an input", "levels are an input of the model"),
    "mm_batchin_ts16": ([POOL], "0 to 2", "batch indices are an input of the model"),
    "mm_nolevel_ts16": ([POOL], "0 to 3", "the largest boxes have no map: rows of zeros"),
    "mm_thresholds_ts16": ([POOL], "levels begin at areas of 0, 4096, 16384, 65536", "areas are compared with numbers"),
    "mm_maxside_ts16": ([POOL], "levels are an input", "levels by the longer side"),
    "mm_plusone_ts16": ([POOL], "levels are an input", "levels by sides that include both ends"),
    "mm3_one_head_ts13": ([POOL], "it runs with any boxes", "the example had one box on a level: Reshape to (3, 7, 7)"),
    "paste14_ts12": ([PASTE], "", "masks of 14 x 14"),
    "paste_const_ts18": ([PASTE], "", "image sizes are numbers"),
    "paste_scaled_ts16": ([PASTE], "", "boxes are scaled before"),
    "paste_twice_ts16": ([PASTE, PASTE], "", "two pastings"),
}
LOOK_ALIKES = {
    "d2_L1_ts20": ("", "one level: a RoiAlign of all boxes"),
    "not_base1_ts16": ("differ by 0.5", "the base is 0.5, in a part that runs only with one box on a level"),
    "not_base1d_dyn18": ("differ by 0.5", "the base is 0.5"),
    "not_basein_ts16": ("it also depends on 'x0'", "the base is an input"),
    "not_residual_ts16": ("", "levels are added to what was there"),
    "not_mixratio_masked_ts13": ("its levels differ in more than their scale", "another sampling ratio on each level"),
    "not_otherboxes_ts16": ("its levels are those of other boxes", "levels are those of other boxes"),
    "mm3_rescale_ts16": ("its levels are those of other boxes", "boxes are enlarged after their levels are taken"),
    "not_sum_ts16": ("", "the sum of all levels"),
    "not_cumulative_ts16": ("its levels have no rule", "the sum of all levels up to a box's own"),
    "mm_adjacent_ts16": ("its levels have no rule", "a level also takes the boxes of the next"),
    "not_wherenobase_ts16": ("a level pools every box", "boxes of no level are pooled from the first map"),
    "not_frames_ts16": ("", "the same boxes from each frame of a video"),
    "not_paste_pad2_ts16": ("differ", "masks are padded by 2"),
}
# Numbers of boxes that dynamo fixed.
COUNTS = {"tvd_L4_dyn20": {"b0": 9, "b1": 10}}
KEEPS_ITS_ROWS = ("perm_ts16", "permd_dyn18", "paddledist_ts11")  # only where every box has a level


def private_ops(model):
    return [node.op_type for node in model.graph.node if node.domain == DOMAIN]


def feeds_of(name, model, count):
    feeds = pooler_exports.drawn(model, count, odd=name not in KEEPS_ITS_ROWS)
    return feeds | {key: feeds[key][np.arange(rows) % max(count, 1)] for key, rows in COUNTS.get(name, {}).items()}


def test_every_form_has_a_row():
    assert sorted({*FUSED_FORMS, *LOOK_ALIKES}) == pooler_exports.form_names()


@pytest.mark.parametrize("name", FUSED_FORMS)
def test_a_form_becomes_one_op_that_returns_the_same(name):
    given = pooler_exports.form(name)
    if opset_of(given) > newest_opset():
        pytest.skip("the installed onnxruntime has no such opset")
    ops, text, _ = FUSED_FORMS[name]
    fused = fuse(given)
    assert private_ops(fused.model) == ops
    assert [part.fused for part in fused.report] == [True] * len(ops)
    assert all(text in part.text and not part.corrected for part in fused.report)
    assert not any(node.op_type == "RoiAlign" for node in fused.model.graph.node)  # nothing of the old part is left
    assert sum(part.nodes for part in fused.report) == len(given.graph.node) - len(fused.model.graph.node) > 0
    check_with_schemas(fused.model)
    assert fuse(fused.model) == type(fused)(fused.model, ())
    for count in (1, 17) if name in COUNTS else (0, 1, 17):
        feeds = feeds_of(name, given, count)
        if name == "mm3_one_head_ts13":  # runs with one box on one level
            feeds["rois"] = np.float32([[0, 5, 6, 25, 36], [1, 5, 6, 145, 140], [0, 1, 1, 500, 600]])
        bar = FUSED * max((np.abs(array).max(initial=0) for array in feeds.values() if array.ndim == 4), default=1)
        for got, want in zip(run_all(fused.model, feeds), run_all(given, feeds), strict=True):
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            np.testing.assert_allclose(got, want, rtol=0, atol=max(bar, 4e-3) if got.dtype == np.float16 else bar)


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_form_is_not_fused(name):
    given = pooler_exports.form(name)
    text, _ = LOOK_ALIKES[name]
    fused = fuse(given)
    assert fused.model == given
    assert [part.fused for part in fused.report] == [False] * bool(text)
    assert all(text in part.text and part.nodes == 0 for part in fused.report)


def test_a_detector_without_proposals_runs_where_the_exporter_fixed_a_number_of_boxes():
    """The example had one box on a level: a Reshape turns its (n, 3, 7, 7) into (3, 7, 7): without boxes it fails."""
    given = pooler_exports.form("mm3_one_head_ts13")
    feeds = pooler_exports.drawn(given, 0)
    with pytest.raises(Exception, match="Reshape"):
        run_all(given, feeds)
    (scores,) = run_all(fuse(given).model, feeds)
    assert scores.shape == (0, 5)
