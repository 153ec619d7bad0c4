"""The README's lines for Ray Data and Ray Serve on a cluster of two workers, and a worker that is killed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from paths import ROOT
from required_peers import imported

from onnx_roialign.serving import SessionSpec, SessionStage

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def ray():
    """Two cores for two workers, and one for what reads the images."""
    ray = imported("ray.data") and imported("ray")
    ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


def run_block(first_line, names):
    """Runs the block of the README that imports this."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if re.search(f"^{first_line}$", block, re.M))
    exec(compile(block, "README.md", "exec"), names)


@pytest.fixture(scope="module")
def names(ray):
    """What the README's lines for Ray Data define."""
    names = {"__name__": "__main__"}  # so that workers get its functions by value
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        run_block("import ray", names)
    return names


@pytest.fixture(scope="module")
def one_process(names):
    """The outputs of one session in this process, by image."""
    session = names["spec"].session()
    outputs = [output.name for output in session.get_outputs()]
    rows = map(names["photo"], ({"id": number} for number in range(names["photos"].count())))
    return {row["id"]: dict(zip(outputs, session.run(None, {"image": row["image"]}), strict=True)) for row in rows}


def assert_same(rows, wanted):
    """Every image has its outputs, bit for bit, and none is there twice."""
    assert sorted(row["id"] for row in rows) == sorted(wanted)
    for row in rows:
        assert set(row) == {"id", *wanted[row["id"]]}
        for name, array in wanted[row["id"]].items():
            np.testing.assert_array_equal(row[name], array, strict=True)


def test_ray_data_returns_what_one_process_returns(names, one_process):
    assert len(one_process) >= 200
    assert_same(names["found"].take_all(), one_process)


def test_a_killed_worker_loses_nothing(ray, names, one_process, tmp_path):
    marker = str(tmp_path / "killed")

    class Mortal(SessionStage):
        def __call__(self, batch):
            import os
            import signal

            if 100 in batch["id"] and not os.path.exists(marker):
                with open(marker, "w") as file:
                    file.write(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    found = names["photos"].map_batches(
        Mortal, fn_constructor_args=(names["spec"],), compute=names["workers"], num_cpus=1, batch_size=8
    )
    assert_same(found.take_all(), one_process)
    assert (tmp_path / "killed").read_text().isdigit()


def test_a_session_in_a_closure_says_what_to_do(ray, names):
    session = SessionSpec(names["spec"].model).session()
    with pytest.raises(Exception, match=r"pass onnx_roialign\.serving\.SessionSpec\(model\) instead"):
        names["photos"].map(lambda row: {"boxes": session.run(["boxes"], {"image": row["image"]})[0]}).take(1)


def test_ray_serve_returns_what_one_process_returns(names, one_process):
    run_block("from ray import serve", names)
    try:
        requests = [names["handle"].remote(names["photo"]({"id": number})["image"]) for number in range(40)]
        for number, request in enumerate(requests):
            for got, name in zip(request.result(), ("boxes", "scores"), strict=True):
                np.testing.assert_array_equal(got, one_process[number][name], strict=True)
    finally:
        names["serve"].shutdown()  # its replicas occupy the workers' cores
