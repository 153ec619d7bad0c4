"""Files that commands read and write: each kind of thing that a path can be, and that no input is lost."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from onnx_roialign import RoiAlignError
from onnx_roialign.files import check_output, read_file, write_file

LONG = "n" * 300
NOTHING_WRITES_HERE = Path("/proc/here.onnx")  # not even root


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_new_file_gets_the_modes_that_the_user_wants(tmp_path):
    before = os.umask(0o027)
    try:
        write_file("-o", tmp_path / "new", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert content(tmp_path) == {"new": b"new"}


def test_a_file_is_replaced_whole_and_keeps_its_modes(tmp_path):
    path = tmp_path / "old"
    path.write_bytes(b"old")
    path.chmod(0o604)
    write_file("-o", path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert content(tmp_path) == {"old": b"new"}


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    check_output("-o", tmp_path / "link", {})
    write_file("-o", tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_name_may_be_as_long_as_the_system_has_them(tmp_path):
    check_output("-o", tmp_path / ("n" * 255), {})
    write_file("-o", tmp_path / ("n" * 255), b"new")
    assert content(tmp_path) == {"n" * 255: b"new"}


def test_what_cannot_be_written_whole_leaves_the_file_as_it_was(tmp_path):
    """A limit on the size of files stands for a full disk."""
    path = tmp_path / "old"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys, pathlib\n"
        "from onnx_roialign.files import write_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_file('-o', pathlib.Path(sys.argv[1]), bytes(100_000))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1].endswith(f"-o must be a file to write, got {str(path)!r} (File too large)")
    assert content(tmp_path) == {"old": b"old"}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("folder", "Is a directory"),
        ("none/file", "No such file or directory"),
        ("file/below", "Not a directory"),
        (LONG, "File name too long"),
        (f"{'deep/' * 2000}file", "File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused_before_and_after_the_work(kind, reason, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    path = tmp_path / kind
    for call in (lambda: check_output("-o", path, {}), lambda: write_file("-o", path, b"new")):
        with pytest.raises(RoiAlignError, match="-o must be a file to write, got ") as caught:
            call()
        assert str(caught.value).endswith(f" ({reason})")
    assert content(tmp_path) == {"file": b"content"}


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="Linux's /proc")
def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work():
    with pytest.raises(RoiAlignError, match=r"-o must be a file to write, got '/proc/here\.onnx'"):
        check_output("-o", NOTHING_WRITES_HERE, {})


def test_a_pipe_without_a_reader_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    check_output("-o", tmp_path / "pipe", {})  # a reader may come
    with pytest.raises(RoiAlignError, match=r"-o must be a file to write, got '.*pipe' \(No such device or address\)"):
        write_file("-o", tmp_path / "pipe", b"new")


def test_a_pipe_with_a_reader_gets_the_bytes(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    data = bytes(range(256)) * 4096  # more than a pipe holds
    write = threading.Thread(target=lambda: write_file("-o", tmp_path / "pipe", data), daemon=True)
    write.start()
    time.sleep(0.1)  # so that it is open for writing: a pipe that nobody writes to ends at once
    with open(descriptor, "rb") as pipe:
        assert pipe.read() == data
    write.join(20)
    assert not write.is_alive()


def test_devices_are_written_and_stay(tmp_path):
    check_output("-o", Path(os.devnull), {"MODEL": Path(os.devnull)})
    write_file("-o", Path(os.devnull), b"new")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    if os.path.exists("/dev/full"):
        with pytest.raises(RoiAlignError, match=r"-o must be a file to write, got '/dev/full' \(No space left on dev"):
            write_file("-o", Path("/dev/full"), b"new")


@pytest.mark.parametrize("other", ["file", "link", "hard", "folder/../file", "loop"])
def test_an_input_is_not_written_over(other, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    os.link(tmp_path / "file", tmp_path / "hard")
    given = "loop" if other == "loop" else "file"
    with pytest.raises(RoiAlignError, match="-o must be another file than MODEL, got "):
        check_output("-o", tmp_path / other, {"--inputs": None, "MODEL": tmp_path / given})


def test_two_outputs_are_not_one_file_even_before_it_is_there(tmp_path):
    with pytest.raises(RoiAlignError, match="--plot must be another file than --json, got "):
        check_output("--plot", tmp_path / "x" / ".." / "new", {"--json": tmp_path / "new"})
    check_output("--plot", tmp_path / "new", {"--json": tmp_path / "other", "its data '\\0'": Path("\0")})


@pytest.mark.parametrize("kind", ["pipe", "folder", "none", LONG])
def test_what_is_no_file_is_not_read(kind, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"no regular file|No such file|too long"):
        read_file(tmp_path / kind)
