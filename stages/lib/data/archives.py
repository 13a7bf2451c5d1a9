"""Members of zip and tar archives. They are read one by one, and nothing is unpacked to disk. A folder becomes an archive.

The data filter of tarfile and `extractall` are not needed then. They differ between Python 3.11.2 and 3.12.
"""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from textwrap import shorten
from typing import IO, NamedTuple

from stages.lib.files import inner_path

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a zip archive with members, and of one without."""
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""What the standard library raises while it reads. RuntimeError is that of an encrypted zip archive."""

CLUTTER = ("__macosx", "$recycle.bin", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini")
"""Files and folders, in small letters, that systems leave among a user's own."""


class ArchiveError(Exception):
    """An archive that cannot be read, or that is refused."""


class Member(NamedTuple):
    """What zip and tar archives say of a member alike."""

    name: str
    size: int
    is_folder: bool
    is_file: bool
    open: Callable[[], IO[bytes] | None]


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)  # 0 if the archive was not made on Unix
        yield Member(
            member.filename, member.file_size, member.is_dir(), kind in (0, stat.S_IFREG), partial(archive.open, member)
        )


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    for member in archive:
        yield Member(member.name, member.size, member.isdir(), member.isfile(), partial(archive.extractfile, member))


class Archive:
    """The files of an archive, by their paths in it."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._files: dict[str, Member] = {}
        for member in members:
            path = _inside(member.name)
            if member.is_folder:
                continue
            if not member.is_file:
                raise ArchiveError(
                    f"refused: the archive's member {member.name!r} is a link or a device, not a file; pack the file itself"
                )
            if path in self._files:
                raise ArchiveError(f"refused: the archive's member {member.name!r} is in it twice")
            self._files[path] = member

    @property
    def sizes(self) -> dict[str, int]:
        """Path of a file -> its bytes."""
        return {path: member.size for path, member in self._files.items()}

    def contents(self, paths: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        """(path, content) of these files, in the order of the archive: a compressed one cannot be read backwards."""
        for path, member in self._files.items():
            if path in paths and (content := member.open()):
                with content:
                    yield path, content


def _inside(name: str) -> str:
    """The member's path. Raises ArchiveError for one that is absolute, names a drive, or climbs."""
    try:
        return inner_path(name)
    except ValueError as error:
        raise ArchiveError(f"refused: the archive's member {error}") from None


def _opened(file: IO[bytes]) -> zipfile.ZipFile | tarfile.TarFile:
    is_zip = file.read(4) in ZIP_STARTS
    file.seek(0)
    try:
        return zipfile.ZipFile(file) if is_zip else tarfile.open(fileobj=file)
    except (tarfile.ReadError, zipfile.BadZipFile):
        raise ArchiveError("neither a zip nor a tar archive, or a damaged one") from None


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The files of a zip archive, or of a tar archive that may be compressed.

    Raises ArchiveError, also for what fails while the body reads, for a file that is no archive or a damaged one, and for
    members that lead out of the archive's folder, are links or devices, or are in it twice.
    """
    try:
        with path.open("rb") as file, _opened(file) as archive:
            yield Archive(_zip_members(archive) if isinstance(archive, zipfile.ZipFile) else _tar_members(archive))
    except DAMAGED as error:
        raise ArchiveError(f"damaged, truncated or encrypted: {shorten(str(error), 150)}") from None
    except OSError as error:
        if error.errno is not None:  # such as a full disk; a damaged gzip or bzip2 file has no number
            raise
        raise ArchiveError(f"damaged, truncated or encrypted: {error}") from None


def is_clutter(parts: Sequence[str]) -> bool:
    """Whether a path, by its parts, is hidden or one that a system left."""
    return any(part.startswith(".") or part.lower() in CLUTTER for part in parts)


def pack(folder: Path, target: Path, most: int) -> None:
    """Write the files below a folder as a tar archive: the same names and contents give the same bytes on every machine.

    Dates and owners do not count, and what `is_clutter` is left out. Names are in Unicode's NFC, which macOS writes otherwise.
    Raises ArchiveError for a folder without files, or with more than `most` bytes.
    """
    found: dict[str, Path] = {}
    for path in folder.rglob("*"):
        name = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
        if path.is_file() and not is_clutter(PurePosixPath(name).parts):
            found[name] = path
    size = sum(path.stat().st_size for path in found.values())
    if not found or size > most:
        raise ArchiveError(f"the folder holds more than {most} bytes" if found else "the folder holds no files")
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in sorted(found.items()):
            with path.open("rb") as content:
                member = tarfile.TarInfo(name)
                member.size = os.fstat(content.fileno()).st_size
                archive.addfile(member, content)
