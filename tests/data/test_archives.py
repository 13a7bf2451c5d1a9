"""Members of archives are read one by one; what leads out of the archive, or is damaged, is refused."""

from __future__ import annotations

import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.datasets import tarred, zipped
from stages.lib.data.archives import ArchiveError, open_archive

MEMBERS = {"b.txt": b"second", "folder/a.txt": b"first", "folder/empty": b""}
PACKS = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda members: tarred(members, "w:gz"),
    "tar.bz2": lambda members: tarred(members, "w:bz2"),
    "tar.xz": lambda members: tarred(members, "w:xz"),
}
NOISE = random.Random(0).randbytes(10_000)
"""What no compression makes shorter."""
Pack = Callable[[dict[str, bytes]], bytes]


def contents(folder: Path, archive: bytes, *wanted: str) -> dict[str, bytes]:
    """The files of an archive, or those that are wanted."""
    (folder / "archive").write_bytes(archive)
    with open_archive(folder / "archive") as opened:
        return {path: content.read() for path, content in opened.contents(wanted or opened.sizes)}


def refusal(folder: Path, archive: bytes) -> str:
    with pytest.raises(ArchiveError) as caught:
        contents(folder, archive)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_files_are_read_in_the_order_of_the_archive_whatever_packed_it(tmp_path: Path, pack: Pack) -> None:
    assert list(contents(tmp_path, pack(MEMBERS)).items()) == list(MEMBERS.items())
    assert contents(tmp_path, pack(MEMBERS), "folder/a.txt", "none") == {"folder/a.txt": b"first"}
    assert contents(tmp_path, pack({})) == {}
    with open_archive(tmp_path / "archive") as empty:
        assert empty.sizes == {}


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["./folder/a.txt", "folder//a.txt", "folder\\a.txt"])
def test_a_path_may_be_written_in_several_ways(tmp_path: Path, name: str, pack: Pack) -> None:
    assert contents(tmp_path, pack({name: b"first"})) == {"folder/a.txt": b"first"}


def test_folders_are_no_files(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert contents(tmp_path, file.getvalue()) == {}
    assert contents(tmp_path, zipped({"folder/": b""})) == {}


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "name", ["../up", "folder/../../up", "/etc/up", "..\\up", "\\up", "C:up", "C:\\up", "C:/up", "folder/..", ".."]
)
def test_members_that_lead_out_are_refused(tmp_path: Path, name: str, pack: Pack) -> None:
    said = f"refused: the archive's member {name!r} leads out of its folder"
    assert refusal(tmp_path, pack({"inside": b"", name: b""})) == said


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../up", "b.txt"])
def test_links_and_devices_in_a_tar_are_refused_wherever_they_lead(tmp_path: Path, kind: bytes, target: str) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = kind, target
        archive.addfile(link)
    assert (
        refusal(tmp_path, file.getvalue())
        == "refused: the archive's member 'link' is a link or a device, not a file; pack the file itself"
    )


@pytest.mark.parametrize(("kind", "is_file"), [(0, True), (stat.S_IFREG, True), (stat.S_IFLNK, False), (stat.S_IFIFO, False)])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int, is_file: bool) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        member = zipfile.ZipInfo("member")
        member.external_attr = (kind | 0o644) << 16
        archive.writestr(member, b"target")
    if is_file:
        assert contents(tmp_path, file.getvalue()) == {"member": b"target"}
    else:
        assert "'member' is a link or a device, not a file" in refusal(tmp_path, file.getvalue())


def test_a_path_must_not_occur_twice(tmp_path: Path) -> None:
    for twice in (zipped({"a": b"1", "./a": b"2"}), tarred({"a": b"1", "./a": b"2"})):
        assert refusal(tmp_path, twice) == "refused: the archive's member './a' is in it twice"


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (b"not an archive", "neither a zip nor a tar archive, or a damaged one"),
        (b"", "neither a zip nor a tar archive, or a damaged one"),
        (zipped(MEMBERS)[:-30], "neither a zip nor a tar archive, or a damaged one"),
        (tarred(MEMBERS)[:300], "neither a zip nor a tar archive, or a damaged one"),
        (tarred(MEMBERS)[:700], "damaged, truncated or encrypted: unexpected end of data"),
        (tarred({"noise": NOISE}, "w:gz")[:2000], "damaged, truncated or encrypted: Compressed file ended before"),
        (tarred({"noise": NOISE}, "w:xz")[:2000], "damaged, truncated or encrypted: Compressed file ended before"),
        (zipped(MEMBERS).replace(b"first", b"furst"), "damaged, truncated or encrypted: Bad CRC-32 for file"),
    ],
    ids=["text", "nothing", "zip cut short", "tar cut at once", "tar cut short", "gzip cut short", "xz cut short", "altered"],
)
def test_damaged_archives_are_refused(tmp_path: Path, archive: bytes, said: str) -> None:
    assert refusal(tmp_path, archive).startswith(said)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    """zipfile cannot encrypt, so the flag is set by hand, in the local header and in the directory."""
    archive = bytearray(zipped({"a": b"1"}))
    archive[6] |= 1
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    assert refusal(tmp_path, bytes(archive)).startswith("damaged, truncated or encrypted: ")


def test_a_full_disk_is_not_the_archive_s_fault(tmp_path: Path) -> None:
    def write() -> None:
        with open_archive(tmp_path / "archive"):
            raise OSError(28, "No space left on device")

    (tmp_path / "archive").write_bytes(zipped(MEMBERS))
    with pytest.raises(OSError, match="No space left on device"):
        write()
