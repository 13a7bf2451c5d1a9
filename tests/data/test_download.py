"""Downloads against a real server on loopback: whatever a source does, the right file arrives or nothing does."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from stages.lib.cli import UserError
from stages.lib.data import download as module
from stages.lib.data.archives import ArchiveError, open_archive, pack
from stages.lib.data.catalogue import File
from stages.lib.data.download import obtain, without_secrets

CONTENT = bytes(range(256)) * 40
PACKED = gzip.compress(CONTENT, mtime=0)
Reply = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers each request for a path with the next of its replies, the last one for ever; notes what was asked for."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[str] = []  # paths
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                replies = server.replies.get(self.path, [reply(b"", 404)])
                (replies.pop(0) if len(replies) > 1 else replies[0])(self)

            def log_request(self, *_: object) -> None:
                """Keep quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def url(self, path: str, *replies: Reply) -> str:
        self.replies[path] = list(replies)
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def reply(body: bytes, status: int = 200, headers: Mapping[str, str] = {}, length: int | None = None) -> Reply:
    """`body`, with a Content-Length that may promise more than it."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def broken() -> Reply:
    """The connection ends after 100 bytes."""
    return reply(PACKED[:100], length=len(PACKED))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def make_file(*sources: str, content: bytes = CONTENT, member: str | None = None) -> File:
    return File(name="digits.bin", sha256=hashlib.sha256(content).hexdigest(), sources=sources, member=member)


def get(file: File, cache: Path, mirror: str | None = None, attempts: int = 3) -> bytes:
    path = obtain("digits", file, mirror, cache, cache.parent / "spare", pauses=(0,) * (attempts - 1))
    assert path == cache / file.sha256
    assert leftovers(cache) == {path.name}
    return path.read_bytes()


def leftovers(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if path.suffix != ".lock"}


def refused(file: File, cache: Path, mirror: str | None = None) -> str:
    """The message of a download that fails, leaving nothing."""
    with pytest.raises(UserError) as caught:
        obtain("digits", file, mirror, cache, cache.parent / "spare", pauses=(0, 0))
    assert leftovers(cache) == set()
    return str(caught.value)


def tar(*members: tuple[str, bytes], link: tuple[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link[0])
            info.type, info.linkname = tarfile.SYMTYPE, link[1]
            archive.addfile(info)
    return buffer.getvalue()


def zipped(*members: tuple[str, bytes], mode: int = stat.S_IFREG) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.mark.parametrize("body", [CONTENT, PACKED], ids=["plain", "gzip"])
def test_content_decides_about_unpacking(server: Server, cache: Path, body: bytes) -> None:
    assert get(make_file(server.url("/misnamed.zip", reply(body))), cache) == CONTENT


@pytest.mark.parametrize("pack", [tar, zipped])
def test_member_of_archive(server: Server, cache: Path, pack: Callable[..., bytes]) -> None:
    body = pack(("folder/a.txt", b"other"), ("folder/digits.bin", CONTENT))
    assert get(make_file(server.url("/a.gz", reply(body)), member="folder/digits.bin"), cache) == CONTENT


def test_fetched_once_per_user(server: Server, cache: Path) -> None:
    file = make_file(server.url("/a.gz", reply(PACKED)))
    assert get(file, cache) == get(file, cache) == CONTENT
    assert len(server.asked) == 1


def test_damaged_cache_entry_is_fetched_again(server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = make_file(server.url("/a.gz", reply(PACKED)))
    cache.mkdir()
    (cache / file.sha256).write_bytes(CONTENT[:-1])
    assert get(file, cache) == CONTENT
    assert "is damaged, so it is fetched again" in capsys.readouterr().err


def test_mirror_folder_comes_first(server: Server, cache: Path, tmp_path: Path) -> None:
    mirrored = tmp_path / "a mirror" / "digits" / "a.gz"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(PACKED)
    assert get(make_file(server.url("/a.gz", reply(PACKED))), cache, mirror=str(tmp_path / "a mirror")) == CONTENT
    assert mirrored.read_bytes() == PACKED
    assert server.asked == []


def test_mirror_url_comes_first(server: Server, cache: Path) -> None:
    mirror = server.url("/mirror/digits/a.gz", reply(PACKED)).removesuffix("/digits/a.gz")
    assert get(make_file(server.url("/a.gz", reply(PACKED))), cache, mirror=f"{mirror}/") == CONTENT
    assert server.asked == ["/mirror/digits/a.gz"]


def test_mirror_may_call_it_otherwise(server: Server, cache: Path) -> None:
    mirror = server.url("/mirror/digits/archive.tgz", reply(tar(("digits.bin", CONTENT)))).removesuffix("/digits/archive.tgz")
    file = make_file("https://127.0.0.1:9/files/5976036", "https://127.0.0.1:9/another", member="digits.bin")
    assert get(file.model_copy(update={"mirror_name": "archive.tgz"}), cache, mirror=mirror) == CONTENT
    assert server.asked == ["/mirror/digits/archive.tgz"]


def test_source_keeps_its_own_name_where_a_mirror_has_another(server: Server, cache: Path, tmp_path: Path) -> None:
    file = make_file(server.url("/files/5976036", reply(PACKED))).model_copy(update={"mirror_name": "a.gz"})
    assert get(file, cache, mirror=str(tmp_path)) == CONTENT
    assert server.asked == ["/files/5976036"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(b"<html><body>Please log in</body></html>"), "an HTML page instead of the file"),
        (reply(tar(("digits.bin", CONTENT))[:200]), "damaged, truncated or encrypted"),
        (reply(tar(("digits.bin", CONTENT[:-1]))), "wrong content: SHA-256 expected"),
        (reply(b"", 404), "HTTP 404 Not Found"),
    ],
    ids=["page", "half an archive", "altered", "missing"],
)
def test_bad_mirror_is_passed_over(
    server: Server, cache: Path, capsys: pytest.CaptureFixture[str], answer: Reply, said: str
) -> None:
    mirror = server.url("/mirror/digits/a.tgz", answer).removesuffix("/digits/a.tgz")
    file = make_file(server.url("/a.tgz", reply(tar(("digits.bin", CONTENT)))), member="digits.bin")
    assert get(file, cache, mirror=mirror) == CONTENT
    assert server.asked == ["/mirror/digits/a.tgz", "/a.tgz"]
    assert f"digits.bin: {said}" in capsys.readouterr().err


def test_mirror_without_the_file(server: Server, cache: Path, tmp_path: Path) -> None:
    assert get(make_file(server.url("/a.gz", reply(PACKED))), cache, mirror=str(tmp_path)) == CONTENT


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("pipe", "is no regular file"),
        ("/dev/zero", "is no regular file"),
        ("folder", "is a folder; with a slash at its end, the source is all that the folder holds"),
        ("folder/", "the folder holds no files"),
    ],
)
def test_not_everything_is_a_source(source: str, said: str, cache: Path, tmp_path: Path) -> None:
    """A pipe would be waited for, and /dev/zero has no end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    place = "" if source.startswith("/") else f"{tmp_path}/"
    with pytest.raises(UserError, match=said):
        get(make_file(f"file://{place}{source}"), cache)
    with pytest.raises(UserError, match="check the path and the checksum in data/datasets"):
        get(make_file(f"{place}{source}"), cache)


@pytest.mark.parametrize("name", ["digits file", "50%.bin", "a%20b", "a#1.bin", "a?b.bin", "\u00f6.bin", "~a"])
@pytest.mark.parametrize("place", ["{}", "file://{}", "file://localhost{}", "file:{}"])
def test_file_names_are_taken_as_they_are_written(name: str, place: str, cache: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PACKED)
    assert get(make_file(place.format(tmp_path / name)), cache) == CONTENT


def test_paths_may_begin_at_home_or_at_the_checkout(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(CONTENT)
    for source in ("~/a.bin", "file:~/a.bin", "file:///~/a.bin", "a.bin", "./a.bin", "file:a.bin"):
        assert get(make_file(source), cache) == CONTENT
        (cache / make_file(source).sha256).unlink()
    assert "is on another machine" in refused(make_file("file://server/share/a.bin"), cache)


def test_the_checksum_of_the_packed_file_is_the_wrong_one(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(PACKED)
    said = refused(
        make_file(str(tmp_path / "a.gz"), content=CONTENT).model_copy(update={"sha256": hashlib.sha256(PACKED).hexdigest()}),
        cache,
    )
    assert f"the SHA-256 given is that of the packed file, found {hashlib.sha256(CONTENT).hexdigest()}" in said


def test_a_folder_is_the_same_archive_whatever_its_dates_order_and_clutter(cache: Path, tmp_path: Path) -> None:
    members = {"b/1.png": b"one", "a/2.png": b"two", "M\u00f6we/3.png": b"three"}
    packed = []
    for number, names in enumerate((list(members), sorted(members, reverse=True))):
        folder = tmp_path / str(number)
        for name in names:
            path = folder / (unicodedata.normalize("NFD", name) if number else name)
            path.parent.mkdir(parents=True)
            path.write_bytes(members[name])
        (folder / "a" / ".DS_Store").write_bytes(bytes([number]))
        (folder / "a" / "Thumbs.db").write_bytes(bytes([number]))
        os.utime(folder / "a" / "2.png", (number, number))
        pack(folder, tmp_path / f"{number}.tar", 1000)
        packed.append((tmp_path / f"{number}.tar").read_bytes())
    assert packed[0] == packed[1]
    digest = hashlib.sha256(packed[0]).hexdigest()
    assert digest == "3c15166d414d215ca25ccd428a35767bc5cf557defe1c4e693d731b91ec5930e"  # on every Python
    assert get(make_file(f"file://{tmp_path}/0/", content=packed[0]), cache) == packed[0]
    with open_archive(tmp_path / "0.tar") as archive:
        assert {name: content.read() for name, content in archive.contents(members)} == members
    assert "is a folder, where member 'x' needs an archive" in refused(
        make_file(f"{tmp_path}/0/", member="x"), tmp_path / "new"
    )
    with pytest.raises(ArchiveError, match="more than 10 bytes"):
        pack(tmp_path / "0", tmp_path / "0.tar", 10)


def test_mirror_is_not_asked_for_local_files(cache: Path) -> None:
    file = make_file("package:stages/lib/data/download.py", content=Path(module.__file__).read_bytes())
    assert get(file, cache, mirror="http://127.0.0.1:9")


def test_unknown_kind_of_mirror(cache: Path) -> None:
    message = refused(make_file("https://example.org/a.gz"), cache, mirror="s3://user:secret@bucket")
    assert message == "DATA_MIRROR: 's3://bucket' must be a folder, or begin with https://, http:// or file:///"


def test_file_url(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "digits file").write_bytes(PACKED)
    assert get(make_file((tmp_path / "digits file").as_uri()), cache) == CONTENT


def test_sources_in_their_order(server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = [
        server.url("/missing", reply(b"", 404)),
        server.url("/wrong", reply(PACKED[:-20] + b"x" * 20)),
        server.url("/other", reply(b"other")),
        server.url("/page", reply(b"\n<!DOCTYPE html><title>Log in</title>")),
        server.url("/cut", reply(PACKED[:100])),
        server.url("/right", reply(PACKED)),
        server.url("/never", reply(PACKED)),
    ]
    assert get(make_file("file:///no/such/file", "package:no_such_package/file", *urls), cache) == CONTENT
    assert server.asked == ["/missing", "/wrong", "/other", "/page", "/cut", "/right"]
    said = capsys.readouterr().err
    other = hashlib.sha256(b"other").hexdigest()
    for answer in (
        "No such file or directory",
        "the package no_such_package is not installed",
        "HTTP 404 Not Found",
        "damaged, truncated or encrypted",
        f"wrong content: SHA-256 expected {make_file('file:///x').sha256}, found {other}",
        "an HTML page instead of the file",
    ):
        assert answer in said


def test_starts_anew_where_the_connection_broke(server: Server, cache: Path) -> None:
    file = make_file(server.url("/a.gz", broken(), reply(PACKED)))
    assert get(file, cache) == CONTENT
    assert server.asked == ["/a.gz"] * 2


def test_a_connection_that_breaks_each_time_is_one_line(server: Server, cache: Path) -> None:
    assert "/a.gz: the connection broke off" in refused(make_file(server.url("/a.gz", broken())), cache)
    assert len(server.asked) == 3


def test_another_source_starts_with_nothing_of_the_first(server: Server, cache: Path) -> None:
    urls = server.url("/a.gz", broken()), server.url("/b.gz", reply(PACKED))
    assert get(make_file(*urls), cache, attempts=1) == CONTENT
    assert server.asked == ["/a.gz", "/b.gz"]


def test_a_part_of_the_file_is_not_the_file(server: Server, cache: Path) -> None:
    """Nobody asked for a range, so such an answer comes from a server, or a proxy, that does as it likes."""
    rest = reply(PACKED[100:], 206, {"Content-Range": f"bytes 100-{len(PACKED) - 1}/{len(PACKED)}"})
    assert "HTTP 206 Partial Content" in refused(make_file(server.url("/a.gz", rest)), cache)


def test_busy_server_is_asked_again(server: Server, cache: Path) -> None:
    file = make_file(server.url("/a.gz", reply(b"", 503), reply(b"", 429), reply(PACKED)))
    assert get(file, cache) == CONTENT


def test_attempts_end(server: Server, cache: Path) -> None:
    assert "HTTP 503 Service Unavailable" in refused(make_file(server.url("/a.gz", reply(b"", 503))), cache)
    assert len(server.asked) == 3


def test_pauses_between_attempts(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("stages.lib.data.download.time.sleep", slept.append)
    with pytest.raises(UserError):
        obtain("digits", make_file(server.url("/a.gz", reply(b"", 503))), None, cache, cache.parent / "spare")
    assert slept == [1.0, 2.0, 4.0]


def test_silent_server(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", (1, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = refused(make_file(f"http://127.0.0.1:{silent.getsockname()[1]}/a.gz"), cache)
    assert "no answer in time" in message


def test_no_network_says_what_to_do(server: Server, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    file = make_file(f"http://127.0.0.1:{port}/a.gz", server.url("/missing", reply(b"", 404)))
    assert refused(file, cache).splitlines() == [
        "digits: no source has digits.bin as it should be;"
        " check the network, or set DATA_MIRROR to a folder or URL that holds it",
        f"  http://127.0.0.1:{port}/a.gz: no connection: Connection refused",
        f"  http://127.0.0.1:{server.http.server_port}/missing: HTTP 404 Not Found",
    ]


@pytest.mark.parametrize(
    "body",
    [
        tar(("../up", b""), ("digits.bin", CONTENT)),
        tar(("folder/../../up", b""), ("digits.bin", CONTENT)),
        tar(("/etc/up", b""), ("digits.bin", CONTENT)),
        tar(("digits.bin", CONTENT), link=("link", "../up")),
        tar(("digits.bin", CONTENT), link=("link", "/etc")),
        tar(("digits.bin", CONTENT), link=("link", "digits.bin")),
        zipped(("../up", b""), ("digits.bin", CONTENT)),
        zipped(("..\\up", b""), ("digits.bin", CONTENT)),
        zipped(("/etc/up", b""), ("digits.bin", CONTENT)),
        zipped(("C:up", b""), ("digits.bin", CONTENT)),
        zipped(("digits.bin", CONTENT), mode=stat.S_IFLNK),
    ],
)
def test_climbing_archive_is_refused(server: Server, cache: Path, tmp_path: Path, body: bytes) -> None:
    assert "refused: the archive's member" in refused(make_file(server.url("/a.gz", reply(body)), member="digits.bin"), cache)
    assert list(tmp_path.iterdir()) == [cache]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (tar(("other", CONTENT)), "the archive holds no file 'digits.bin'"),
        (zipped(("other", CONTENT)), "the archive holds no file 'digits.bin'"),
        (tar(link=("digits.bin", "other")), "refused: the archive's member 'digits.bin' is a link or a device"),
        (PACKED, "neither a zip nor a tar archive, or a damaged one"),
        (zipped(("digits.bin", CONTENT))[:-30], "neither a zip nor a tar archive, or a damaged one"),
        (gzip.compress(gzip.decompress(tar(("digits.bin", CONTENT)))[:600]), "damaged, truncated or encrypted"),
    ],
    ids=["tar", "zip", "link", "no archive", "zip cut short", "tar cut short"],  # pytest's own have a time stamp in them
)
def test_archive_without_the_member(server: Server, cache: Path, body: bytes, message: str) -> None:
    assert message in refused(make_file(server.url("/a.gz", reply(body)), member="digits.bin"), cache)


def test_decompression_bomb(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 5000)
    message = refused(make_file(server.url("/a.gz", reply(PACKED)), server.url("/b", reply(CONTENT))), cache)
    assert "unpacks to more than 5000 bytes" in message
    assert "more than 5000 bytes" in message.splitlines()[-1]


def test_full_disk_is_one_line(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "copy", full)
    assert refused(make_file(server.url("/a.gz", reply(PACKED))), cache) == f"{cache}: No space left on device"


def test_interrupted_download_leaves_no_file(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "sha256_of", interrupt)
    with pytest.raises(KeyboardInterrupt):
        obtain("digits", make_file(server.url("/a.gz", reply(PACKED))), None, cache, cache.parent / "spare")
    assert leftovers(cache) == set()


def test_body_is_kept_as_it_was_sent(server: Server, cache: Path) -> None:
    file = make_file(server.url("/a.gz", reply(PACKED, headers={"Content-Encoding": "gzip"})))
    assert get(file, cache) == CONTENT


def test_redirect_in_a_loop(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests.models, "DEFAULT_REDIRECT_LIMIT", 3)
    assert "no request: Exceeded" in refused(make_file(server.url("/a", reply(b"", 302, {"Location": "/a"}))), cache)


def test_bar_on_a_terminal(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert get(make_file(server.url("/a.gz", broken(), reply(PACKED))), cache) == CONTENT


def test_messages_hide_secrets() -> None:
    assert without_secrets("https://user:word@example.org:8080/a?key=1#b") == "https://example.org:8080/a"
