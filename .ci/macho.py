"""Hides symbols of a Mach-O library in place: zig's linker exports libc++'s operator new and more, and has no list.

Nothing moves: the trie of exports is written again where it was, hidden symbols lose their external bit, and the pages'
hashes in the ad-hoc signature are computed again.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
from collections.abc import Callable
from pathlib import Path

MAGIC = 0xFEEDFACF  # 64 bits, little endian
SYMTAB, SIGNATURE, DYLD_INFO, EXPORTS_TRIE = 0x2, 0x1D, 0x80000022, 0x80000033
EXTERNAL = 0x01  # N_EXT, of a symbol's type
CODE_DIRECTORY, SHA256 = 0xFADE0C02, 2


def hide(library: Path, keep: Callable[[str], bool]) -> None:
    """Hides every symbol whose name, without C's underscore, is not to be kept."""
    data = bytearray(library.read_bytes())
    commands = _commands(data)
    if DYLD_INFO in commands:
        _hide_in_trie(data, struct.unpack_from("<I", data, commands[DYLD_INFO] + 40)[0], keep)
    else:
        _hide_in_trie(data, struct.unpack_from("<I", data, commands[EXPORTS_TRIE] + 8)[0], keep)
    _hide_in_table(data, commands[SYMTAB], keep)
    if SIGNATURE in commands:
        _sign(data, struct.unpack_from("<I", data, commands[SIGNATURE] + 8)[0])
    library.write_bytes(data)


def _commands(data: bytearray) -> dict[int, int]:
    """Kind of a load command -> where it begins; of several of a kind, the last."""
    magic, _, _, _, count, _, _, _ = struct.unpack_from("<8I", data)
    if magic != MAGIC:
        raise ValueError(f"the library must be a 64-bit Mach-O file, got the magic number {magic:#x}")
    found, at = {}, 32
    for _ in range(count):
        kind, size = struct.unpack_from("<2I", data, at)
        found[kind] = at
        at += size
    return found


def _hide_in_trie(data: bytearray, trie: int, keep: Callable[[str], bool]) -> None:
    """Writes the trie again, with what is kept; zeros fill it up to its old size."""
    exports: dict[str, bytes] = {}
    end = trie
    nodes = [(trie, "")]
    while nodes:
        node, name = nodes.pop()
        size, at = _number(data, node)
        if size > 0 and keep(name.removeprefix("_")):
            exports[name] = bytes(data[at : at + size])
        count, at = data[at + size], at + size + 1
        for _ in range(count):
            stop = data.index(0, at)
            offset, after = _number(data, stop + 1)
            nodes.append((trie + offset, name + data[at:stop].decode()))
            at = after
        end = max(end, at)
    written = bytearray()
    _write_node(written, exports)
    if len(written) > end - trie:
        raise ValueError(f"the exports must fit into {end - trie} bytes, got {len(written)}")
    data[trie:end] = written.ljust(end - trie, b"\0")


def _write_node(trie: bytearray, exports: dict[str, bytes]) -> int:
    """Appends the node of these names and all below it, and returns its offset.

    A node: the size of its address and flags, these, the number of edges, and of each its text and its node's offset.
    """
    offset = len(trie)
    address = exports.get("", b"")
    names = sorted(filter(None, exports))
    groups = (list(group) for _, group in itertools.groupby(names, key=lambda name: name[0]))
    edges = [os.path.commonprefix(group) for group in groups]  # noqa: RUF071  of texts
    trie += bytes([len(address), *address, len(edges)])
    slots = []
    for edge in edges:
        trie += edge.encode() + bytes(3)
        slots.append(len(trie) - 2)
    for slot, edge in zip(slots, edges, strict=True):
        below = {name.removeprefix(edge): exports[name] for name in names if name.startswith(edge)}
        child = _write_node(trie, below)
        trie[slot : slot + 2] = bytes([child & 0x7F | 0x80, child >> 7])  # ULEB128, always of two bytes
    return offset


def _number(data: bytearray, at: int) -> tuple[int, int]:
    """Returns the ULEB128 number at a place, and the place after it."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _hide_in_table(data: bytearray, command: int, keep: Callable[[str], bool]) -> None:
    symbols, count, names = struct.unpack_from("<3I", data, command + 8)
    for at in range(symbols, symbols + 16 * count, 16):
        name, kind, section = struct.unpack_from("<I2B", data, at)
        begin = names + name
        is_defined = section != 0
        if is_defined and kind & EXTERNAL and not keep(data[begin : data.index(0, begin)].decode().removeprefix("_")):
            data[at + 4] = kind & ~EXTERNAL


def _sign(data: bytearray, signature: int) -> None:
    """Computes the hashes of the pages again, in the code directory of the signature, which is big endian."""
    (count,) = struct.unpack_from(">I", data, signature + 8)
    for i in range(count):
        directory = signature + struct.unpack_from(">I", data, signature + 16 + 8 * i)[0]
        if struct.unpack_from(">I", data, directory)[0] != CODE_DIRECTORY:
            continue
        (hashes,) = struct.unpack_from(">I", data, directory + 16)
        pages, limit = struct.unpack_from(">2I", data, directory + 28)
        size, kind, _, page_bits = struct.unpack_from("4B", data, directory + 36)
        if kind != SHA256:
            raise ValueError(f"the signature must use SHA-256, got hash type {kind}")
        for page in range(pages):
            begin = page << page_bits
            digest = hashlib.sha256(data[begin : min(begin + (1 << page_bits), limit)]).digest()
            at = directory + hashes + page * size
            data[at : at + size] = digest[:size]
