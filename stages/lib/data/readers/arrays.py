"""Readers of binary arrays: the format of MNIST, and NumPy archives."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from textwrap import shorten
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from stages.lib.cli import SettingError, UserError, as_yaml
from stages.lib.data.readers.raw import Part, Raw, Reader, Shape, in_shape
from stages.lib.study.metrics import Task
from stages.lib.study.strict_yaml import unknown

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The type byte of an IDX file -> NumPy's name."""


class Idx(Reader):
    """The format of MNIST: a header with type and dimensions, then the values. Images and labels have a file each."""

    kind: Literal["idx"]
    """This reader. Files: images and labels; or train_images, train_labels, test_images and test_labels."""

    roles: ClassVar = (("images", "labels"), ("train_images", "train_labels", "test_images", "test_labels"))

    def read(self, paths: Mapping[str, Path], class_names: Sequence[str]) -> dict[str, Raw]:  # noqa: ARG002
        prefixes = {"all": ""} if "images" in paths else {"train": "train_", "test": "test_"}
        parts = {}
        for part, prefix in prefixes.items():
            images, labels = paths[f"{prefix}images"], paths[f"{prefix}labels"]
            parts[part] = Raw(read_idx(images), read_idx(labels), labels)
        return parts


def read_idx(path: Path) -> np.ndarray:
    """An IDX file: two zero bytes, a type, the number of dimensions, each of them (big-endian, 32 bits), the values."""
    content = path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_TYPES:
        raise UserError(f"{path}: not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}")
    dtype = np.dtype(IDX_TYPES[content[2]])
    start = 4 + 4 * content[3]
    dimensions = [int.from_bytes(content[place : place + 4]) for place in range(4, start, 4)]
    expected = start + dtype.itemsize * prod(dimensions)
    if len(content) != expected:
        raise UserError(f"{path}: an IDX file of {as_yaml(dimensions)} values has {expected} bytes, not {len(content)}")
    return np.frombuffer(content, dtype, offset=start).reshape(dimensions).astype(dtype.newbyteorder("="))


class Npz(Reader):
    """NumPy arrays without pickled objects: one .npz archive, or a .npy file for each array."""

    kind: Literal["npz"]
    """This reader. Files: arrays; or inputs and targets; or train_inputs, train_targets, test_inputs and test_targets."""
    parts: dict[Part, Annotated[tuple[str, str], Field(strict=False)]] = {}
    """Part -> names of the array of inputs and of the array of targets, in the archive."""
    shape: Shape | None = None
    """Shape of one row's inputs, as they are in the file."""
    channels: Literal["last", "first"] = "last"
    """Where a row has its channels: (height, width, channels), or (channels, height, width), which becomes the former."""

    roles: ClassVar = (("arrays",), ("inputs", "targets"), ("train_inputs", "train_targets", "test_inputs", "test_targets"))

    def check(self, task: Task, class_names: Sequence[str], roles: Collection[str]) -> None:  # noqa: ARG002
        if "arrays" not in roles:
            if self.parts:
                raise SettingError("are names in an archive; files of one array each have no names", "reader", "parts")
        elif set(self.parts) not in ({"all"}, {"train", "test"}):
            held = ", ".join(self.parts) or "nothing"
            raise SettingError(f"holds {held}; it must hold all, or train and test", "reader", "parts")

    def read(self, paths: Mapping[str, Path], class_names: Sequence[str]) -> dict[str, Raw]:  # noqa: ARG002
        if path := paths.get("arrays"):
            names = [name for pair in self.parts.values() for name in pair]
            arrays = read_npz(path, names)
            return {part: self._part(arrays[x], arrays[y], path) for part, (x, y) in self.parts.items()}
        prefixes: dict[str, str] = {"all": ""} if "inputs" in paths else {"train": "train_", "test": "test_"}
        return {
            part: self._part(read_npy(paths[f"{prefix}inputs"]), read_npy(paths[f"{prefix}targets"]), paths[f"{prefix}targets"])
            for part, prefix in prefixes.items()
        }

    def _part(self, x: np.ndarray, y: np.ndarray, path: Path) -> Raw:
        """Inputs with a row each, (n, ...), and channels last. Truth values become 0 and 1, and (n,) becomes (n, 1)."""
        x = x.astype(np.uint8) if x.dtype == bool else x
        x = in_shape(x[:, np.newaxis] if x.ndim == 1 else x, self.shape, path)
        if self.channels == "first":
            if x.ndim < 3:
                raise UserError(f"{path}: channels: first is for rows such as (channels, height, width), not {x.shape[1:]}")
            x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        return Raw(x, y, path)


def read_npz(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Name -> array of an .npz archive. Raises UserError for one that is not there, or that holds objects."""
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: not an NPZ file, which is a zip archive; .npy files are inputs and targets, a file each")
    with _plain(path), np.load(path, allow_pickle=False) as archive:
        for name in names:
            if name not in archive.files:
                raise UserError(f"{path}: {unknown('array', name, sorted(archive.files))}")
        arrays = {}
        for name in names:
            with _plain(path, f"array {name!r}: "):
                arrays[name] = archive[name]
        return arrays


def read_npy(path: Path) -> np.ndarray:
    """The array of a .npy file. Raises UserError if it holds objects."""
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise UserError(f"{path}: not an NPY file, which holds one array")
    with _plain(path):
        array: np.ndarray = np.load(path, allow_pickle=False)
        return array


@contextmanager
def _plain(path: Path, what: str = "") -> Iterator[None]:
    """What NumPy says of a damaged file, or of one with objects, as a UserError."""
    try:
        yield
    except (ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
        if "Object arrays" in str(error):
            wrong = "holds Python objects, which run code when they are read; save x.astype(float), or y.astype(str) for text"
            raise UserError(f"{path}: {what}{wrong}") from None
        raise UserError(f"{path}: {what}not plain arrays: {shorten(str(error), 150)}") from None
