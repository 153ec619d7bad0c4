"""Packs recorded results of six frameworks into golden/golden.npz: each distinct array once, every case kept.

    python tests/data/make_golden.py DIRECTORY     with torchvision.npz, paddle.npz, mindspore.npz, onnxruntime.npz,
                                                  openvino.npz and tvm.npz

The recordings are eight times as large because every case carries its own copy of its feature maps: the same ones
over and over.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

FRAMEWORKS = ("torchvision", "paddle", "mindspore", "onnxruntime", "openvino", "tvm")
PACKED = Path(__file__).parent / "golden" / "golden.npz"


def pack(recordings: Path) -> None:
    cases, pieces, places, size = [], [], {}, 0
    for framework in FRAMEWORKS:
        with np.load(recordings / f"{framework}.npz") as recorded:
            for i in range(sum(name.endswith("/meta") for name in recorded.files)):
                case = {"framework": framework, **json.loads(str(recorded[f"{i}/meta"]))}
                for name in ("x", "rois", "y"):
                    array = recorded[f"{i}/{name}"]
                    assert array.dtype == np.float32, (framework, i, name)
                    if array.tobytes() not in places:
                        places[array.tobytes()] = size
                        pieces.append(array.ravel())
                        size += array.size
                    case[name] = {"at": places[array.tobytes()], "shape": array.shape}
                cases.append(case)
    np.savez_compressed(PACKED, cases=json.dumps(cases), values=np.concatenate(pieces))
    print(f"{len(cases)} cases, {PACKED.stat().st_size} bytes")


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
