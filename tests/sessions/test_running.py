"""How sessions run, by each door: bound memory, asynchronously, in parallel, from many threads, profiled; errors."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from calls import FEEDS, expected
from closeness import assert_close
from graph_models import BODIES
from nested_models import NESTED
from onnx import TensorProto
from quiet import quiet_options, quiet_session, run

import onnx_roialign
from models import make_model, model, roi_align_node

RUNS_IT = {"provider": onnx_roialign.ep_name(), "custom_op": "CPUExecutionProvider"}


# ---- bound memory ----


def test_bound_arrays_are_read_and_written_where_they_lie(door):
    session = quiet_session(model(16), door)
    binding, Y = session.io_binding(), np.full((4, 5, 3, 2), np.nan, np.float32)
    arrays = {name: array.copy() for name, array in FEEDS.items()}
    for name, array in arrays.items():
        binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    binding.bind_output("Y", "cpu", 0, Y.dtype, Y.shape, Y.ctypes.data)
    session.run_with_iobinding(binding)
    assert_close(Y, expected(16))
    arrays["X"] *= -2
    session.run_with_iobinding(binding)
    assert_close(Y, -2 * expected(16))


def test_an_output_whose_memory_onnxruntime_allocates_has_the_rows_of_each_run(door):
    session = quiet_session(model(16), door)
    binding = session.io_binding()
    for rows in (4, 0, 1, 3):
        binding.bind_output("Y")
        for name, array in FEEDS.items():
            binding.bind_cpu_input(name, array if name == "X" else array[:rows])
        session.run_with_iobinding(binding)
        assert_close(binding.copy_outputs_to_cpu()[0], expected(16)[:rows])


def test_a_bound_output_of_another_shape_is_refused(door):
    session = quiet_session(model(16), door)
    binding, Y = session.io_binding(), np.full((5, 5, 3, 2), np.nan, np.float32)
    for name, array in FEEDS.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output("Y", "cpu", 0, Y.dtype, Y.shape, Y.ctypes.data)
    with pytest.raises(Exception, match="shape"):
        session.run_with_iobinding(binding)
    assert np.isnan(Y).all()


# ---- several runs at once ----


def test_asynchronous_runs_return_their_own_results_and_errors(door):
    session, ended, count = quiet_session(model(16), door), threading.Semaphore(0), 24
    found = {}

    def end(outputs, number, error):
        found[number] = (outputs, error)
        ended.release()

    # All of them live until the last run has ended: an older onnxruntime does not hold the arrays.
    feeds = [
        FEEDS | ({"batch_indices": np.array([0, 1, 1, number])} if number % 3 == 2 else {"X": number * FEEDS["X"]})
        for number in range(count)
    ]
    for number in range(count):
        session.run_async(["Y"], feeds[number], end, number)
    assert all(ended.acquire(timeout=60) for _ in range(count))
    for number in range(count):
        outputs, error = found[number]
        if number % 3 == 2:
            assert f"batch_indices must be in [0, 2), got {number} at row 3 (node 'pool')" in error
        else:
            assert not error
            np.testing.assert_array_equal(outputs[0], run(session, feeds[number]))


def test_nodes_run_in_parallel_and_from_eight_threads(door):
    nodes = [roi_align_node("X", "rois", "batch_indices", f"Y{i}", name=f"pool{i}") for i in range(6)]
    proto = make_model(nodes, 16, outputs=[(f"Y{i}", TensorProto.FLOAT) for i in range(6)])
    options = quiet_options()
    options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.intra_op_num_threads = options.inter_op_num_threads = 2
    session, want = onnx_roialign.session(proto, options, door=door), run(quiet_session(model(16), door))
    with ThreadPoolExecutor(8) as pool:
        for outputs in pool.map(lambda _: session.run(None, FEEDS), range(64)):
            for got in outputs:
                np.testing.assert_array_equal(got, want)


def test_eight_threads_create_and_run_sessions_of_their_own(door):
    def work(opset):
        return run(quiet_session(model(opset), door))

    with ThreadPoolExecutor(8) as pool:
        for opset, got in zip([10, 16] * 16, pool.map(work, [10, 16] * 16), strict=True):
            assert_close(got, expected(opset))


# ---- names and errors ----


def test_nodes_keep_their_names_in_profiles_and_the_optimised_model_is_saved(tmp_path, door):
    options = quiet_options()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    session = onnx_roialign.session(model(16), options, door=door)
    run(session)
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    (event,) = [event for event in events if event.get("name") == "pool_kernel_time"]
    assert (event["args"]["op_name"], event["args"]["provider"]) == ("RoiAlign", RUNS_IT[door])
    saved = onnx.load(tmp_path / "optimised.onnx")
    assert [(node.op_type, node.name) for node in saved.graph.node] == [("RoiAlign", "pool")]
    assert_close(run(quiet_session(saved, door)), expected(16))


@pytest.mark.parametrize("make", [*BODIES.values(), *NESTED.values()], ids=[*BODIES, *NESTED])
def test_an_error_in_a_body_has_our_text_and_the_name_of_its_node(make, door):
    session = quiet_session(make(18), door)
    feeds = FEEDS | {"which": np.array(True)}
    given = {value.name: feeds[value.name] for value in session.get_inputs()}
    with pytest.raises(
        Exception,
        match=r"batch_indices must be in \[0, 2\), got 7 at row 2 \(node '\w*(inner|then|turn|row|inside|left)'\)",
    ):
        session.run(None, given | {"batch_indices": np.array([0, 1, 7, 0])})
    assert session.run(None, given)
