"""What images in folders seem to be: their classes, parts, sizes and colours."""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any, NamedTuple

from stages.lib.cli import UserError, first_of
from stages.lib.data.archives import ArchiveError, is_clutter, open_archive
from stages.lib.data.readers.images import FORMATS, GREY, ORIENTATION, UNREADABLE
from stages.lib.starting.answers import Answers, Seen

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
PARTS = {"train": ("train", "training"), "test": ("test", "testing", "val", "valid", "validation")}
"""Part -> names that its folder may have, in the order of preference."""
LARGEST_SIDE = 64
"""Pixels. Larger images are made as small, so that a first study takes minutes."""
LOOKED_AT = 500
"""Images whose size and colours are looked at."""


class Layout(NamedTuple):
    """Where the folders of the classes are: part -> folder; and images by class."""

    folders: dict[str, str]
    counts: dict[str, int]


def look_at_images(path: Path, answers: Answers) -> Seen:
    """What an archive of images was taken for. Raises UserError where there are no folders of two classes or more."""
    options: dict[str, Any] = {"kind": "images", **answers.reader}
    try:
        with open_archive(path) as archive:
            names = [name for name in archive.sizes if not is_clutter(PurePosixPath(name).parts)]
            layout = layout_of(names, path)
            looked = names[:: max(1, len(names) // LOOKED_AT)]
            sizes, grey = _sizes_of({name: content.read() for name, content in archive.contents(looked)})
    except ArchiveError as error:
        raise UserError(f"{path}: {error}") from None
    if layout.folders != {"all": "."}:
        options.setdefault("folders", layout.folders)
    if len(grey) > 1:
        options.setdefault("colour", "rgb")
    size = _size(sizes)
    if size:
        options.setdefault("size", size)
    classes = sorted(layout.counts, key=_naturally)
    listed = first_of([f"{name} {layout.counts[name]}" for name in classes], 12)
    seen = Seen("classification", options, class_names=classes)
    seen.said.append(f"images: {_sizes_said(sizes)}, {_colours_said(grey)}")
    seen.said.append(f"classification: {len(classes)} classes with their images: {listed}")
    if "size" in options:
        seen.said.append(
            f"made alike: {options['size'][1]} x {options['size'][0]} pixels; --reader size=[HEIGHT,WIDTH] for others"
        )
    return seen


def layout_of(names: list[str], path: Path) -> Layout:
    """The folders of the classes: the last folder of each image. The folders above must be one, or those of train and test."""
    found: dict[str, Counter[str]] = {}
    for name in names:
        inside = PurePosixPath(name)
        if inside.suffix.lower() in ENDINGS:
            folder = inside.parent.parent.as_posix() if len(inside.parts) > 1 else ""
            found.setdefault(folder, Counter())[unicodedata.normalize("NFC", inside.parent.name)] += 1
    flat = found.pop("", None)
    if not found:
        wrong = "has no folders: put the images of each class into a folder of its name" if flat else "holds no images"
        raise UserError(f"{path}: {wrong}")
    tops = {PurePosixPath(folder).name.lower(): folder for folder in found}
    parts = {part: next((tops[name] for name in likely if name in tops), None) for part, likely in PARTS.items()}
    if len(found) == 1:
        folder = next(iter(found))
        folders, counts = {"all": folder}, found[folder]
    elif parts["train"] and parts["test"]:
        folders = {part: folder for part, folder in parts.items() if folder}
        counts = sum((found[folder] for folder in folders.values()), Counter())
    else:
        listed = ", ".join(sorted(found)[:6])
        raise UserError(
            f"{path}: the folders of classes must be in one folder, or in train and test; here they are in {listed}"
        )
    if len(counts) < 2:
        raise UserError(
            f"{path}: holds images of one class, {next(iter(counts))!r}; a study tells two or more apart, a folder each"
        )
    return Layout(folders, dict(counts))


def _naturally(name: str) -> list[tuple[int, str]]:
    """A key that sorts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _sizes_of(contents: Mapping[str, bytes]) -> tuple[Counter[tuple[int, int]], Counter[bool]]:
    """(height, width) -> images, and grey or not -> images. The reader names those that cannot be read."""
    sizes: Counter[tuple[int, int]] = Counter()
    grey: Counter[bool] = Counter()
    for height, width, is_grey in _headers(contents):
        sizes[height, width] += 1
        grey[is_grey] += 1
    return sizes, grey


def _headers(contents: Mapping[str, bytes]) -> Iterator[tuple[int, int, bool]]:
    from PIL import Image  # takes a moment, so only if needed

    for content in contents.values():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                    turned = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
                    width, height = reversed(image.size) if turned else image.size
                    yield height, width, image.mode in GREY
        except (*UNREADABLE, Image.DecompressionBombError):
            continue


def _size(sizes: Counter[tuple[int, int]]) -> list[int] | None:
    """The size that all should get, if they differ or are large: their median, with no side longer than 64 pixels."""
    if not sizes:
        return None
    height, width = (round(median(each[side] for each in sizes.elements())) for side in (0, 1))
    if len(sizes) == 1 and max(height, width) <= 2 * LARGEST_SIDE:
        return None
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    return [max(1, round(height * scale)), max(1, round(width * scale))]


def _sizes_said(sizes: Counter[tuple[int, int]]) -> str:
    if len(sizes) == 1:
        height, width = next(iter(sizes))
        return f"all of {width} x {height} pixels"
    smallest, largest = (f"{width} x {height}" for height, width in (min(sizes, default=(0, 0)), max(sizes, default=(0, 0))))
    return f"{len(sizes)} sizes from {smallest} to {largest} pixels"


def _colours_said(grey: Counter[bool]) -> str:
    return "grey" if not grey[False] else "in colour" if not grey[True] else "grey and in colour"
