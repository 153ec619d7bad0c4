"""What surrounds a command: an output that is full, closed or no text, a user who interrupts, too little memory."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time

import exports
import onnx
import pytest

MODELS = exports.MODELS / "torchvision_roi_align"
MODEL = MODELS / "torchscript_opset16_aligned_s2.onnx"
PRINTING = {
    "run": ("run", MODEL, "--engine", "native", "--repeat", "1"),
    "info": ("info",),
    "help": ("--help",),
    "validate json": ("validate", MODEL, "--json"),
    "optimize": ("optimize", MODEL, "-o", os.devnull),
}


def command(*arguments):
    return [sys.executable, "-m", "onnx_roialign", *map(str, arguments)]


def finished(*arguments, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 90, "check": False} | options
    done = subprocess.run(command(*arguments), **options)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert b"Exception ignored" not in done.stderr, done.stderr.decode()
    return done


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's /dev/full")
@pytest.mark.parametrize("name", PRINTING)
def test_an_output_that_is_full_gets_one_line(name):
    with open("/dev/full", "wb") as full:
        done = finished(*PRINTING[name], stdout=full)
    assert done.returncode == 2
    assert done.stderr == b"onnx-roialign: the output must be readable or writable, got: No space left on device\n"


@pytest.mark.parametrize("name", PRINTING)
def test_a_reader_that_is_gone_ends_the_command_without_a_word(name):
    reading, writing = os.pipe()
    os.close(reading)
    done = finished(*PRINTING[name], stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("name", ["info", "validate json", "optimize"])
def test_a_closed_output_is_no_error(name):
    done = finished(*PRINTING[name], stdout=None, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_message_for_a_closed_error_output_goes_nowhere():
    done = subprocess.run(command("validate", "none.onnx"), preexec_fn=lambda: os.close(2), timeout=60, check=False)
    assert done.returncode == 3


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_name_that_is_no_text_is_printed_with_escapes(locale, tmp_path):
    folder = os.fsencode(tmp_path)
    name = os.path.join(folder, b"caf\xe9\xff.onnx")
    with open(name, "wb") as file:
        file.write(MODEL.read_bytes())
    environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    new = os.path.join(folder, b"new\xff.onnx")
    arguments = ("make-explicit", os.fsdecode(name), "-o", os.fsdecode(new))
    done = finished(*arguments, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Written: " in done.stdout
    assert os.path.getsize(new) == MODEL.stat().st_size
    refused = finished("validate", os.fsdecode(name) + "x", env=environment)
    assert refused.returncode == 3
    assert refused.stderr.count(b"\n") == 1


# Of the package itself, which is imported before, Python tells the interrupt in its own words.
READY = (
    "import sys, onnx_roialign.__main__ as main; print('ready', flush=True); sys.argv[0] = 'onnx-roialign'; main.main()"
)


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (("run", MODEL, "--repeat", "10000"), 0.1),  # while it imports
        (("run", MODEL, "--repeat", "10000"), 3),
        (("fuzz", "--backend", "builtin", "--seconds", "600"), 3),
        (("conform", "--backend", "builtin", "--jobs", "2", "--junit", "{}/new.xml"), 3),
        pytest.param(("demo", "--output", "{}"), 3, marks=pytest.mark.long),
        pytest.param(("bench", "--workload", "fpn_box_7x7_s2", "-o", "{}/new.json"), 3, marks=pytest.mark.long),
        pytest.param(("bench", "--model", MODEL, "--repeat", "10000", "-o", "{}/j"), 3, marks=pytest.mark.long),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else None,
)
def test_ctrl_c_ends_a_command_with_one_line(arguments, seconds, tmp_path):
    words = [str(word).replace("{}", str(tmp_path)) for word in arguments]
    process = subprocess.Popen(
        [sys.executable, "-c", READY, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the command
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said.decode()
    assert said.replace(b"\r", b"\n").split(b"\n")[-2] == b"onnx-roialign: interrupted"
    assert b"Traceback" not in said
    assert list(tmp_path.iterdir()) == []
    deadline = time.monotonic() + 20
    while has_processes(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not has_processes(process.pid)


def has_processes(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_too_little_memory_gets_one_line(tmp_path):
    model = onnx.load(MODEL)
    model.graph.initializer.add(name="big", data_type=1, dims=[75_000_000]).raw_data = bytes(300_000_000)
    onnx.save(model, tmp_path / "big.onnx")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (450 << 20, 450 << 20))

    done = finished("make-explicit", tmp_path / "big.onnx", "-o", tmp_path / "new.onnx", preexec_fn=limit)
    assert done.returncode == 2
    assert done.stderr == (
        b"onnx-roialign: memory must hold the model and the arrays, got a request for more than there is\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["big.onnx"]
