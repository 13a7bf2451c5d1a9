"""What kind of files a user has: unpacked, told apart by their first bytes, and given their roles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from stages.lib.cli import UserError
from stages.lib.data.archives import ArchiveError, is_clutter, open_archive
from stages.lib.data.catalogue import File
from stages.lib.data.download import SourceError, pack_up, unpack
from stages.lib.data.readers.arrays import IDX_TYPES
from stages.lib.files import sha256_of
from stages.lib.starting.answers import Answers, Seen
from stages.lib.starting.arrays import look_at_idx, look_at_npy, look_at_npz
from stages.lib.starting.images import ENDINGS, look_at_images
from stages.lib.starting.tables import look_at_table

TABLES = {".parquet": "parquet", ".xlsx": "excel"}
WEB = ("http:", "https:")
TESTS = re.compile(r"(^|[^a-z])(test|t10k|eval)", re.IGNORECASE)
"""What the name of a file to test on has."""


class Given(NamedTuple):
    """A file of the user: where its content lies unpacked, where it comes from, and its kind."""

    content: Path
    source: str
    member: str | None
    kind: str

    @property
    def name(self) -> str:
        """A name that it may have in data/raw."""
        last = PurePosixPath(self.member or self.source).name.removesuffix(".gz" if self.member is None else "")
        plain = re.sub(r"[^\w.-]", "_", last).lstrip(".-") or "data"
        return f"{plain}.tar" if self.source.endswith("/") else plain

    def file(self, name: str) -> File:
        """The entry of the catalogue."""
        return File(name=name, sha256=sha256_of(self.content), sources=(self.source,), member=self.member)


def source_of(path: Path, root: Path) -> str:
    """The path as a source: from the checkout's root if it lies there, otherwise absolute. A folder's ends with a slash."""
    whole = path.resolve()
    inside = whole.relative_to(root.resolve()) if whole.is_relative_to(root.resolve()) else whole
    source = f"./{inside.as_posix()}" if re.match(r"[\w+.-]+:|~", inside.as_posix()) else inside.as_posix()
    return f"{source}/" if path.is_dir() else source


def opened(path: Path, root: Path, folder: Path, member: str | None, answers: Answers) -> Given:
    """The user's file or folder with its content unpacked, in `folder` if need be. Raises UserError for what cannot be used."""
    source = source_of(path, root)
    target = folder / str(len(list(folder.iterdir()))) / PurePosixPath(source).name
    target.parent.mkdir()
    try:
        if path.is_dir():
            pack_up(path, member, target)
            return Given(target, source, None, "images")
        if not path.is_file():
            there = "is no regular file" if path.exists() else "does not exist"
            raise UserError(f"{path}: {'is on the web; give a copy of it' if path.parts[0] in WEB else there}")
        kind = kind_of(path)
        if kind == "archive":
            names = files_in(path)
            if member is None and any(name.lower().endswith(ENDINGS) for name in names):
                unpack(path, None, target)  # gzip around it, as the fetch stage does
                return Given(target, source, None, "images")
            member = member or _member(names, path, answers)
        elif member is not None:
            raise UserError(f"{path}: member {member!r} needs an archive")
        elif kind != "gzip":
            return Given(path, source, None, kind)
        unpack(path, member, target)
    except (SourceError, ArchiveError) as error:
        raise UserError(f"{path}: {error}") from None
    inner = kind_of(target)
    return Given(target, source, member, "images" if inner == "archive" else _by_name(inner, member or path.stem))


def _member(names: Sequence[str], path: Path, answers: Answers) -> str:
    """The file to use of an archive without images."""
    if len(names) == 1:
        return names[0]
    listed = ", ".join(sorted(names)[:10])
    return answers.ask(f"{path}: an archive of {len(names)} files; which is the data: {listed}?", names, "--member NAME.")


def files_in(path: Path) -> list[str]:
    """The names of an archive's files, without those that systems leave."""
    with open_archive(path) as archive:
        return [name for name in archive.sizes if not is_clutter(PurePosixPath(name).parts)]


def kind_of(path: Path) -> str:
    """`npz`, `npy`, `idx`, `archive`, `gzip`, `parquet`, `excel` or `csv`, by the first bytes."""
    with path.open("rb") as file:
        start = file.read(512)
    if start[:6] == b"\x93NUMPY":
        return "npy"
    if start[:2] == b"\0\0" and start[2:3] and start[2] in IDX_TYPES:
        return "idx"
    if start[:4] == b"PAR1":
        return "parquet"
    if start[:4] == b"PK\x03\x04":
        names = files_in(path)
        if names and all(name.endswith(".npy") for name in names):
            return "npz"
        return "excel" if any(name.startswith("xl/") for name in names) else "archive"
    if start[257:262] == b"ustar" or start[:3] == b"BZh" or start[:6] == b"\xfd7zXZ\0" or start[:2] == b"PK":
        return "archive"
    if start[:2] == b"\x1f\x8b":
        return "archive" if path.name.endswith((".tar.gz", ".tgz")) else "gzip"
    return _by_name("csv", path.name)


def _by_name(kind: str, name: str) -> str:
    return TABLES.get(PurePosixPath(name).suffix.lower(), kind) if kind == "csv" else kind


def in_roles(files: Sequence[Given]) -> dict[str, Given]:
    """Role -> file, as the kind's reader names them. Raises UserError for files that do not go together."""
    kinds = {file.kind for file in files}
    if len(kinds) > 1:
        raise UserError(f"{', '.join(file.source for file in files)}: files of several kinds, {', '.join(sorted(kinds))}")
    (kind,) = kinds
    if kind in ("npy", "idx"):
        return _pairs(files, kind)
    single = {"images": "archive", "npz": "arrays"}.get(kind, "all")
    if len(files) == 1:
        return {single: files[0]}
    if len(files) == 2 and kind != "npz":
        first, second = files if not TESTS.search(files[0].name) else reversed(files)
        return {"train": first, "test": second}
    raise UserError(f"{len(files)} files; a data set of {kind} has one, or one to train with and one to test on")


def _pairs(files: Sequence[Given], kind: str) -> dict[str, Given]:
    """Inputs and targets, or images and labels: of each pair the file with more bytes first."""
    words = ("inputs", "targets") if kind == "npy" else ("images", "labels")
    tests = [file for file in files if TESTS.search(file.name)]
    trains = [file for file in files if file not in tests]
    parts = {"": list(files)} if len(files) == 2 else {"train_": trains, "test_": tests}
    if any(len(pair) != 2 for pair in parts.values()):
        named = ", ".join(file.source for file in files)
        raise UserError(
            f"{named}: of the kind {kind}; give a file of {words[0]} and one of {words[1]}, or both of train and test"
        )
    ordered = {part: sorted(pair, key=lambda file: -file.content.stat().st_size) for part, pair in parts.items()}
    return {f"{part}{word}": file for part, pair in ordered.items() for word, file in zip(words, pair, strict=True)}


def look_at(files: dict[str, Given], answers: Answers) -> Seen:
    """What the files were taken for."""
    paths = {role: file.content for role, file in files.items()}
    first = next(iter(files.values()))
    if first.kind == "images":
        return look_at_images(first.content, answers)
    if first.kind == "npz":
        return look_at_npz(first.content, answers)
    if first.kind in ("npy", "idx"):
        return {"npy": look_at_npy, "idx": look_at_idx}[first.kind](paths, answers)
    return look_at_table(first.content, first.kind, answers)
