"""SessionSpec: one session a process, in processes of every kind, with the results of a session made here."""

from __future__ import annotations

import concurrent.futures
import copy
import functools
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import cloudpickle
import joblib
import numpy as np
import onnx
import onnxruntime
import pytest
from calls import FEEDS, expected
from tolerances import FLOAT32

import onnx_roialign
from models import model
from onnx_roialign import RoiAlignError
from onnx_roialign.serving import SessionSpec
from onnx_roialign.sessions.silent import silent_options

MODEL = model(16)
WANTED = onnx_roialign.session(MODEL).run(None, FEEDS)[0]


@pytest.fixture
def path(tmp_path):
    onnx.save(MODEL, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def spec(path):
    spec = SessionSpec(path, threads=1)
    yield spec
    spec.close()


def run(spec, exponent):
    """The process, the session and the result for features times a power of two: a task of a pool."""
    feeds = {**FEEDS, "X": np.ldexp(FEEDS["X"], exponent)}
    mark = vars(spec.session()).setdefault("mark", os.urandom(8))  # of this session and no other
    return os.getpid(), mark, spec.run(None, feeds)[0]


def assert_right(results, workers=2):
    """Every task has the result of this process, and every process had one session."""
    for exponent, (_, _, got) in enumerate(results):
        np.testing.assert_array_equal(got, np.ldexp(WANTED, exponent), strict=True)
    by_process = {(process, session) for process, session, _ in results}
    assert 1 <= len(by_process) == len({process for process, _, _ in results}) <= workers
    assert os.getpid() not in {process for process, _, _ in results}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_runs_it(method, spec):
    assert spec.run(None, FEEDS)[0].shape == WANTED.shape  # a session of the parent, which a fork does not take over
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert_right(pool.starmap(run, [(spec, exponent) for exponent in range(20)], chunksize=1))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_executor_runs_it(method, spec):
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        assert_right(list(pool.map(functools.partial(run, spec), range(20))))


def test_joblib_runs_it(spec):
    assert_right(joblib.Parallel(n_jobs=2)(joblib.delayed(run)(spec, exponent) for exponent in range(20)))


def test_joblib_runs_its_own_method(spec):
    outputs = joblib.Parallel(n_jobs=2)(joblib.delayed(spec.run)(["Y"], FEEDS) for _ in range(4))
    for (got,) in outputs:
        np.testing.assert_array_equal(got, WANTED, strict=True)


def test_threads_share_one_session_that_is_built_once(path, monkeypatch):
    built = []
    original = onnx_roialign.serving.spec.session

    def slow(*arguments, **options):
        built.append(threading.get_ident())
        return original(*arguments, **options)

    monkeypatch.setattr(onnx_roialign.serving.spec, "session", slow)
    barrier = threading.Barrier(8)

    def use(_):
        one = SessionSpec(path, threads=2)  # equal, but another object in each thread
        barrier.wait()
        return id(one.session()), one.run(None, FEEDS)[0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(use, range(8)))
    SessionSpec(path, threads=2).close()
    assert len(built) == 1
    assert len({session for session, _ in results}) == 1
    for _, got in results:
        np.testing.assert_array_equal(got, WANTED, strict=True)


_FORKED = """
import os, sys, time
import numpy as np
from onnx_roialign.serving import SessionSpec

spec = SessionSpec(sys.argv[1], threads=3)
feeds = dict(np.load(sys.argv[2]))
before = spec.run(None, feeds)[0]
time.sleep(0.5)  # until the threads of the session's pool wait
process = os.fork()
if not process:
    same = np.array_equal(spec.run(None, feeds)[0], before)
    spec.close()
    os._exit(0 if same else 1)
assert os.waitpid(process, 0)[1] == 0
assert np.array_equal(spec.run(None, feeds)[0], before)
print("right")
"""


def test_a_fork_builds_its_own_and_ends(path, tmp_path):
    np.savez(tmp_path / "feeds.npz", **FEEDS)
    command = [sys.executable, "-c", _FORKED, str(path), str(tmp_path / "feeds.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("right\n", 0), done.stderr


def test_a_fork_while_a_session_is_built_is_not_locked(spec):
    """Another thread of the parent holds the locks, for ever in the child."""
    started, go = threading.Event(), threading.Event()

    def build():
        started.set()
        go.wait()
        return "the parent's"

    sessions = onnx_roialign.serving.spec._SESSIONS
    thread = threading.Thread(target=sessions.get, args=(spec, build))
    thread.start()
    started.wait()
    process = multiprocessing.get_context("fork").Process(target=run, args=(spec, 1))
    process.start()
    process.join(60)
    go.set()
    thread.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("form", ["path", "text", "bytes", "proto"])
def test_every_form_of_a_model(form, path):
    forms = {"path": path, "text": str(path), "bytes": path.read_bytes(), "proto": MODEL}
    spec = pickle.loads(pickle.dumps(SessionSpec(forms[form])))
    np.testing.assert_array_equal(spec.run(None, FEEDS)[0], WANTED, strict=True)
    spec.close()
    assert len(repr(spec)) < 400


def test_a_relative_path_becomes_absolute(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert SessionSpec("model.onnx") == SessionSpec(path)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_copy_is_equal_and_has_the_same_session(dumps, spec):
    for one in (pickle.loads(dumps(spec)), copy.copy(spec), copy.deepcopy(spec)):
        assert (one, hash(one)) == (spec, hash(spec))
        assert one.session() is spec.session()
    assert len(dumps(spec)) < 1000


def quiet_options():
    return silent_options()


def test_equal_arguments_make_equal_specs(path):
    same = [SessionSpec(path, threads=threads, optimize=optimize) for threads in (None, 0) for optimize in (False, 0)]
    assert len({*same}) == 1
    others = [
        SessionSpec(path),
        SessionSpec(path.read_bytes()),
        SessionSpec(path, threads=1),
        SessionSpec(path, engine="reference"),
        SessionSpec(path, optimize=True),
        SessionSpec(path, door="custom_op"),
        SessionSpec(path, providers=None),
        SessionSpec(path, providers=[("CPUExecutionProvider", {"a": "b"})]),
        SessionSpec(path, make_options=quiet_options),
    ]
    assert len({*others}) == len(others)
    assert {one: place for place, one in enumerate(others)}[SessionSpec(path, providers=None)] == 6


def test_the_arguments_reach_the_session(path, monkeypatch):
    given = {}

    def session(model, options, **arguments):
        given.update(arguments, model=model, threads=options.intra_op_num_threads, log=options.log_severity_level)

    monkeypatch.setattr(onnx_roialign.serving.spec, "session", session)
    providers = (("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"}),)
    arguments = {"engine": "reference", "optimize": True, "door": "custom_op", "providers": providers}
    SessionSpec(path, threads=3, make_options=quiet_options, **arguments).session()
    assert given == {**arguments, "model": str(path), "threads": 3, "log": 4}


def test_close_frees_the_session_and_the_next_use_builds_one(spec):
    first = spec.session()
    spec.close()
    assert spec.session() is not first
    spec.close()
    spec.close()


@pytest.mark.parametrize("engine", ["native", "reference", "builtin"])
def test_every_engine(engine, path):
    spec = SessionSpec(path, engine=engine)
    np.testing.assert_allclose(spec.run(None, FEEDS)[0], expected(16), rtol=0, atol=FLOAT32 * np.abs(FEEDS["X"]).max())
    spec.close()


def test_an_error_of_the_session_is_raised_where_it_is_built_each_time(tmp_path):
    spec = SessionSpec(tmp_path / "later.onnx")
    for _ in range(2):
        with pytest.raises(RoiAlignError, match=r"model must be a file, got '.*later.onnx', which does not exist"):
            spec.session()
    onnx.save(MODEL, tmp_path / "later.onnx")
    np.testing.assert_array_equal(spec.run(None, FEEDS)[0], WANTED, strict=True)
    spec.close()


def test_an_error_of_a_worker_arrives_whole(tmp_path):
    onnx.save(model(16, mode="median"), tmp_path / "wrong.onnx")
    message = r"mode must be 'avg' or 'max', got 'median' \(node 'pool'\)"
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        pytest.raises(RoiAlignError, match=message) as raised,
    ):
        pool.apply(run, (SessionSpec(tmp_path / "wrong.onnx"), 1))
    assert (raised.value.subject, raised.value.code, raised.value.node) == ("mode", "choice", "pool")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "model must be a path, bytes or a ModelProto, got int"),
        ({"engine": "fast"}, "engine must be one of native, reference, builtin, got 'fast'"),
        ({"threads": 1025}, r"threads must be in \[0, 1024\], got 1025"),
        ({"threads": "2"}, "threads must be an integer, got a str"),
        ({"door": "back"}, "door must be one of auto, provider, custom_op, got 'back'"),
        ({"optimize": "no"}, "optimize must be True or False, got 'no'"),
        ({"providers": "CPUExecutionProvider"}, "providers must be a list of names"),
        ({"make_options": 1}, "make_options must be a function without arguments, got 1"),
    ],
)
def test_wrong_arguments_are_refused_when_the_spec_is_made(arguments, message):
    with pytest.raises(RoiAlignError, match=f"^{message}"):
        SessionSpec(**{"model": "m.onnx", **arguments})


def test_options_of_another_type_are_refused(path):
    with pytest.raises(RoiAlignError, match=r"sess_options must be onnxruntime.SessionOptions, got \{\}"):
        SessionSpec(path, make_options=dict).session()


@pytest.mark.parametrize("engine", ["native", "reference", "builtin"])
@pytest.mark.parametrize(
    "dumps",
    [pickle.dumps, cloudpickle.dumps, copy.copy, copy.deepcopy, lambda one: joblib.hash([one])],
)
def test_a_session_says_what_to_pickle_instead(engine, dumps):
    session = onnx_roialign.session(MODEL, engine=engine)
    message = (
        r"session must stay in its process, got one to be pickled or copied; pass onnx_roialign.serving.SessionSpec"
    )
    with pytest.raises(RoiAlignError, match=message):
        dumps(session)
    with pytest.raises(RoiAlignError, match=message):
        cloudpickle.dumps(lambda feeds: session.run(None, feeds))
    assert isinstance(session, onnxruntime.InferenceSession)
