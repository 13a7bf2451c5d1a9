"""Readers of binary arrays: the format of MNIST, and NumPy archives."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from textwrap import shorten
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from stages.lib.cli import SettingError, UserError, as_yaml
from stages.lib.data.readers.raw import Part, Raw, Reader, Shape, in_shape
from stages.lib.files import read_arrays
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
    """A NumPy archive without pickled objects."""

    kind: Literal["npz"]
    """This reader. File: arrays."""
    parts: dict[Part, Annotated[tuple[str, str], Field(strict=False)]]
    """Part -> names of the array of inputs and of the array of targets."""
    shape: Shape | None = None
    """Shape of one row's inputs."""

    roles: ClassVar = (("arrays",),)

    @model_validator(mode="after")
    def _known_parts(self) -> Npz:
        if set(self.parts) not in ({"all"}, {"train", "test"}):
            raise SettingError(f"holds {', '.join(self.parts) or 'nothing'}; it must hold all, or train and test", "parts")
        return self

    def read(self, paths: Mapping[str, Path], class_names: Sequence[str]) -> dict[str, Raw]:  # noqa: ARG002
        path = paths["arrays"]
        if not zipfile.is_zipfile(path):
            raise UserError(f"{path}: not an NPZ file, which is a zip archive")
        try:
            arrays = read_arrays(path)
        except (ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: not an NPZ file of plain arrays: {shorten(str(error), 150)}") from None
        for name in (name for pair in self.parts.values() for name in pair):
            if name not in arrays:
                raise UserError(f"{path}: {unknown('array', name, sorted(arrays))}")
        return {part: Raw(in_shape(arrays[x], self.shape, path), arrays[y], path) for part, (x, y) in self.parts.items()}
