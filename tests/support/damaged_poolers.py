"""Runs a pooler's form with each of many damages, fused at load and as its nodes: python damaged_poolers.py FORM COUNT.

Each runs in a process of its own. Prints how many computed the same, how many failed as nodes, and how many ended
onnxruntime itself, also without the execution provider. Where the nodes fail, the fused one may compute what they would
have, had not one of those failed that it does not need.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable

import onnx
import pooler_exports
from mutations import PROTO_DAMAGES, copied
from quiet import quiet_session

import onnx_roialign

SAME, FAILED, OTHER = 0, 3, 4
BOXES = 7


def outputs(proto: onnx.ModelProto, name: str, door: str, fuse: str = "0") -> list[tuple[object, ...]] | str:
    """The outputs as bytes, or that there are none."""
    options = {"providers": [(onnx_roialign.ep_name(), {"fuse": fuse}), "CPUExecutionProvider"]}
    try:
        session = quiet_session(proto, door, **(options if door == "provider" else {}))
        found = session.run(None, pooler_exports.drawn(pooler_exports.form(name), BOXES))
    except Exception:  # onnxruntime's have no common base
        return "failed"
    return [(array.dtype, array.shape, array.tobytes()) for array in found]


def status(work: Callable[[], int]) -> int:
    """The exit code of a process that runs this, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def compared(proto: onnx.ModelProto, name: str) -> int:
    """How the fused run ends, compared with the nodes'."""
    want, got = (outputs(proto, name, "provider", fuse) for fuse in "01")
    if want == "failed":
        return FAILED
    return SAME if want == got else OTHER


def main(name: str, count: str) -> None:
    ends: Counter[str] = Counter()
    for seed in range(int(count)):
        rng, proto = random.Random(seed), copied(pooler_exports.form(name))
        damage = PROTO_DAMAGES[seed % len(PROTO_DAMAGES)]
        damage(rng, proto)
        end = status(lambda proto=proto: compared(proto, name))
        if end < 0:
            assert status(lambda proto=proto: bool(outputs(proto, name, "custom_op")) and FAILED) == end, (
                f"{name}, {damage.__name__}, seed {seed}: signal {-end}"
            )
        assert end != OTHER, f"{name}, {damage.__name__}, seed {seed}: another result"
        ends["same" if end == SAME else "failed" if end == FAILED else "ended"] += 1
    print(ends["same"], ends["failed"], ends["ended"])


if __name__ == "__main__":
    main(*sys.argv[1:])
