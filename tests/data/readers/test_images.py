"""Folders of images become arrays; whatever does not fit is refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.datasets import (
    CLASSES,
    grey,
    message,
    picture,
    read,
    tarred,
    zipped,
)
from stages.lib.data.readers import images


def read_folders(folder: Path, archive: bytes, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    reader = {"kind": "images", **options}
    x, y = read(folder, reader, {"archive": archive}, class_names=CLASSES)["all"]
    return x, y


def two(others: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """An image of each class, and others."""
    return {"cat/1.png": picture(grey(1)), "dog/1.png": picture(grey(2)), **(others or {})}


def png(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and holds none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(b""), b"IEND"]
    body = b"".join(struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("pack", [zipped, tarred, lambda members: tarred(members, "w:xz")])
def test_images_are_read_by_class_and_name_whatever_their_order_in_the_archive(tmp_path: Path, pack: Any) -> None:
    members = {
        "cat/2.png": picture(grey(20)),
        "dog/b.png": picture(grey(40)),
        "cat/10.png": picture(grey(10)),
        "dog/a.png": picture(grey(30)),
    }
    x, y = read_folders(tmp_path, pack(members))
    assert x.shape == (4, 2, 3)
    assert x.dtype == np.uint8
    assert x[:, 0, 0].tolist() == [30, 40, 10, 20]  # dog is the first of class_names
    assert y.tolist() == [0, 0, 1, 1]


def test_images_in_colour_have_three_channels(tmp_path: Path) -> None:
    colours = np.arange(18).reshape(2, 3, 3)
    x, _ = read_folders(tmp_path, zipped({"cat/1.png": picture(colours), "dog/1.png": picture(colours + 100)}))
    assert x.tolist() == [(colours + 100).tolist(), colours.tolist()]


@pytest.mark.parametrize(("colour", "shape"), [("grey", (2, 2, 3)), ("rgb", (2, 2, 3, 3))])
def test_images_of_any_colours_are_turned_into_one(tmp_path: Path, colour: str, shape: tuple[int, ...]) -> None:
    members = {"cat/1.png": picture(grey(7)), "dog/1.png": picture(np.full((2, 3, 3), 255), mode="P")}
    x, _ = read_folders(tmp_path, zipped(members), colour=colour)
    assert x.shape == shape
    assert [np.unique(each).tolist() for each in x] == [[255], [7]]


def test_jpeg_images_are_read(tmp_path: Path) -> None:
    members = {f"{name}/1.JPG": picture(grey(90, 16, 16), "JPEG") for name in CLASSES}
    x, _ = read_folders(tmp_path, zipped(members))
    assert np.abs(x.astype(int) - 90).max() <= 1


def test_what_is_not_in_a_class_s_folder_or_hidden_is_left_out(tmp_path: Path) -> None:
    junk = {"README.txt": b"x", "cat/.DS_Store": b"x", "__MACOSX/cat/._1.png": b"x", "dog/Thumbs.db": b"x", ".git/config": b"x"}
    x, _ = read_folders(tmp_path, zipped({**two(), **junk}))
    assert len(x) == 2


def test_images_of_parts_are_in_folders_of_one_archive_or_in_two(tmp_path: Path) -> None:
    members = {f"set/{part}/{name}": content for part in ("old", "new") for name, content in two().items()}
    reader = {"kind": "images", "folders": {"train": "set/old", "test": "set/new"}}
    parts = read(tmp_path, reader, {"archive": zipped(members)}, class_names=CLASSES)
    assert {part: y.tolist() for part, (_, y) in parts.items()} == {"train": [0, 1], "test": [0, 1]}
    contents = {"train": zipped(two({"cat/2.png": picture(grey())})), "test": tarred(two())}
    parts = read(tmp_path, {"kind": "images"}, contents, class_names=CLASSES)
    assert {part: y.tolist() for part, (_, y) in parts.items()} == {"train": [0, 1, 1], "test": [0, 1]}


def test_images_of_the_parts_must_be_alike(tmp_path: Path) -> None:
    large = {f"{name}/1.png": picture(grey(0, 4, 4)) for name in CLASSES}
    said = message(read, tmp_path, {"kind": "images"}, {"train": zipped(two()), "test": zipped(large)}, class_names=CLASSES)
    assert said.endswith("the images of the parts differ in size or colour: train has 2 x 3, test has 4 x 4")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            two({"dog/2.png": picture(grey(0, 2, 4))}),
            "'dog/2.png' is 4 x 2 pixels, grey, where 'cat/1.png' is 3 x 2 pixels, grey",
        ),
        (two({"cat/9.png": b"GIF89a"}), "'cat/9.png' is not a PNG or JPEG image that can be read: cannot identify image file"),
        (two({"cat/9.png": picture(grey())[:-30]}), "'cat/9.png' is not a PNG or JPEG image that can be read: "),
        (two({"cat/9.png": b""}), "'cat/9.png' is not a PNG or JPEG image"),
        (two({"cat/9.txt": b"a note"}), "'cat/9.txt' is not a PNG or JPEG image"),
        (
            two({"cat/9.png": picture(np.zeros((2, 3, 4)))}),
            "'cat/9.png' is neither grey nor RGB but RGBA; set the reader's colour",
        ),
        (two({"cow/1.png": picture(grey())}), "unknown folder 'cow'; known: dog, cat (class_names)"),
        (two({"cat/small/1.png": picture(grey())}), "'cat/small/1.png': a class has images, and no folders of its own"),
        ({"cat/1.png": picture(grey())}, "no image of class 'dog'; its folder must be 'dog'"),
        ({}, "no image of class 'dog'"),
        (two({"../cat/1.png": b""}), "refused: the archive's member '../cat/1.png' leads out of its folder"),
        ({"/cat/1.png": b""}, "refused: the archive's member '/cat/1.png' leads out of its folder"),
        (two({"cat/9.png": png(5000, 5000)}), "'cat/9.png' has 5000 x 5000 pixels, more than 16777216"),
        (two({"cat/9.png": png(50000, 50000)}), "'cat/9.png' is not a PNG or JPEG image that can be read: Image size"),
    ],
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_images_refused(tmp_path: Path, members: dict[str, bytes], said: str, pack: Any) -> None:
    refusal = message(read_folders, tmp_path, pack(members))
    assert refusal.startswith(f"{tmp_path / 'archive'}: ")
    assert said in refusal


def test_images_of_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((2, 3), np.uint16)).save(file, "PNG")
    said = message(read_folders, tmp_path, zipped({**two(), "cat/2.png": file.getvalue()}), colour="grey")
    assert "'cat/2.png' has more than 8 bits a colour (I;16)" in said


def test_grey_and_colour_do_not_mix_unasked(tmp_path: Path) -> None:
    said = message(read_folders, tmp_path, zipped({**two(), "dog/2.png": picture(np.zeros((2, 3, 3)))}))
    assert "'dog/2.png' is 3 x 2 pixels, RGB, where 'cat/1.png' is 3 x 2 pixels, grey; all must be alike" in said


def test_decompression_bombs_are_refused_unopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "IMAGE_BYTES", 10_000)
    assert "'cat/9.png' has 20000 bytes; an image may have 10000" in message(
        read_folders, tmp_path, zipped(two({"cat/9.png": bytes(20_000)}))
    )
    monkeypatch.setattr(images, "IMAGES_BYTES", 10)
    assert "2 images of 6 bytes each are too many to hold in memory" in message(read_folders, tmp_path, zipped(two()))


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    said = f"{tmp_path / 'archive'}: neither a zip nor a tar archive, or a damaged one"
    assert message(read_folders, tmp_path, b"not an archive") == said


def test_an_archive_made_on_windows_is_read(tmp_path: Path) -> None:
    x, y = read_folders(tmp_path, zipped({name.replace("/", "\\"): content for name, content in two().items()}))
    assert (x[:, 0, 0].tolist(), y.tolist()) == ([2, 1], [0, 1])
