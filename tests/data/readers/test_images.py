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


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_read_and_of_several_frames_the_first(tmp_path: Path, kind: str) -> None:
    file = io.BytesIO()
    frames = [Image.fromarray(grey(value, 16, 16)) for value in (90, 200)]
    more = {"save_all": True, "append_images": frames[1:]} if kind != "BMP" else {}
    frames[0].save(file, kind, **more)
    x, _ = read_folders(tmp_path, zipped({f"{name}/1.{kind.lower()}": file.getvalue() for name in CLASSES}), colour="grey")
    assert x.shape == (2, 16, 16)
    assert np.abs(x.astype(int) - 90).max() <= 1


@pytest.mark.parametrize(
    ("mode", "transparent", "opaque", "options"),
    [
        ("RGBA", (10, 20, 30, 0), (10, 20, 30, 255), {}),
        ("LA", (10, 0), (10, 255), {}),
        ("P", 0, 1, {"transparency": 0}),
        ("P", 0, 1, {"transparency": bytes([0, 255])}),
        ("L", 10, 20, {"transparency": 10}),
    ],
)
@pytest.mark.parametrize("colour", ["as_is", "grey", "rgb"])
def test_what_is_transparent_is_white(
    tmp_path: Path, mode: str, transparent: Any, opaque: Any, options: dict[str, Any], colour: str
) -> None:
    image = Image.new(mode, (2, 1), opaque)
    if mode == "P":
        image.putpalette([9, 9, 9, 10, 20, 30])
    image.putpixel((0, 0), transparent)
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    x, _ = read_folders(tmp_path, zipped({f"{name}/1.png": file.getvalue() for name in CLASSES}), colour=colour)
    assert np.unique(x[0, 0, 0]).tolist() == [255]
    assert np.unique(x[0, 0, 1]).tolist() != [255]
    assert x.ndim == (3 if colour == "grey" or (colour == "as_is" and mode in "LA") else 4)


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    """A picture of 8 x 16 pixels, black at the top left, as a camera saves it that notes how it was held."""
    upright = np.full((16, 8), 255, np.uint8)
    upright[:8, :4] = 0
    ways = {
        1: lambda x: x,
        3: lambda x: x[::-1, ::-1],
        5: lambda x: x.T,
        6: lambda x: np.rot90(x),
        8: lambda x: np.rot90(x, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(ways[orientation](upright))).save(file, kind, exif=exif, quality=100)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_pictures_are_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    members = dict.fromkeys(("cat/1.x", "dog/1.x"), turned(orientation, kind))
    x, _ = read_folders(tmp_path, zipped(members), colour="grey")
    assert x.shape == (2, 16, 8)
    assert x[0, :7, :3].max() < 30
    assert min(x[0, 9:].min(), x[0, :, 5:].min()) > 225


def test_damaged_exif_data_do_not_matter(tmp_path: Path) -> None:
    content = turned(6)
    start = content.index(b"Exif\0\0") + 6
    for damage in (b"II*\0\xff\xff\xff\x7f", b"II*\0\x08\0\0\0\xff\xff", b"nonsense"):
        damaged = content[:start] + damage + content[start + len(damage) :]
        x, _ = read_folders(tmp_path, zipped({"cat/1.jpg": damaged, "dog/1.jpg": damaged}))
        assert x.shape in ((2, 8, 16), (2, 16, 8))


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("crop", [[5, 9]] * 2),  # its sides are cut off
        ("stretch", [[4, 7]] * 2),  # the mean of its sides and its middle
        ("pad", [[0, 0], [4, 7], [4, 7], [0, 0]]),  # black above and below
    ],
)
def test_images_of_any_size_get_one(tmp_path: Path, fit: str, expected: list[list[int]]) -> None:
    wide = np.repeat(np.array([[3] * 8 + [5] * 8 + [9] * 8 + [5] * 8], np.uint8), 16, axis=0)
    members = {"cat/1.png": picture(wide), "dog/1.png": picture(grey(9, 5, 5))}
    size = [len(expected), 4 if fit == "pad" else 2]
    x, _ = read_folders(tmp_path, zipped(members), size=size, fit=fit)
    assert x.shape == (2, *size)
    got = x[1] if fit != "pad" else x[1][:, ::2] // 2 + x[1][:, 1::2] // 2
    assert np.abs(got.astype(int) - expected).max() <= 1


def test_folders_are_the_same_in_both_of_unicode_s_forms(tmp_path: Path) -> None:
    members = {"Mo\u0308we/1.png": picture(grey(1)), "cat/1.png": picture(grey(2))}
    for pack in (zipped, tarred):
        parts = read(tmp_path, {"kind": "images"}, {"archive": pack(members)}, class_names=["M\u00f6we", "cat"])
        assert parts["all"][1].tolist() == [0, 1]


def test_what_is_not_in_a_class_s_folder_or_hidden_is_left_out(tmp_path: Path) -> None:
    junk = "README.txt cat/.DS_Store __MACOSX/cat/._1.png dog/Thumbs.db cat/Desktop.ini cat/@eaDir/1.png .git/config".split()
    x, _ = read_folders(tmp_path, zipped({**two(), **dict.fromkeys(junk, b"x")}))
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
            "'cat/1.png' (3 x 2 pixels, grey): 'dog/2.png' (4 x 2 pixels, grey); set the reader's size: [2, 3]",
        ),
        (
            two({"cat/9.jpg": picture(grey(0, 64, 64), "JPEG")[:-30]}),
            "1 of 3 images cannot be read, so remove or mend them: 'cat/9.jpg' (image file is truncated",
        ),
        (
            two({"cat/8.png": b"", "cat/9.png": b""}),
            "2 of 4 images cannot be read, so remove or mend them: 'cat/8.png', 'cat/9.png' (empty)",
        ),
        (
            two({"cat/8.txt": b"a note", "cat/9.gif": b"GIF89a"}),
            "2 of 4 images cannot be read, so remove or mend them: 'cat/8.txt', 'cat/9.gif' (no PNG, JPEG, GIF, BMP",
        ),
        (
            two({f"dog/{number:02}.png": b"" for number in range(14)}),
            ", 'dog/08.png', 'dog/09.png' (empty) and 4 more",
        ),
        (two({"cow/1.png": picture(grey())}), "unknown folder 'cow'; known: dog, cat (class_names)"),
        (two({"cow/1.png": b"", "hen/1.png": b""}), "2 folders are no class: 'cow', 'hen'; known: dog, cat (class_names)"),
        (two({"Cat/1.png": b""}), "folder 'Cat' is class 'cat' in other letters; write class_names as the folders are"),
        (
            {f"pets/{name}": content for name, content in two().items()},
            "the classes' folders are in 'pets', which the reader's folders must say: {all: pets}",
        ),
        (two({"cat/small/1.png": picture(grey())}), "'cat/small/1.png': a class has images, and no folders of its own"),
        ({"cat/1.png": picture(grey())}, "no image of class 'dog'; its folder must be 'dog'"),
        ({}, "no image of class 'dog'"),
        (two({"../cat/1.png": b""}), "refused: the archive's member '../cat/1.png' leads out of its folder"),
        ({"/cat/1.png": b""}, "refused: the archive's member '/cat/1.png' leads out of its folder"),
        (two({"cat/9.png": png(5000, 5000)}), "'cat/9.png' (5000 x 5000 pixels, more than 16777216)"),
        (two({"cat/9.png": png(50000, 50000)}), "'cat/9.png' (Image size"),
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
    assert "'cat/2.png' (I;16: more than 8 bits a colour; save 8 bits, or arrays as npz, which keep all)" in said


def test_grey_and_colour_do_not_mix_unasked(tmp_path: Path) -> None:
    said = message(read_folders, tmp_path, zipped({**two(), "dog/2.png": picture(np.zeros((2, 3, 3)))}))
    assert "'cat/1.png' (3 x 2 pixels, grey): 'dog/2.png' (3 x 2 pixels, RGB); set the reader's colour: rgb" in said


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
