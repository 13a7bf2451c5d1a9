"""Files by their SHA-256, from the user's cache, a mirror or their sources: complete and checked, or not there."""

from __future__ import annotations

import gzip
import stat
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

import platformdirs
import requests
import urllib3
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from stages.lib.cli import UserError
from stages.lib.data.catalogue import File, sha256_of
from stages.lib.files import whole, write_text

CHUNK = 1 << 18  # bytes
LARGEST = 8 << 30  # bytes, packed or unpacked; more is a mistake or a decompression bomb
TIMEOUT = (10, 60)  # seconds to connect, and between two chunks
PAUSES = (1.0, 2.0, 4.0)  # seconds between one attempt and the next
PASSING = {408, 425, 429, 500, 502, 503, 504}  # status codes that are worth another attempt


class SourceError(Exception):
    """What a source answered instead of the file."""


class PassingError(SourceError):
    """Worth another attempt: the network, or a server that is busy."""


def user_cache() -> Path:
    """Where this user's downloads are kept, whichever checkout asks."""
    return platformdirs.user_cache_path("tips-on-trial") / "downloads"


def obtain(dataset: str, file: File, mirror: str | None, cache: Path, pauses: Sequence[float] = PAUSES) -> Path:
    """The unpacked file's path in `cache`, fetched unless it is there. Raises UserError with every source's answer.

    A mirror (a folder or a URL) comes before the sources that need a network, as MIRROR/<dataset>/<source's last part>, or
    under the file's own mirror_name.
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
                console.print(f"{file.name}: from {shown(source)}")
                try:
                    return take(source, file, target, pauses, console)
                except SourceError as error:
                    console.print(f"{file.name}: {error}")
                    answers.append(f"  {shown(source)}: {error}")
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
        raise UserError(f"DATA_MIRROR: {shown(mirror)!r} must be a folder, or begin with https://, http:// or file:///")
    remote = [url for url in map(urlsplit, file.sources) if url.scheme not in LOCAL]
    names = dict.fromkeys(file.mirror_name or PurePosixPath(url.path).name for url in remote)
    return [*(f"{base}/{dataset}/{name}" for name in names), *file.sources]


def shown(url: str) -> str:
    """The URL without what may be secret: user, password and query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def take(source: str, file: File, target: Path, pauses: Sequence[float], console: Console) -> Path:
    """Put what `source` holds, unpacked, at `target` if its SHA-256 is right."""
    scheme = urlsplit(source).scheme
    part = target.with_suffix(".part")
    packed = LOCAL[scheme](source) if scheme in LOCAL else download(source, part, pauses, console)
    try:
        with whole(target) as temporary:
            unpack(packed, file.member, temporary)
            if (found := sha256_of(temporary)) != file.sha256:
                raise SourceError(f"wrong content: SHA-256 expected {file.sha256}, found {found}")
    finally:
        forget(part)
    return target


def local_file(url: str) -> Path:
    path = Path(url2pathname(urlsplit(url).path))
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


def download(url: str, part: Path, pauses: Sequence[float], console: Console) -> Path:
    """The file behind `url` at `part`, in several attempts if need be."""
    for pause in pauses:
        try:
            return receive(url, part, console)
        except PassingError as error:
            console.print(f"{error}; again in {pause:g} s")
            time.sleep(pause)
    return receive(url, part, console)


def receive(url: str, part: Path, console: Console) -> Path:
    """One attempt, which goes on where an earlier one broke off if the URL still holds the same version."""
    held, resume = resumption(url, part)
    headers = {"Accept-Encoding": "identity", **resume}
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as answer:
            check_status(answer, held, part)
            resumed = answer.status_code == 206
            if not resumed:
                remember(url, answer, part)
            save(answer, part, held if resumed else 0, console)
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise PassingError(reason(error)) from None
    except requests.RequestException as error:
        raise SourceError(f"no request: {error}") from None
    return part


def tag(part: Path) -> Path:
    """The file beside a partial download that says of which version of which URL it is."""
    return part.with_suffix(".tag")


def resumption(url: str, part: Path) -> tuple[int, dict[str, str]]:
    """How many bytes are there, and the headers that ask for the rest unless the file has changed meanwhile."""
    held = part.stat().st_size if part.is_file() else 0
    known = tag(part).read_text().splitlines() if tag(part).is_file() else []
    if not held or len(known) != 2 or known[0] != shown(url):
        return 0, {}
    return held, {"Range": f"bytes={held}-", "If-Range": known[1]}


def remember(url: str, answer: requests.Response, part: Path) -> None:
    """Note the version that `part` begins to hold; where a server names none (a weak ETag is none), nothing resumes."""
    etag = answer.headers.get("ETag", "W/")
    version = answer.headers.get("Last-Modified") if etag.startswith("W/") else etag
    forget(part)
    if version:
        write_text(tag(part), f"{shown(url)}\n{version}\n")


def forget(part: Path) -> None:
    for path in (part, tag(part)):
        path.unlink(missing_ok=True)


def check_status(answer: requests.Response, held: int, part: Path) -> None:
    """Raises SourceError unless the answer is the whole file (200), or its rest from byte `held` on (206)."""
    code = answer.status_code
    rest = held and answer.headers.get("Content-Range", "").startswith(f"bytes {held}-")
    if code == 200 or (code == 206 and rest):
        return
    if code in (206, 416):
        forget(part)
        raise PassingError(f"HTTP {code}, not the rest of the file, so it starts anew")
    raise (PassingError if code in PASSING else SourceError)(f"HTTP {code} {answer.reason}")


def save(answer: requests.Response, part: Path, start: int, console: Console) -> None:
    """Write the answer's body, as it was sent, behind the first `start` bytes; a bar shows how far it is."""
    length = answer.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else None
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with (
        part.open("ab" if start else "wb") as file,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task(PurePosixPath(urlsplit(answer.url).path).name, total=total, completed=start)
        for chunk in answer.raw.stream(CHUNK, decode_content=False):
            file.write(chunk)
            progress.advance(bar, len(chunk))
            if file.tell() > LARGEST:
                forget(part)
                raise SourceError(f"more than {LARGEST} bytes")


def reason(error: BaseException) -> str:
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
    """`packed` to `target` without gzip, or `member` of it where it is a tar or zip archive, as its content tells."""
    with packed.open("rb") as raw, target.open("wb") as file:
        head = raw.read(512)
        raw.seek(0)
        if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
            raise SourceError("an HTML page instead of the file")
        content = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if head.startswith(b"\x1f\x8b") else raw
        try:
            if member is None:
                copy(content, file)
            else:
                with tempfile.TemporaryFile(dir=target.parent) as archive:
                    copy(content, archive)
                    copy(extract(archive, member), file)
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, RuntimeError) as error:
            raise SourceError(f"damaged, truncated or encrypted: {error}") from None


def copy(source: IO[bytes], target: IO[bytes]) -> None:
    """All of `source`, but not more than LARGEST bytes."""
    while chunk := source.read(CHUNK):
        target.write(chunk)
        if target.tell() > LARGEST:
            raise SourceError(f"unpacks to more than {LARGEST} bytes")


def extract(archive: IO[bytes], member: str) -> IO[bytes]:
    """One member of an archive, unless any member would leave the folder that the archive is unpacked in."""
    archive.seek(0)
    head = archive.read(512)
    archive.seek(0)
    for offset, magic, open_member in ARCHIVES:
        if head[offset:].startswith(magic):
            try:
                return open_member(archive, member)
            except KeyError:
                raise SourceError(f"the archive holds no file {member!r}") from None
    raise SourceError(f"neither a tar nor a zip archive, so there is no {member!r} in it")


def tar_member(archive: IO[bytes], member: str) -> IO[bytes]:
    contents = tarfile.open(fileobj=archive, mode="r:")  # noqa: SIM115 (the caller closes the archive)
    for each in contents:
        check_inside(each.name)
        if not each.isfile() and not each.isdir():
            raise SourceError(f"refused: the archive's member {each.name!r} is a link or a device")
    file = contents.extractfile(member) if contents.getmember(member).isfile() else None
    if file is None:
        raise KeyError(member)
    return file


def zip_member(archive: IO[bytes], member: str) -> IO[bytes]:
    contents = zipfile.ZipFile(archive)
    for each in contents.infolist():
        check_inside(each.filename)
        if stat.S_ISLNK(each.external_attr >> 16):
            raise SourceError(f"refused: the archive's member {each.filename!r} is a link")
    return contents.open(member)


ARCHIVES: tuple[tuple[int, bytes, Callable[[IO[bytes], str], IO[bytes]]], ...] = (
    (0, b"PK\x03\x04", zip_member),
    (257, b"ustar", tar_member),
)


def check_inside(name: str) -> None:
    """Raises SourceError for an absolute path, a drive, or one that climbs."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        raise SourceError(f"refused: the archive's member {name!r} leads out of its folder")
