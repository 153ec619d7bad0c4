"""Waits until the threads of this process sleep, so that they do not slow what is timed next."""

from __future__ import annotations

import time

__all__ = ["settle"]


def settle() -> None:
    """Waits until the other threads of this process sleep, at most 0.5 s.

    ONNX Runtime's idle threads spin for about 50 ms before they sleep, on the cores of the next contestant. Linux
    updates a running thread's time every 4 ms; with a shorter interval the wait ended too early, and fpn_mask_14x14_s2
    on 2 threads took 4 or 8 ms at random.
    """
    for _ in range(40):
        before = time.process_time()
        time.sleep(12e-3)
        if time.process_time() - before < 1e-3:
            return
