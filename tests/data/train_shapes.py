"""Trains the demo's Mask R-CNN on drawn scenes, exports it and records what PyTorch returns; needs no data.

python -m pip install torch==2.14.1 torchvision==0.29.1 onnx==1.23.2
PYTHONPATH=. python tests/data/train_shapes.py train shapes.pt    # 20 minutes on one core
PYTHONPATH=. python tests/data/train_shapes.py test shapes.pt     # on scenes that it was not trained on
PYTHONPATH=. python tests/data/train_shapes.py export shapes.pt models/shapes
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

from onnx_roialign.demo.scene import (
    CLASSES,
    GOOD,
    HEIGHT,
    MASK_STEP,
    SHAPES,
    WIDTH,
    Scene,
    demo_scene,
    draw_scene,
    found,
    summary,
)

OPSETS = (16, 22)
SEED = 20261127
TEST_SCENES = 40
TRAINING_SIZE, TRAINING_SHAPES = (256, 320), (3, 10)
STEPS, BATCH, RATE = 5000, 4, 4e-3
WIDTHS = (8, 16, 24, 32)  # channels at strides 2, 4, 8, 16
FPN_WIDTH, BOX_WIDTH, MASK_WIDTH = 16, 28, 16


class Backbone(nn.Module):
    """A feature pyramid at strides 4, 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, WIDTHS[0], 2)
        self.stages = nn.ModuleList(nn.Sequential(_conv(a, b, 2), _conv(b, b, 1)) for a, b in pairwise(WIDTHS))
        self.fpn = FeaturePyramidNetwork(list(WIDTHS[1:]), FPN_WIDTH)
        self.out_channels = FPN_WIDTH

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.stem(x)
        maps = OrderedDict()
        for i, stage in enumerate(self.stages):
            maps[str(i)] = x = stage(x)
        return self.fpn(maps)


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def make_model() -> MaskRCNN:
    levels = ["0", "1", "2"]
    return MaskRCNN(
        Backbone(),
        min_size=HEIGHT,
        max_size=WIDTH,
        rpn_anchor_generator=AnchorGenerator(((18, 32), (52, 80), (116, 170)), ((1.0,),) * 3),
        # Shapes of less than 48 pixels are pooled from the first level, of 96 and more from the last.
        box_roi_pool=MultiScaleRoIAlign(levels, 7, 2, canonical_scale=96),
        mask_roi_pool=MultiScaleRoIAlign(levels, 14, 2, canonical_scale=96),
        box_head=TwoMLPHead(FPN_WIDTH * 7 * 7, BOX_WIDTH),
        box_predictor=FastRCNNPredictor(BOX_WIDTH, len(CLASSES)),
        mask_head=MaskRCNNHeads(FPN_WIDTH, (MASK_WIDTH,) * 2, 1),
        mask_predictor=MaskRCNNPredictor(MASK_WIDTH, MASK_WIDTH, len(CLASSES)),
        rpn_pre_nms_top_n_train=400,
        rpn_post_nms_top_n_train=200,
        rpn_batch_size_per_image=128,
        box_batch_size_per_image=64,
        box_score_thresh=0.5,
        box_nms_thresh=0.4,
    )


def train(path: Path, steps: int) -> None:
    torch.manual_seed(SEED)
    rng = np.random.RandomState(SEED)
    model = make_model().train()
    model.transform.min_size, model.transform.max_size = (TRAINING_SIZE[0],), TRAINING_SIZE[1]
    print(sum(p.numel() for p in model.parameters()), "parameters")
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    begin, mean = time.time(), 0.0
    for step in range(steps):
        # Seeds from 1,000,000 on: those of the demo and of `evaluate` are below.
        scenes = [
            draw_scene(1_000_000 + step * BATCH + i, *TRAINING_SIZE, rng.randint(*TRAINING_SHAPES))
            for i in range(BATCH)
        ]
        losses = model([torch.from_numpy(s.image) for s in scenes], [_target(s) for s in scenes])
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        mean = 0.98 * mean + 0.02 * float(loss.detach())
        if step % 100 == 99:
            each = {name: round(float(value), 3) for name, value in losses.items()}
            print(step + 1, f"{time.time() - begin:.0f} s, loss {mean:.3f}", each, flush=True)
            torch.save(model.state_dict(), path)
    torch.save(model.state_dict(), path)


def _target(scene: Scene) -> dict[str, torch.Tensor]:
    masks = torch.from_numpy(scene.masks.astype(np.uint8))
    return {"boxes": torch.from_numpy(scene.boxes), "labels": torch.from_numpy(scene.labels), "masks": masks}


def trained(path: Path) -> MaskRCNN:
    model = make_model()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


def evaluate(path: Path) -> None:
    """Prints how many shapes are found, on scenes with seeds that `train` does not use."""
    model = trained(path)
    ious: list[float] = []
    others = 0
    for seed in range(TEST_SCENES):
        scene = draw_scene(seed, HEIGHT, WIDTH, SHAPES)
        with torch.no_grad():
            (out,) = model([torch.from_numpy(scene.image)])
        outputs = {name: value.numpy() for name, value in out.items()}
        shapes, detections = found(scene, outputs["labels"], outputs["masks"])
        ious += shapes.tolist()
        others += int((detections < GOOD).sum())
        print(f"scene {seed}: {summary(scene, outputs)}")
    hits = sum(iou >= GOOD for iou in ious)
    print(f"{hits} of {len(ious)} shapes found, median IoU {np.median(ious):.3f}, {others} other detections")


def export(path: Path, folder: Path) -> None:
    model = trained(path)
    scene = demo_scene()
    image = torch.from_numpy(scene.image)
    with torch.no_grad():
        (out,) = model([image])
    names = ("boxes", "labels", "scores", "masks")
    recorded = {name: out[name].numpy() for name in names}
    recorded["masks"] = recorded["masks"][:, :, ::MASK_STEP, ::MASK_STEP]
    digest = hashlib.sha256(scene.image.tobytes()).hexdigest()
    np.savez_compressed(folder / "mask_rcnn.npz", image_sha256=digest, **recorded)
    for opset in OPSETS:
        torch.onnx.export(
            model,
            ([image],),
            folder / f"mask_rcnn_torchscript_opset{opset}.onnx",
            dynamo=False,
            opset_version=opset,
            input_names=["image"],
            output_names=list(names),
            dynamic_axes={"image": {1: "height", 2: "width"}},
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "test", "export"))
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "train":
        train(arguments.weights, arguments.steps)
    elif arguments.what == "test":
        evaluate(arguments.weights)
    else:
        export(arguments.weights, arguments.folder)


if __name__ == "__main__":
    main()
