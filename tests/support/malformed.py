"""A program: draws calls at random, most of them malformed, and makes them on the library that its argument names.

Run by test_sanitizers.py on a library built under AddressSanitizer and UndefinedBehaviorSanitizer, where any read or
write outside a buffer ends the process. On every call Python's reference says the same: the answer within its type's
tolerance, or the same message. Prints what it counted.
"""

import functools
import os
import pickle
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from alike import assert_alike
from malformed_calls import draw_call, expected, make_call, pick
from malformed_models import float_session, qlinear_session
from quiet import quiet_options

from models import model
from onnx_roialign.engines import native

SEED = 20261127
MESSAGE_SIZES = (512, 512, 512, 0, 1, 8, 40)
EXPECT = "--expect"


def drawn(i, isas):
    """The call of a number, and the size of the buffer for its message."""
    rng = np.random.default_rng([SEED, i])
    return draw_call(rng, isas), int(pick(rng, MESSAGE_SIZES))


def write_expected(count, isas):
    for i in range(count):
        pickle.dump(expected(drawn(i, isas)[0], isas), sys.stdout.buffer)


def read_expected(count, isas):
    """The reference's results, from a process without sanitizers: there it takes a fifth of the time."""
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONMALLOC")}
    command = [sys.executable, __file__, EXPECT, str(count), *(isa.decode() for isa in isas)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        for _ in range(count):
            yield pickle.load(process.stdout)


def direct_calls(count):
    """Every parameter of the C call."""
    statuses = Counter()
    isas = [isa.encode() for isa in native.available_isas()]
    for i, want in enumerate(read_expected(count, isas)):
        call, size = drawn(i, isas)
        got = make_call(call, size)
        try:
            if isinstance(want, tuple):
                status, message = want
                assert (got.status, got.message) == (status, message[: max(size - 1, 0)])
            else:
                status = 0
                assert (got.status, got.message) == (0, b"")
                if want.size:  # else any of the arrays may be null
                    assert_alike(got.Y, want, call.arrays["X"])
        except AssertionError as error:
            raise AssertionError(f"direct call {i}: {call}") from error
        statuses[status] += 1
    return statuses


def models(count, path):
    """Every attribute and input of every op, in sessions that know nothing but the library."""
    outcomes = Counter()
    ops = {name: functools.partial(float_session, op=name) for name in ("RoiAlign", "AnyRoiAlign")}
    ops["QLinearRoiAlign"] = qlinear_session
    for i in range(count):
        rng = np.random.default_rng([SEED, 1, i])
        name = pick(rng, list(ops))
        for dtype, feeds, want, got in ops[name](rng, path):
            if isinstance(want, str) or isinstance(got, str):
                assert str(got) == str(want), f"model {i}, {name}"
                outcomes[f"{name} refused"] += 1
                continue
            try:
                assert (got.dtype, got.shape) == (want.dtype, want.shape)
                if name == "QLinearRoiAlign":
                    np.testing.assert_array_equal(got, want)
                else:
                    assert_alike(got, want, feeds["X"], dtype)
            except AssertionError as error:
                raise AssertionError(f"model {i}, {name}: {feeds}") from error
            outcomes[f"{name} answered"] += 1
    return outcomes


def threads_on_one_session(path, threads, calls_each):
    """Batch indices and shapes at random, some right and most not."""
    options = quiet_options(onnx_roialign__opset="16")
    options.intra_op_num_threads = 2
    options.register_custom_ops_library(path)
    shared = onnxruntime.InferenceSession(model().SerializeToString(), options, providers=["CPUExecutionProvider"])

    def work(seed):
        rng = np.random.default_rng([SEED, 2, seed])
        outcomes = Counter()
        for _ in range(calls_each):
            images, count = int(rng.integers(1, 3)), int(rng.integers(0, 5))
            feeds = {
                "X": rng.standard_normal((images, 3, *rng.integers(1, 20, 2)), dtype=np.float32),
                "rois": rng.uniform(-20, 60, (count, pick(rng, (4, 4, 4, 4, 4, 3, 1)))).astype(np.float32),
                "batch_indices": rng.integers(-1, images + 1, count + pick(rng, (0, 0, 0, 0, 0, 1))),
            }
            try:
                (Y,) = shared.run(None, feeds)
                assert Y.shape == (count, 3, 3, 2)
                outcomes["answered"] += 1
            except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as error:
                outcomes["refused" if "must" in str(error) else f"failed without a rule: {error}"] += 1
        return outcomes

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)), Counter())


def main(library, calls, sessions):
    native.library_path = lambda: library
    statuses = direct_calls(calls)
    print(f"direct: {statuses[0]} answered, {statuses[1]} invalid, {statuses[2]} unsupported")
    for outcome, number in sorted(models(sessions, library).items()):
        print(f"{outcome}: {number}")
    outcomes = threads_on_one_session(library, threads=50, calls_each=20)
    assert set(outcomes) <= {"answered", "refused"}, outcomes
    print(f"threads: {outcomes['answered']} answered, {outcomes['refused']} refused")


if __name__ == "__main__":
    if sys.argv[1] == EXPECT:
        write_expected(int(sys.argv[2]), [isa.encode() for isa in sys.argv[3:]])
    else:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
