"""Files by their SHA-256, from the user's cache, a mirror or their sources: complete and checked, or not there.

Downloads are by requests. pooch does not fit: it checks the file that is sent, and here only the unpacked file can be pinned,
since mirrors compress anew. It knows one source, and before Python 3.12 it unpacks tar archives to disk without a filter.
urllib3's Retry covers a request up to the answer's headers, but most transfers break off in the body, so the loop is our own.
"""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import IO, cast
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

import requests
import urllib3
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from stages.lib.cli import UserError
from stages.lib.data.archives import ArchiveError, open_archive
from stages.lib.data.catalogue import File
from stages.lib.files import sha256_of, whole

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


def obtain(dataset: str, file: File, mirror: str | None, cache: Path, pauses: Sequence[float] = PAUSES) -> Path:
    """The unpacked file's path in `cache`, fetched unless it is there. Raises UserError with every source's answer.

    A mirror (a folder or a URL) comes before the sources that need a network. It has the file as MIRROR/<dataset>/<name>, where
    the name is the last part of the source, or the file's own mirror_name.
    """
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    target = cache / file.sha256
    answers = []
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):  # another study may be after the same file
            if target.is_file():
                if sha256_of(target) == file.sha256:
                    return target
                console.print(f"{file.name}: the copy in {cache} is damaged, so it is fetched again")
                target.unlink()
            for source in places(dataset, file, mirror):
                console.print(f"{file.name}: from {without_secrets(source)}")
                try:
                    return take(source, file, target, pauses, console)
                except SourceError as error:
                    console.print(f"{file.name}: {error}")
                    answers.append(f"  {without_secrets(source)}: {error}")
    except OSError as error:
        raise UserError(f"{error.filename or cache}: {error.strerror or error}") from None
    advice = "check the network, or set DATA_MIRROR to a folder or URL that holds it"
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
    remote = [url for url in map(urlsplit, file.sources) if url.scheme not in LOCAL]
    names = dict.fromkeys(file.mirror_name or PurePosixPath(url.path).name for url in remote)
    return [*(f"{base}/{dataset}/{name}" for name in names), *file.sources]


def without_secrets(url: str) -> str:
    """The URL without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def take(source: str, file: File, target: Path, pauses: Sequence[float], console: Console) -> Path:
    """Put what `source` holds, unpacked, at `target`. Raises SourceError unless its SHA-256 is right."""
    scheme = urlsplit(source).scheme
    part = target.with_suffix(".part")
    try:
        packed = LOCAL[scheme](source) if scheme in LOCAL else download(source, part, pauses, console)
        with whole(target) as temporary:
            unpack(packed, file.member, temporary)
            if (digest := sha256_of(temporary)) != file.sha256:
                raise SourceError(f"wrong content: SHA-256 expected {file.sha256}, found {digest}")
    finally:
        part.unlink(missing_ok=True)
    return target


def local_file(url: str) -> Path:
    """The file behind a file: URL."""
    path = Path(url2pathname(urlsplit(url).path))
    if path.exists() and not path.is_file():  # reading a pipe or a device may never end
        raise SourceError("is no regular file")
    try:
        path.open("rb").close()
    except OSError as error:
        raise SourceError(error.strerror) from None
    return path


def package_file(source: str) -> Path:
    """A file that ships inside an installed package: package:NAME/PATH."""
    package, _, path = urlsplit(source).path.partition("/")
    try:
        return local_file(Path(str(files(package) / path)).as_uri())
    except ModuleNotFoundError:
        raise SourceError(f"the package {package} is not installed") from None


LOCAL: dict[str, Callable[[str], Path]] = {"file": local_file, "package": package_file}
"""Scheme of a source -> the file on this machine."""


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
