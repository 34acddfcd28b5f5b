"""Makers of small files that ask for very much. Each writes into a folder and returns the path."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

BLOCK = 1 << 24  # bytes of zeros that are packed once and repeated


def _npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def _packed_zeros(count: int) -> Iterator[bytes]:
    """Yield a raw deflate stream of so many blocks of zeros, each packed alike."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(count):
        yield block
    yield zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def one_large_label(folder: Path) -> Path:
    """Six images with labels, one of which is 10**10."""
    path = folder / "x.npz"
    np.savez(path, X=np.zeros((6, 4, 4), np.uint8), Y=np.array([10**10, 0, 0, 0, 0, 0]))
    return path


def npz_of_zeros(folder: Path) -> Path:
    """An archive whose array of images unpacks to 6 GiB, as its header says."""
    count = 384 * BLOCK // 784
    start = _npy_header((count, 28, 28), "|u1")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(start + bytes(count * 784 % BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += b"".join(_packed_zeros(count * 784 // BLOCK))
    labels = _npy_header((count,), "|u1") + bytes(count)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed_labels = packer.compress(labels) + packer.flush()
    members = (
        ("X.npy", packed, len(start) + count * 784),
        ("Y.npy", packed_labels, len(labels)),
    )
    path = folder / "x.npz"
    path.write_bytes(_archive(members))
    return path


def _archive(members: Sequence[tuple[str, bytes, int]]) -> bytes:
    """Return a ZIP archive of packed members with the sizes that they claim, without checksums."""
    body, entries, full = b"", b"", 0xFFFFFFFF
    for name, packed, size in members:
        extra = struct.pack("<HHQQ", 1, 16, size, len(packed))
        head = struct.pack("<HHHHHLLLHH", 45, 0, 8, 0, 0, 0, full, full, len(name), len(extra))
        place = struct.pack("<HHHLL", 0, 0, 0, 0, len(body))
        entries += b"PK\1\2" + struct.pack("<H", 45) + head + place + name.encode() + extra
        body += b"PK\3\4" + head + name.encode() + extra + packed
    count = len(members)
    ends = struct.pack("<HHHHLLH", 0, 0, count, count, len(entries), len(body), 0)
    return body + entries + b"PK\5\6" + ends


def gz_of_zeros(folder: Path) -> Path:
    """Packed labels that unpack to 8 GiB."""
    from tests.data.made import NAMES, PACKED

    for name, content in PACKED.items():
        (folder / name).write_bytes(content)
    path = folder / f"{NAMES[1]}.gz"
    path.write_bytes(b"\x1f\x8b\x08" + bytes(6) + b"\xff" + b"".join(_packed_zeros(512)))
    return path


def wide_picture(folder: Path) -> Path:
    """A PNG of 13,000 x 13,000 pixels of one bit."""
    return _picture(folder / "x.png", "1", 13_000)


def largest_picture(folder: Path) -> Path:
    """A PNG of as many pixels as are decoded, of four channels."""
    return _picture(folder / "x.png", "RGBA", 8192)


def _picture(path: Path, mode: str, side: int) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (side, side)).save(path)
    return path


def folder_with_a_giant(folder: Path) -> Path:
    """Two folders of small pictures, with one of 13,000 x 13,000 pixels among them."""
    for k in range(3):
        _picture(folder / "images" / "a" / f"{k}.png", "L", 20)
        _picture(folder / "images" / "b" / f"{k}.png", "L", 20)
    return _picture(folder / "images" / "b" / "9.png", "1", 13_000)


def deep_pickle(folder: Path) -> Path:
    """Tuples in one another, 2,000,000 deep, as the key of a dictionary."""
    path = folder / "weights.pkl"
    path.write_bytes(b"\x80\x04})" + b"\x85" * 2_000_000 + b"K\x01s.")
    return path


def doubled_pickle(folder: Path) -> Path:
    """A tuple that is doubled 40 times through the memo, as a key."""
    path, at = folder / "weights.pkl", b"".join(b"\x94h" + bytes([k]) + b"\x86" for k in range(40))
    path.write_bytes(b"\x80\x04})" + at + b"K\x01s.")
    return path


def claiming_pickle(folder: Path) -> Path:
    """A pickle that announces 10**12 bytes."""
    path = folder / "weights.pkl"
    path.write_bytes(b"\x80\x04" + pickle.BINBYTES8 + struct.pack("<Q", 10**12) + b"ab.")
    return path


def repeated_array(folder: Path) -> Path:
    """A pickle whose memo gives back one array of 1 MB a hundred thousand times."""
    path, array = folder / "weights.pkl", np.zeros(1 << 20, np.uint8)
    whole = pickle.dumps([array], protocol=4)
    again = b"(" + b"j" + struct.pack("<I", 12) + b"e"
    path.write_bytes(whole[:-1] + again * 100_000 + b".")
    return path


def deep_record(folder: Path) -> Path:
    """A ``run.json`` of 10,000,000 brackets."""
    path = folder / "run.json"
    path.write_bytes(b"[" * 10_000_000)
    return path


def long_row(folder: Path) -> Path:
    """A table with one cell of 50 MB in a row, and a million columns in another."""
    path = folder / "x.csv"
    path.write_bytes(b"a,b\n" + b"9" * 50_000_000 + b",1\n" + b"1," * 1_000_000 + b"1\n")
    return path


def large_table(folder: Path) -> Path:
    """A table of a single row of 1 GiB; most of the file has no blocks on the disk."""
    path = folder / "x.csv"
    with open(path, "wb") as file:
        file.write(b"a,b")
        file.truncate(1 << 30)
    return path


def laughs(folder: Path) -> Path:
    """Config of twelve lines, in which aliases repeat one another."""
    path = folder / "model" / "mine.yaml"
    path.parent.mkdir()
    lines = [f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]" for k in range(11)]
    path.write_text("\n".join(["a0: &a0 [x, x]", *lines]))
    return path


def no_file(folder: Path) -> Path:
    """No file: what a server sends is meant."""
    return folder / "sent"
