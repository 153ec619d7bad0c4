"""What the wheels and the sdist contain, export and import, and what an index shows of them."""

from __future__ import annotations

import collections
import email
import hashlib
import importlib
import re
import struct
import subprocess
import tarfile

import pytest
from built_wheels import LINUX, MACOS, TAGS, URL
from paths import ROOT

import onnx_roialign

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def lief(wheels):
    return importlib.import_module("lief")  # of the same extra as zig


def exported() -> set[str]:
    """The functions of the C header, and those that ONNX Runtime looks up."""
    header = (ROOT / "kernels" / "c" / "onnx_roialign.h").read_text()
    exports = re.search(r"global: (.*);", (ROOT / "kernels" / "exports.map").read_text())[1].split("; ")
    functions = set(re.findall(r"^ONNX_ROIALIGN_API .*?(\w+)\(", header, re.M))
    assert len(functions) >= 4
    return functions | {name for name in exports if "*" not in name}


def exports_of(lief, library) -> set[str]:
    parsed = lief.parse(str(library))
    if isinstance(parsed, lief.ELF.Binary):
        return {symbol.name for symbol in parsed.dynamic_symbols if symbol.name and symbol.shndx != 0}
    if isinstance(parsed, lief.PE.Binary):
        return {entry.name for entry in parsed.get_export().entries}
    external = {symbol.name for symbol in parsed.symbols if symbol.raw_type & 1 and symbol.numberof_sections != 0}
    assert external == {export.symbol.name for export in parsed.dyld_info.exports}  # the table's, and the trie's
    return {name.removeprefix("_") for name in external}


def metadata(folder):
    (path,) = folder.glob("*.dist-info/METADATA")
    return email.message_from_string(path.read_text(encoding="utf-8"))


def test_there_is_one_wheel_for_each_platform(wheels):
    assert wheels.wheels.keys() == set(TAGS)
    for tag in TAGS:
        (described,) = wheels.unpacked[tag].glob("*.dist-info/WHEEL")
        tags = re.findall(r"^Tag: (.+)$", described.read_text(), re.M)
        assert tags
        name, _, platforms = wheels.wheels[tag].stem.rpartition("-")
        assert name.endswith("-py3-none")
        assert set(platforms.split(".")) == {one.rpartition("-")[2] for one in tags}
        assert f"py3-none-{tag}" in tags
        assert "Root-Is-Purelib: false" in described.read_text()


def test_every_wheel_has_the_same_files_beside_its_library(wheels):
    def files(tag):
        names = (str(path.relative_to(wheels.unpacked[tag])) for path in wheels.unpacked[tag].rglob("*"))
        return {name for name in names if ".dist-info" not in name and not name.endswith(".lib")} - {
            str(wheels.library(tag).relative_to(wheels.unpacked[tag]))
        }

    first = files(TAGS[0])
    assert {
        "onnx_roialign/include/onnx_roialign.h",
        "onnx_roialign/cmake/onnx_roialignConfig.cmake",
        "onnx_roialign/pkgconfig/onnx_roialign.pc",
        "onnx_roialign/conformance/case.py",
    } <= first
    for tag in TAGS[1:]:
        assert files(tag) == first
    assert (wheels.unpacked["win_amd64"] / "onnx_roialign" / "onnx_roialign.lib").is_file()


@pytest.mark.parametrize("tag", TAGS)
def test_a_library_exports_the_header_s_functions_and_nothing_else(tag, wheels, lief):
    assert exports_of(lief, wheels.library(tag)) == exported()


@pytest.mark.parametrize("tag", LINUX)
def test_a_library_for_linux_needs_only_the_c_library(tag, wheels, lief):
    library = lief.parse(str(wheels.library(tag)))
    machine = {"x86_64": lief.ELF.ARCH.X86_64, "aarch64": lief.ELF.ARCH.AARCH64}[re.search("x86_64|aarch64", tag)[0]]
    assert library.header.machine_type == machine
    if "musl" in tag:
        assert set(library.libraries) == {"libc.so"}
    else:
        loader = {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
        assert set(library.libraries) <= loader | {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"}
        versions = (version.get_auxiliary_symbols() for version in library.symbols_version_requirement)
        needed = {symbol.name for symbols in versions for symbol in symbols}
        assert needed
        assert all(tuple(map(int, name.removeprefix("GLIBC_").split("."))) <= (2, 17) for name in needed), needed


def test_the_library_for_windows_needs_only_windows(wheels, lief):
    library = lief.parse(str(wheels.library("win_amd64")))
    assert wheels.library("win_amd64").name == "onnx_roialign.dll"
    assert library.header.machine == lief.PE.Header.MACHINE_TYPES.AMD64
    needed = {imported.name.lower() for imported in library.imports}
    assert "kernel32.dll" in needed
    assert {name for name in needed if not name.startswith("api-ms-win-crt-")} <= {"kernel32.dll", "ntdll.dll"}


@pytest.mark.parametrize("tag", MACOS)
def test_the_library_for_macos_needs_only_macos_11(tag, wheels, lief):
    library = lief.parse(str(wheels.library(tag)))
    assert wheels.library(tag).name == "libonnx_roialign.dylib"
    cpu = {"arm64": lief.MachO.Header.CPU_TYPE.ARM64, "x86_64": lief.MachO.Header.CPU_TYPE.X86_64}
    assert library.header.cpu_type == cpu[tag.removeprefix("macosx_11_0_")]
    assert library.build_version.platform == lief.MachO.BuildVersion.PLATFORMS.MACOS
    assert library.build_version.minos == [11, 0, 0]
    names = {command.command: command.name for command in library.libraries}
    assert names == {
        lief.MachO.LoadCommand.TYPE.ID_DYLIB: "@rpath/libonnx_roialign.dylib",
        lief.MachO.LoadCommand.TYPE.LOAD_DYLIB: "/usr/lib/libSystem.B.dylib",
    }


@pytest.mark.parametrize("tag", MACOS)
def test_the_pages_of_the_library_for_macos_have_the_hashes_of_its_signature(tag, wheels, lief):
    library = lief.parse(str(wheels.library(tag)))
    if not library.has_code_signature:
        assert tag == "macosx_11_0_x86_64"  # only arm64 loads nothing unsigned
        return
    signature = bytes(library.code_signature.content)
    directory = signature.index(b"\xfa\xde\x0c\x02")
    hashes, count, limit = (struct.unpack_from(">I", signature, directory + at)[0] for at in (16, 28, 32))
    page = 1 << signature[directory + 39]
    data = wheels.library(tag).read_bytes()[:limit]
    assert limit == library.code_signature.data_offset
    digests = b"".join(hashlib.sha256(data[at : at + page]).digest() for at in range(0, limit, page))
    assert signature[directory + hashes : directory + hashes + 32 * count] == digests


def test_an_index_can_show_the_metadata(wheels):
    shown = metadata(wheels.unpacked[TAGS[0]])
    assert shown["Version"] == onnx_roialign.__version__
    assert shown["License-Expression"] == "Apache-2.0"
    assert {name.partition(",")[0] for name in shown.get_all("Project-URL")} == {"Source", "Issues", "Changelog"}
    assert len(shown.get_all("Classifier")) > 9
    links = re.findall(r"\]\(([^)]+)\)", shown.get_payload())
    assert f"{URL}/raw/HEAD/models/shapes/demo.webp" in links
    assert [link for link in links if "://" not in link] == []
    for tag in TAGS[1:]:
        assert metadata(wheels.unpacked[tag]).as_string() == shown.as_string()


def test_the_sdist_has_every_file_of_the_checkout_once(wheels, tmp_path):
    with tarfile.open(wheels.sdist) as archive:
        names = [member.name.partition("/")[2] for member in archive if not member.isdir()]
        archive.extractall(tmp_path, filter="data")
    (top,) = tmp_path.iterdir()
    contents = {name: (top / name).read_bytes() for name in names}
    done = subprocess.run(["git", "ls-files", "-s", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = [line.partition("\t") for line in done.stdout.split("\0") if line]
    files = {name for kind, _, name in listed if not kind.startswith("120000")}  # without links
    assert set(contents) == {name for name in files if not name.startswith(".")} | {"PKG-INFO"}
    assert len(names) == len(contents)
    kinds = collections.Counter(hashlib.sha256(content).digest() for content in contents.values() if len(content) > 200)
    assert [name for name, content in contents.items() if kinds[hashlib.sha256(content).digest()] > 1] == []
