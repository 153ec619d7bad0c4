"""A program: makes random calls, most of them malformed, on the library that its argument names.

Run by test_sanitizers.py on a library built under AddressSanitizer and UndefinedBehaviorSanitizer, where any read or
write outside a buffer ends the process. On every call Python's reference says the same: the answer within its type's
tolerance, or the same message. Prints what it counted.
"""

import os
import pickle
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pooler_exports
from alike import assert_alike
from malformed_calls import draw_call, expected, make_call, pick
from malformed_models import SESSIONS, is_refusal, session_of
from quiet import DOORS, quiet_options

from models import model
from onnx_roialign.engines import native

SEED = 20261127
MESSAGE_SIZES = (512, 512, 512, 0, 1, 8, 40)
EXPECT = "--expect"
POOLER_RUNS = 40
FUSED_FORMS = ("tv_L3_ts13", "tv_f16_ts16", "tv_f64_ts16", "tv_mob_ts16", "tvd_L4_dyn20", "not_base1d_dyn18")


def drawn(i, isas):
    """The call with this number, and the size of the buffer for its message."""
    rng = np.random.default_rng([SEED, i])
    return draw_call(rng, isas), int(pick(rng, MESSAGE_SIZES))


def write_expected(numbers, isas):
    for i in numbers:
        pickle.dump(expected(drawn(i, isas)[0], isas), sys.stdout.buffer)


def read_expected(numbers, isas):
    """The reference's results, from a process without sanitizers: there it takes a fifth of the time."""
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONMALLOC")}
    which = [str(value) for value in (numbers.start, numbers.stop, numbers.step)]
    command = [sys.executable, __file__, EXPECT, *which, *(isa.decode() for isa in isas)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        for i in numbers:
            yield i, pickle.load(process.stdout)


def direct_calls(numbers):
    """Every parameter of the C call."""
    statuses = Counter()
    isas = [isa.encode() for isa in native.available_isas()]
    for i, want in read_expected(numbers, isas):
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
                    assert_alike(got.Y, want, features_of(call.arrays))
        except AssertionError as error:
            raise AssertionError(f"direct call {i}: {call}") from error
        statuses[status] += 1
    return statuses


def models(numbers, path):
    """Every attribute and input of every op, in sessions that load only the library."""
    outcomes = Counter()
    for i in numbers:
        name = list(SESSIONS)[i % len(SESSIONS)]
        for dtype, feeds, want, got in SESSIONS[name](np.random.default_rng([SEED, 1, i]), path):
            try:
                if is_refusal(want) or is_refusal(got):
                    assert str(got) == str(want)
                    outcomes[f"{name} refused"] += 1
                    continue
                assert (got.dtype, got.shape) == (want.dtype, want.shape)
                if want.dtype.kind in "iu":
                    np.testing.assert_array_equal(got, want)
                else:
                    assert_alike(got, want, features_of(feeds), dtype)
            except AssertionError as error:
                raise AssertionError(f"model {i}, {name}: {feeds}") from error
            outcomes[f"{name} answered"] += 1
    return outcomes


def poolers(numbers, path):
    """Poolers that the execution provider runs as one node, against the nodes that they are made of."""
    outcomes = Counter()
    for name in FUSED_FORMS if "provider" in DOORS else ():
        model = pooler_exports.form(name)
        fused, plain = (session_of(model, path, 0, "provider", fuse=fuse) for fuse in "10")
        for i in numbers:
            rng = np.random.default_rng([SEED, 3, i])
            feeds = pooler_exports.drawn(model, int(rng.integers(0, 12)))
            boxes = [array for array in feeds.values() if array.ndim == 2 and array.size]
            for array in boxes if rng.random() < 0.5 else ():
                array.flat[rng.integers(array.size)] = pick(
                    rng, (np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38, 65504, -1)
                )
            got, want = (outcome(session, feeds) for session in (fused, plain))
            assert got == want, f"pooler {name}, {i}: {feeds}"
            outcomes["answered" if isinstance(want, list) else "refused"] += 1
    return outcomes


def outcome(session, feeds):
    """The outputs of a run as bytes, or that it fails: at another node, and so in other words, where nodes are one."""
    try:
        return [(array.dtype, array.shape, array.tobytes()) for array in session.run(None, feeds)]
    except Exception:  # onnxruntime's own classes, which share no other base
        return "refused"


def features_of(feeds):
    """The values of every map, or mask, in one array."""
    named = {name: array for name, array in feeds.items() if array is not None and array.ndim == 4 and name != "Y"}
    return np.concatenate([array.ravel() for array in named.values()])


def threads_on_one_session(path, threads, calls_each):
    """Random batch indices and shapes, some correct and most not."""
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


def main(library, calls, sessions, part="0/1"):
    """Every nth call and model, from number i on, for a part of i/n."""
    native.library_path = lambda: library
    first, step = map(int, part.split("/"))
    statuses = direct_calls(range(first, int(calls), step))
    outcomes = {f"direct {name}": statuses[i] for i, name in enumerate(("answered", "invalid", "unsupported"))}
    outcomes |= models(range(first, int(sessions), step), library)
    outcomes |= {
        f"poolers {name}": number for name, number in poolers(range(first, POOLER_RUNS, step), library).items()
    }
    threads = threads_on_one_session(library, threads=50, calls_each=20)
    assert set(threads) <= {"answered", "refused"}, threads
    outcomes |= {f"threads {outcome}": number for outcome, number in threads.items()}
    for outcome, number in outcomes.items():
        print(f"{outcome}: {number}")


if __name__ == "__main__":
    if sys.argv[1] == EXPECT:
        write_expected(range(*map(int, sys.argv[2:5])), [isa.encode() for isa in sys.argv[5:]])
    else:
        main(*sys.argv[1:])
