"""Data sets of a few rows: entries of the catalogue, and raw files of each kind."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.lib.cli import UserError
from stages.lib.data.catalogue import Dataset, load_catalogue
from stages.lib.data.parts import read_parts

FILE = {"name": "all.csv", "sha256": "0" * 64, "sources": ["https://example.org/all.csv"]}
ENTRY: dict[str, Any] = {
    "title": "Numbers",
    "task": "classification",
    "reader": {"kind": "csv"},
    "files": {"all": FILE},
    "licence": "CC0",
    "citation": "none",
}
CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def dataset(folder: Path, reader: dict[str, Any], contents: Mapping[str, bytes], **others: Any) -> Dataset:
    """A data set whose files, role -> content, lie in `folder`."""
    files = {}
    for role, content in contents.items():
        (folder / role).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        files[role] = {"name": role, "sha256": sha256, "sources": ["https://example.org/file"]}
    return Dataset.model_validate({**ENTRY, "reader": reader, "files": files, **others})


def read(folder: Path, reader: dict[str, Any], contents: Mapping[str, bytes], **others: Any) -> Any:
    return read_parts(dataset(folder, reader, contents, **others), folder)


def read_csv(folder: Path, text: str, task: str = "regression", **options: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = read(folder, {"kind": "csv", **options}, {"all": text.encode()}, task=task)["all"]
    return x, y


def idx(array: Any, dtype: str = "u1") -> bytes:
    array = np.asarray(array, dtype)
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[dtype], array.ndim, *array.shape) + bytes(array.tobytes())


def npz(folder: Path, **arrays: Any) -> bytes:
    np.savez(folder / "made.npz", **arrays)
    return (folder / "made.npz").read_bytes()


def message(call: Any, *given: Any, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        call(*given, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused(folder: Path, **changes: Any) -> str:
    """What load_catalogue says about ENTRY with changes, without the file's name."""
    path = folder / "datasets.yaml"
    entry = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
    path.write_text(json.dumps({"mine": entry}))
    said = message(load_catalogue, path)
    assert said.startswith(f"{path}: mine")
    return said.removeprefix(f"{path}: mine")


CLASSES = ["dog", "cat"]


def picture(array: Any, kind: str = "PNG", mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(np.asarray(array, np.uint8))
    (image.convert(mode) if mode else image).save(file, kind)
    return file.getvalue()


def grey(value: int = 0, height: int = 2, width: int = 3) -> np.ndarray:
    return np.full((height, width), value, np.uint8)


def zipped(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(members: Mapping[str, bytes], mode: str = "w:") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()
