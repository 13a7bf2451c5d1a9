"""Files by their SHA-256, from the user's cache, a mirror or their sources: complete and checked, or not there.

Downloads are by requests. pooch does not fit: it checks the file that is sent, and here only the unpacked file can be pinned,
since mirrors compress anew. It knows one source, and before Python 3.12 it unpacks tar archives to disk without a filter.
urllib3's Retry covers a request up to the answer's headers, but most transfers break off in the body, so the loop is our own.
"""

from __future__ import annotations

import gzip
import os
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import IO, cast
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
import urllib3
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from stages.lib.cli import UserError
from stages.lib.data.archives import ArchiveError, open_archive, pack
from stages.lib.data.catalogue import File
from stages.lib.files import sha256_of, whole, why_unwritable

CHUNK = 1 << 18
"""Bytes that are read at once."""
LARGEST = 8 << 30
"""Most bytes of a file, packed or unpacked. More is a mistake or a decompression bomb."""
TIMEOUT = (10, 60)
"""Seconds to connect, and between two chunks."""
PAUSES = (1.0, 2.0, 4.0)
"""Seconds between one attempt and the next."""
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Status codes of a server that may answer later."""


class SourceError(Exception):
    """What a source answered instead of the file."""


class PassingError(SourceError):
    """An answer that is worth another attempt: the network failed, or the server is busy."""


def obtain(dataset: str, file: File, mirror: str | None, cache: Path, spare: Path, pauses: Sequence[float] = PAUSES) -> Path:
    """The unpacked file's path in `cache`, fetched unless it is there. Raises UserError with every source's answer.

    Where nobody can write into `cache`, the file is fetched into the folder `spare`.
    A mirror (a folder or a URL) comes before the sources that need a network. It has the file as MIRROR/<dataset>/<name>, where
    the name is the last part of the source, or the file's own mirror_name.
    """
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    target = cache / file.sha256
    if why := why_unwritable(cache):
        if os.path.isfile(target) and sha256_of(target) == file.sha256:  # noqa: PTH113  # Path's raises where nobody may look
            return target
        console.print(f"{file.name}: the download cache {cache} cannot be written ({why}), so nothing is kept in it")
        target = spare / file.sha256
    answers = []
    try:
        with FileLock(target.with_suffix(".lock")):  # another study may be after the same file
            if target.is_file():
                if sha256_of(target) == file.sha256:
                    return target
                console.print(f"{file.name}: the copy in {target.parent} is damaged, so it is fetched again")
                target.unlink()
            for source in places(dataset, file, mirror):
                console.print(f"{file.name}: from {without_secrets(source)}")
                try:
                    return take(source, file, target, pauses, console)
                except SourceError as error:
                    console.print(f"{file.name}: {error}")
                    answers.append(f"  {without_secrets(source)}: {error}")
    except OSError as error:
        raise UserError(f"{error.filename or target.parent}: {error.strerror or error}") from None
    advice = "check the network, or set DATA_MIRROR to a folder or URL that holds it"
    if all(is_local(source) for source in file.sources):
        advice = "check the path and the checksum in data/datasets.yaml"
    raise UserError("\n".join([f"{dataset}: no source has {file.name} as it should be; {advice}", *answers]))


def places(dataset: str, file: File, mirror: str | None) -> list[str]:
    """The URLs to try, in their order."""
    if not mirror:
        return list(file.sources)
    base = mirror.rstrip("/") if "://" in mirror else Path(mirror).expanduser().resolve().as_uri()
    if urlsplit(base).scheme not in ("http", "https", "file"):
        raise UserError(
            f"DATA_MIRROR: {without_secrets(mirror)!r} must be a folder, or begin with https://, http:// or file:///"
        )
    remote = [source for source in file.sources if not is_local(source)]
    names = dict.fromkeys(file.mirror_name or PurePosixPath(urlsplit(source).path).name for source in remote)
    return [*(f"{base}/{dataset}/{name}" for name in names), *file.sources]


def without_secrets(url: str) -> str:
    """The URL without user, password and query. A path has none, and may hold any sign."""
    if is_local(url):
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def take(source: str, file: File, target: Path, pauses: Sequence[float], console: Console) -> Path:
    """Put what `source` holds, unpacked, at `target`. Raises SourceError unless its SHA-256 is right."""
    part = target.with_suffix(".part")
    try:
        packed = local(source) if is_local(source) else download(source, part, pauses, console)
        with whole(target) as temporary:
            if packed.is_dir():
                pack_up(packed, file.member, temporary)
            else:
                unpack(packed, file.member, temporary)
            if (digest := sha256_of(temporary)) != file.sha256:
                expected = f"SHA-256 expected {file.sha256}"
                if packed.is_file() and sha256_of(packed) == file.sha256:
                    expected = "the SHA-256 given is that of the packed file"
                raise SourceError(f"wrong content: {expected}, found {digest}")
    finally:
        part.unlink(missing_ok=True)
    return target


def is_local(source: str) -> bool:
    """Whether a source is a file on this machine, or in a package."""
    return urlsplit(source).scheme in ("", "file", "package")


def local(source: str) -> Path:
    """The file of a source on this machine: a path, file:PATH, or package:NAME/PATH. A folder ends with a slash.

    Raises SourceError, such as for a pipe or a device, which might be read for ever.
    """
    path = package_path(source) if source.startswith("package:") else path_of(source)
    if path.is_dir():
        if not source.endswith("/"):
            raise SourceError("is a folder; with a slash at its end, the source is all that the folder holds")
        return path
    if path.exists() and not path.is_file():
        raise SourceError("is no regular file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise SourceError(error.strerror) from None
    return path


def path_of(source: str) -> Path:
    """The path that a source names: as it is written, or with %20 and the like decoded, whichever is there."""
    text = re.sub(r"^file:(//(localhost)?(?=[/~]))?", "", source)
    if source.startswith("file:") and text.startswith("//"):
        raise SourceError("is on another machine; file:///FOLDER/FILE is on this one")
    text = text[1:] if text.startswith("/~") else text
    try:
        paths = [Path(each).expanduser() if each.startswith("~") else Path(each) for each in (text, unquote(text))]
    except RuntimeError as error:  # such as for ~nobody
        raise SourceError(str(error)) from None
    return next((path for path in paths if path.exists()), paths[0])


def package_path(source: str) -> Path:
    """A file that ships inside an installed package: package:NAME/PATH."""
    package, _, path = source.removeprefix("package:").partition("/")
    try:
        return Path(str(files(package) / path))
    except ModuleNotFoundError:
        raise SourceError(f"the package {package} is not installed") from None


def download(url: str, target: Path, pauses: Sequence[float], console: Console) -> Path:
    """The file behind `url` at `target`, in several attempts if need be."""
    for pause in pauses:
        try:
            return receive(url, target, console)
        except PassingError as error:
            console.print(f"{error}; again in {pause:g} s")
            time.sleep(pause)
    return receive(url, target, console)


def receive(url: str, target: Path, console: Console) -> Path:
    """The same in one attempt."""
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.status_code != 200:
                kind = PassingError if answer.status_code in PASSING else SourceError
                raise kind(f"HTTP {answer.status_code} {answer.reason}")
            save(answer, target, console)
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise PassingError(network_reason(error)) from None
    except requests.RequestException as error:
        raise SourceError(f"no request: {error}") from None
    return target


def save(answer: requests.Response, target: Path, console: Console) -> None:
    """Write the answer's body as it was sent, with a progress bar."""
    length = answer.headers.get("Content-Length", "")
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with (
        target.open("wb") as file,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        name = PurePosixPath(urlsplit(answer.url).path).name
        bar = progress.add_task(name, total=int(length) if length.isdecimal() else None)
        for chunk in answer.raw.stream(CHUNK, decode_content=False):
            file.write(chunk)
            progress.advance(bar, len(chunk))
            if file.tell() > LARGEST:
                raise SourceError(f"more than {LARGEST} bytes")


def network_reason(error: BaseException) -> str:
    """What lies at the bottom of a chain of network errors, in a few words."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    bottom = error
    while bottom.__context__:
        bottom = bottom.__context__
    if isinstance(bottom, urllib3.exceptions.IncompleteRead):
        return "the connection broke off"
    return f"no connection: {getattr(bottom, 'strerror', None) or bottom}"


def pack_up(folder: Path, member: str | None, target: Path) -> None:
    """All that `folder` holds to `target`, as an archive. Raises SourceError if that cannot be done."""
    if member is not None:
        raise SourceError(f"is a folder, where member {member!r} needs an archive")
    try:
        pack(folder, target, LARGEST)
    except ArchiveError as error:
        raise SourceError(str(error)) from None


def unpack(packed: Path, member: str | None, target: Path) -> None:
    """`packed` to `target` without gzip, or the file `member` of it if it is an archive. Its content tells, not its name."""
    with content_of(packed, member) as content, target.open("wb") as file:
        copy(content, file)


@contextmanager
def content_of(packed: Path, member: str | None) -> Iterator[IO[bytes]]:
    """The content to copy. Raises SourceError, also for what fails while it is read."""
    with packed.open("rb") as raw:
        head = raw.read(512)
        raw.seek(0)
        if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
            raise SourceError("an HTML page instead of the file")
        try:
            if member is None:
                yield cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if head.startswith(b"\x1f\x8b") else raw
                return
            with open_archive(packed) as archive:
                for _, content in archive.contents([member]):
                    yield content
                    return
            raise SourceError(f"the archive holds no file {member!r}")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(f"damaged, truncated or encrypted: {error}") from None
        except ArchiveError as error:
            raise SourceError(str(error)) from None


def copy(source: IO[bytes], target: IO[bytes]) -> None:
    """All of `source`, but not more than LARGEST bytes."""
    while chunk := source.read(CHUNK):
        target.write(chunk)
        if target.tell() > LARGEST:
            raise SourceError(f"unpacks to more than {LARGEST} bytes")
