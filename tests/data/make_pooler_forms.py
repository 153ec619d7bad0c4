"""Exports the poolers and look-alikes of pooler_forms.tar.xz: PyTorch modules that pool as frameworks do.

    python make_pooler_forms.py FOLDER    # PyTorch 2.14, torchvision 0.29

The modules are torchvision's own, and Detectron2's ROIPooler, mmdetection's SingleRoIExtractor (2.28 for ONNX, 3.3,
mmdeploy's) and Paddle's distribute_fpn_proposals written out. Names end in the exporter (ts: TorchScript, dyn: dynamo)
and the opset; _sim, _slim and _orte were simplified by onnxsim 0.8.1, onnxslim 0.1.98 and ONNX Runtime 1.32 (extended).
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from torch import nn
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops import RoIAlign, roi_align
from torchvision.ops.poolers import MultiScaleRoIAlign

FOLDER = Path(sys.argv[1])
IMAGE = (256, 384)


class Torchvision(nn.Module):
    """MultiScaleRoIAlign; `what`: plain, other (areas are read too), scaled (boxes before pooling), sum (of two)."""

    def __init__(self, levels, size, ratio, scale, what):
        super().__init__()
        self.names, self.what = [str(i) for i in range(levels)], what
        self.first = MultiScaleRoIAlign(self.names, size, ratio, canonical_scale=scale)
        self.second = MultiScaleRoIAlign(self.names, size, 3)

    def forward(self, maps, boxes):
        maps, boxes = dict(zip(self.names, maps, strict=True)), list(boxes)
        if self.what == "scaled":
            return self.first(maps, [boxes_ * 1.25 for boxes_ in boxes], [IMAGE] * len(boxes)) * 2.0
        pooled = self.first(maps, boxes, [IMAGE] * len(boxes))
        if self.what == "sum":
            return pooled + self.second(maps, boxes, [IMAGE] * len(boxes))
        if self.what == "other":
            all_boxes = torch.cat(boxes)
            return pooled.flatten(1).relu(), torch.sqrt(areas(all_boxes))
        return pooled


class Detectron2(nn.Module):
    """ROIPooler; `what`: plain, levels (are an output), perm (levels joined and put in order), paddle (of image 0)."""

    def __init__(self, scales, size, ratio, what="plain", aligned=True):
        super().__init__()
        self.poolers = nn.ModuleList([RoIAlign(size, scale, ratio, aligned=aligned) for scale in scales])
        self.least, self.most = (int(-math.log2(scale)) for scale in (scales[0], scales[-1]))
        self.size, self.what = size, what

    def forward(self, maps, boxes):
        if self.what in ("perm", "paddle"):
            return self.in_order(maps, boxes)
        rois = torch.cat(
            [torch.cat([torch.full_like(boxes_[:, :1], float(i)), boxes_], 1) for i, boxes_ in enumerate(boxes)]
        )
        levels = self.levels(rois[:, 1:])
        if len(self.poolers) == 1:
            return self.poolers[0](maps[0], rois)
        pooled = torch.zeros((rois.shape[0], maps[0].shape[1], self.size, self.size), dtype=maps[0].dtype)
        for i, pooler in enumerate(self.poolers):
            rows = torch.nonzero(levels == i, as_tuple=True)[0]
            pooled.index_put_((rows,), pooler(maps[i], rois[rows]))
        return (pooled, levels) if self.what == "levels" else pooled

    def levels(self, boxes):
        levels = torch.floor(4 + torch.log2(torch.sqrt(areas(boxes)) / 224 + 1e-8))
        return torch.clamp(levels, min=self.least, max=self.most).to(torch.int64) - self.least

    def in_order(self, maps, rois):
        levels, pooled, order = self.levels(rois[:, -4:]), [], []
        for i, pooler in enumerate(self.poolers):
            order.append(torch.nonzero(levels == i).squeeze(1))
            own = rois[order[-1]]
            own = own if self.what == "perm" else torch.cat([torch.zeros_like(own[:, :1]), own], 1)
            pooled.append(pooler(maps[i], own))
        order = torch.cat(order)
        return torch.cat(pooled)[torch.topk(order, order.shape[0], largest=False, sorted=True)[1]]


class Mmdetection(nn.Module):
    """SingleRoIExtractor on (K, 5) RoIs; shift: aligned as RoI - 0.5 / scale. The methods state which."""

    def __init__(self, strides, size=7, ratio=2, what="index", shift=None, mixed=False):
        super().__init__()
        self.strides, self.size, self.ratio, self.what, self.shift, self.mixed = (
            strides,
            size,
            ratio,
            what,
            shift,
            mixed,
        )

    def pool(self, maps, rois, i):
        ratio = self.ratio + i if self.mixed else self.ratio
        if self.shift is None:
            return roi_align(maps[i], rois, self.size, 1 / self.strides[i], ratio, aligned=True)
        half = 0.5 * self.strides[i]
        boxes = rois[:, 1:] - half if self.shift == "sub" else rois[:, 1:] + (-half)
        return roi_align(maps[i], torch.cat([rois[:, :1], boxes], 1), self.size, 1 / self.strides[i], ratio)

    def level(self, rois, most=None):
        sides = torch.sqrt((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2]))
        if self.what == "max_side":
            sides = torch.maximum(rois[:, 3] - rois[:, 1], rois[:, 4] - rois[:, 2])
        if self.what == "plus_one":
            sides = torch.sqrt((rois[:, 3] - rois[:, 1] + 1) * (rois[:, 4] - rois[:, 2] + 1))
            return torch.floor(torch.log2(sides / 224 + 1e-6) + 4).clamp(min=2, max=4).long() - 2
        most = len(self.strides) - 1 if most is None else most
        return torch.floor(torch.log2(sides / 56 + 1e-6)).clamp(min=0, max=most).long()

    def scattered(self, maps, rois, levels, value=0.0):
        pooled = maps[0].new_full((rois.shape[0], maps[0].shape[1], self.size, self.size), value)
        for i in range(len(self.strides)):
            chosen = (levels == i) | (levels == i + 1) if self.what == "adjacent" else levels == i
            rows = chosen.nonzero(as_tuple=False).squeeze(1)
            pooled[rows] = self.pool(maps, rois[rows], i)
        return pooled

    def forward(self, maps, rois, extra=None):
        return getattr(self, self.what, self.index)(maps, rois, extra)

    def index(self, maps, rois, extra):
        return self.scattered(maps, rois, self.level(rois))

    def masked(self, maps, rois, extra):
        levels, channels = self.level(rois), maps[0].shape[1]
        wide = [-1, channels * self.size * self.size]
        total = rois[:, :1].clone().detach().expand(*wide).reshape(-1, channels, self.size, self.size) * 0
        for i in range(len(self.strides)):
            mask = (levels == i).float().unsqueeze(-1)
            total = total + self.pool(maps, rois * mask, i) * mask.expand(*wide).reshape(total.shape)
        return total

    def where(self, maps, rois, extra):
        levels, pooled = self.level(rois), maps[0].new_zeros(rois.shape[0], maps[0].shape[1], self.size, self.size)
        for i in range(len(self.strides)):
            pooled = torch.where((levels == i)[:, None, None, None], self.pool(maps, rois, i), pooled)
        return pooled

    def where_no_base(self, maps, rois, extra):
        levels, pooled = self.level(rois), self.pool(maps, rois, 0)
        for i in range(1, len(self.strides)):
            pooled = torch.where((levels == i)[:, None, None, None], self.pool(maps, rois, i), pooled)
        return pooled

    def deploy(self, maps, rois, extra):
        levels, count = self.level(rois), len(self.strides)
        pooled = rois.new_zeros(rois.shape[0], maps[0].shape[1], self.size, self.size)
        each = torch.arange(0, count, dtype=torch.long)
        pooled = torch.cat((pooled.new_zeros(count * 2, *pooled.shape[1:]), pooled))
        rois, levels = torch.cat((rois.new_zeros(count * 2, 5), rois)), torch.cat((each, each, levels))
        for i in range(count):
            rows = (levels == i).nonzero(as_tuple=False).squeeze(1)
            pooled[rows] = self.pool(maps, rois[rows], i)
        return pooled[count * 2 :]

    def reversed(self, maps, rois, extra):
        return self.scattered(maps, rois, len(self.strides) - 1 - self.level(rois))

    def levels_in(self, maps, rois, extra):
        return self.scattered(maps, rois, extra)

    def batch_in(self, maps, boxes, extra):
        return self.index(maps, torch.cat([extra[:, None].to(boxes.dtype), boxes], 1), None)

    def no_level(self, maps, rois, extra):
        return self.scattered(maps, rois, self.level(rois, len(self.strides)))

    def base_half(self, maps, rois, extra):
        return self.scattered(maps, rois, self.level(rois, len(self.strides)), 0.5)

    def thresholds(self, maps, rois, extra):
        area, bounds = areas(rois[:, 1:]), [0, 64.0**2, 128.0**2, 256.0**2, 1e30]
        pooled = maps[0].new_zeros(rois.shape[0], maps[0].shape[1], self.size, self.size)
        for i in range(len(self.strides)):
            rows = ((area >= bounds[i]) & (area < bounds[i + 1])).nonzero(as_tuple=False).squeeze(1)
            pooled[rows] = self.pool(maps, rois[rows], i)
        return pooled

    def rescaled(self, maps, rois, extra):
        levels = self.level(rois)
        centre = (rois[:, 1] + rois[:, 3]) * 0.5, (rois[:, 2] + rois[:, 4]) * 0.5
        half = (rois[:, 3] - rois[:, 1]) * 1.25 * 0.5, (rois[:, 4] - rois[:, 2]) * 1.25 * 0.5
        corners = [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]]
        return self.scattered(maps, torch.stack([rois[:, 0], *corners], 1), levels)

    def other_boxes(self, maps, rois, extra):
        return self.scattered(maps, rois, self.level(extra))

    def base_in(self, maps, rois, extra):
        levels, pooled = self.level(rois), extra.clone()
        for i in range(len(self.strides)):
            rows = (levels == i).nonzero(as_tuple=False).squeeze(1)
            pooled[rows] = self.pool(maps, rois[rows], i)
        return pooled

    def residual(self, maps, rois, extra):
        levels, pooled = self.level(rois), extra.clone()
        for i in range(len(self.strides)):
            rows = (levels == i).nonzero(as_tuple=False).squeeze(1)
            pooled[rows] = pooled[rows] + self.pool(maps, rois[rows], i)
        return pooled

    def sum(self, maps, rois, extra):
        return sum(self.pool(maps, rois, i) for i in range(len(self.strides)))

    def cumulative(self, maps, rois, extra):
        levels = self.level(rois)
        masks = [(levels >= i).to(rois.dtype)[:, None, None, None] for i in range(len(self.strides))]
        return sum(self.pool(maps, rois, i) * mask for i, mask in enumerate(masks))

    def frames(self, maps, rois, extra):
        return torch.cat([roi_align(X, rois, self.size, 1 / 16, 2, aligned=True) for X in maps])


class Head(nn.Module):
    """A pooler and a linear layer."""

    def __init__(self, pooler):
        super().__init__()
        self.pooler, self.linear = pooler, nn.Linear(3 * 49, 5)

    def forward(self, maps, rois):
        return self.linear(self.pooler(maps, rois).flatten(1))


class Paste(nn.Module):
    def __init__(self, image=None, padding=1, scale=1.0, twice=False):
        super().__init__()
        self.image, self.padding, self.scale, self.twice = image, padding, scale, twice

    def forward(self, masks, boxes, image=None):
        size = self.image or (image.shape[-2], image.shape[-1])
        boxes = boxes if self.scale == 1.0 else boxes * self.scale
        pasted = paste_masks_in_image(masks, boxes, size, self.padding)
        return (pasted, paste_masks_in_image(masks * 0.5, boxes + 3, size, self.padding)) if self.twice else pasted


def areas(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def maps_of(strides, images, dtype=torch.float32):
    return [torch.randn(images, 3, max(2, 256 // stride), max(2, 384 // stride), dtype=dtype) for stride in strides]


def boxes_of(count, dtype=torch.float32, largest=300):
    corner = torch.rand(count, 2, dtype=dtype) * 200
    return torch.cat([corner, corner + torch.rand(count, 2, dtype=dtype) * largest + 1], 1)


def rois_of(single=None):
    """Three RoIs on each level, except one level with a single RoI.

    TorchScript writes `pooled[rows] = ...` with one row as a Reshape that no other number of rows fits.
    """
    rows = []
    for i, side in enumerate((30.0, 150.0, 300.0, 500.0)):
        rows += [[k % 2, 10 * k, 9 * k, 10 * k + side, 9 * k + side] for k in range(1 if i == single else 3)]
    return torch.tensor(rows, dtype=torch.float32)


def export(name, module, arguments, names, open_names=()):
    """Opens the first axis of these inputs."""
    how, opset = ("dyn" if "_dyn" in name else "ts"), int(name[-2:])
    options = {"opset_version": opset, "dynamo": how == "dyn", "input_names": names}
    if how == "ts":
        options["dynamic_axes"] = {
            name: {0: "K"} | ({2: "H", 3: "W"} if name == "image" else {}) for name in open_names
        }
    else:
        options["external_data"] = False
    if how == "dyn" and open_names:
        count = len(arguments[0])
        rest = [{0: torch.export.Dim.DYNAMIC} for _ in names[count:]]
        boxes = rest if isinstance(arguments[1], list) else None
        options["dynamic_shapes"] = ([{}] * count, boxes) if boxes else ([{}] * count, *rest)
    torch.onnx.export(module.eval(), arguments, FOLDER / f"{name}.onnx", **options)


def torchvision(name, levels=4, scale=224, images=1, strides=None, what="plain", dtype=torch.float32, open_axis=True):
    strides = strides or [4, 8, 16, 32, 64][:levels]
    boxes = [boxes_of(9 + i, dtype) for i in range(images)]
    names = [f"f{i}" for i in range(levels)] + [f"b{i}" for i in range(images)]
    module = Torchvision(levels, 7, 2, scale, what)
    export(name, module, (maps_of(strides, images, dtype), boxes), names, names[levels:] if open_axis else ())


def detectron2(name, levels=4, images=1, what="plain"):
    scales = [1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64][:levels]
    ordered = what in ("perm", "paddle")
    given = [boxes_of(9 + i) for i in range(images)]
    if ordered:
        given, images = (rois_of(), 2) if what == "perm" else (rois_of()[:, 1:], 1)
    names = [f"f{i}" for i in range(levels)] + (["rois"] if ordered else [f"b{i}" for i in range(images)])
    maps = maps_of([int(1 / stride) for stride in scales], images)
    export(name, Detectron2(scales, 7, 2 if ordered else 0, what), (maps, given), names, names[levels:])


def mmdetection(name, what="index", strides=(4, 8, 16, 32), extra=(), rois=None, **options):
    names = [f"f{i}" for i in range(len(strides))] + ["rois", "x0"][: 1 + len(extra)]
    rois = rois_of() if rois is None else rois
    export(
        name,
        Mmdetection(strides, what=what, **options),
        (maps_of(strides, 2), rois, *extra),
        names,
        names[len(strides) :],
    )


def paste(name, side=28, **options):
    arguments, names = [torch.rand(5, 1, side, side), boxes_of(5, largest=80)], ["masks", "boxes"]
    if "image" not in options:
        arguments, names = [*arguments, torch.rand(1, 3, 120, 150)], [*names, "image"]
    export(name, Paste(**options), tuple(arguments), names, names)


def main():
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    torchvision("tv_L5_ts11", 5)
    torchvision("tv_L3_ts13", 3, scale=96, images=3)
    torchvision("tv_L3_ts20", 3, scale=96, images=2)
    torchvision("tv_L4_ts15", 4, scale=112)
    torchvision("tv_static_ts16", open_axis=False)
    torchvision("tv_coarse_ts16", strides=[32, 16, 8, 4])
    torchvision("tv_mob_ts16", 3, strides=[32, 32, 64])
    torchvision("tv_other_ts13", images=2, what="other")
    torchvision("tv_scaled_ts17", images=2, what="scaled")
    torchvision("tv_sum_ts16", what="sum")
    torchvision("tv_f16_ts16", dtype=torch.float16)
    torchvision("tv_f64_ts16", images=2, dtype=torch.float64)
    torchvision("tvd_L4_dyn20", images=2)
    torchvision("tvd_static_dyn20", 3, images=2, open_axis=False)
    torchvision("tvd_f64_dyn18", 3, dtype=torch.float64)
    detectron2("d2_levels_ts17", what="levels")
    detectron2("d2_L5_ts15", 5)
    detectron2("d2_L4_ts11", images=3)
    detectron2("d2_L1_ts20", 1, images=3)
    detectron2("perm_ts16", what="perm")
    detectron2("permd_dyn18", 3, what="perm")
    detectron2("paddledist_ts11", what="paddle")
    mmdetection("mm2_masked_ts11", "masked", shift="sub")
    mmdetection("mm2_masked_ts13", "masked", (4, 8, 16, 32, 64), shift="sub")
    mmdetection("mm2_maskedd_dyn18", "masked")
    mmdetection("mm_where_ts12", "where")
    mmdetection("mm_whered_dyn18", "where")
    mmdetection("mmdeploy_L5_ts13", "deploy", (4, 8, 16, 32, 64), shift="add")
    mmdetection("mm_reversed_ts16", "reversed", (32, 16, 8, 4))
    mmdetection("mm_levelsin_ts16", "levels_in", extra=(torch.randint(0, 4, (12,)),))
    mmdetection("mm_batchin_ts16", "batch_in", (4, 8, 16), rois=rois_of()[:, 1:], extra=(torch.randint(0, 2, (12,)),))
    mmdetection("mm_nolevel_ts16", "no_level", (4, 8, 16))
    mmdetection("mm_thresholds_ts16", "thresholds")
    mmdetection("mm_maxside_ts16", "max_side")
    mmdetection("mm_plusone_ts16", "plus_one", (4, 8, 16))
    strides = [4, 8, 16, 32]
    names = ["f0", "f1", "f2", "f3", "rois"]
    export("mm3_one_head_ts13", Head(Mmdetection(strides)), (maps_of(strides, 2), rois_of(1)), names, ["rois"])
    mmdetection("mm3_rescale_ts16", "rescaled")
    mmdetection("not_base1_ts16", "base_half", (4, 8, 16), rois=rois_of(2))
    mmdetection("not_base1d_dyn18", "base_half", (4, 8, 16))
    mmdetection("not_basein_ts16", "base_in", (4, 8, 16), extra=(torch.randn(12, 3, 7, 7),))
    mmdetection("not_residual_ts16", "residual", extra=(torch.randn(12, 3, 7, 7),))
    mmdetection("not_mixratio_masked_ts13", "masked", mixed=True)
    mmdetection("not_otherboxes_ts16", "other_boxes", extra=(rois_of(),))
    mmdetection("not_sum_ts16", "sum")
    mmdetection("not_cumulative_ts16", "cumulative", (4, 8, 16))
    mmdetection("mm_adjacent_ts16", "adjacent", (4, 8, 16))
    mmdetection("not_wherenobase_ts16", "where_no_base", (4, 8, 16))
    mmdetection("not_frames_ts16", "frames", (16, 16, 16))
    paste("paste14_ts12", 14)
    paste("paste_const_ts18", image=(90, 130))
    paste("paste_scaled_ts16", scale=1.7)
    paste("paste_twice_ts16", twice=True)
    paste("not_paste_pad2_ts16", padding=2)


if __name__ == "__main__":
    main()
