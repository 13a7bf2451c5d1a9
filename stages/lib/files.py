"""Files that are whole or not there, and archives of arrays that are always the same bytes.

A file is written under a temporary name in the same folder, and then renamed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

import numpy as np


def inner_path(name: str) -> str:
    """The path of a file below some folder, from a stranger. Raises ValueError if it is absolute, names a drive, or climbs."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        raise ValueError(f"{name!r} leads out of its folder")
    return path.as_posix()


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`. It is renamed to `target` if the body succeeds, and removed if it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp's 0600 would keep a shared checkout's other users out
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target`. It is renamed to `target` if the body succeeds, unless `target` exists already."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def why_unwritable(folder: Path) -> str:
    """Why nobody can write into a folder, which is made if it is missing. Empty if one can."""
    try:
        if not folder.is_absolute():
            raise OSError("there is no home folder")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(10_000))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(target: Path, content: bytes) -> None:
    with whole(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, text: str) -> None:
    write_bytes(target, text.encode())


def write_json(target: Path, value: Any) -> None:
    """Write JSON with sorted keys and a final newline, so that a diff shows only what changed. NaN is refused."""
    write_text(target, json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


class _Member(zipfile.ZipInfo):
    """A member of an .npz archive, with the same local header on every Python.

    Up to Python 3.11.3, zipfile writes the real sizes and version 2.0 where later ones write 0xFFFFFFFF and version 4.5.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)  # dated 1980
        self.create_system = 3  # Unix, also where the archive is written on Windows
        self.create_version = zipfile.ZIP64_VERSION
        self.extract_version = zipfile.ZIP64_VERSION

    def FileHeader(self, zip64: bool | None = True) -> bytes:  # noqa: ARG002, N802 (zipfile's own)
        """The local header; its extra field of 20 bytes holds the real sizes."""
        name = self.filename.encode("ascii")
        fixed = struct.pack(
            "<4s5H3L2H",
            b"PK\x03\x04",
            zipfile.ZIP64_VERSION,
            0,  # no flags
            zipfile.ZIP_STORED,
            0,  # midnight
            0x21,  # 1980-01-01
            self.CRC,
            0xFFFFFFFF,
            0xFFFFFFFF,
            len(name),
            20,
        )
        return fixed + name + struct.pack("<2H2Q", 1, 16, self.file_size, self.compress_size)


def arrays_to_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An uncompressed .npz archive; the same arrays give the same bytes on every Python and platform.

    The bytes are those of np.savez on Python 3.11.4 to 3.13. Names must be ASCII.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(_Member(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def read_arrays(source: Path | IO[bytes]) -> dict[str, np.ndarray]:
    """Name -> array of an .npz archive, which must hold no pickled objects."""
    with np.load(source, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
