"""The reader of images: an archive of folders, one for each class."""

from __future__ import annotations

import io
import struct
import unicodedata
import warnings
import zlib
from collections.abc import Collection, Mapping, Sequence
from math import prod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from stages.lib.cli import SettingError, UserError, first_of
from stages.lib.data.archives import Archive, ArchiveError, is_clutter, open_archive
from stages.lib.data.readers.raw import Part, Raw, Reader
from stages.lib.study.metrics import Task
from stages.lib.study.strict_yaml import TWO, listed, matching, unknown
from stages.lib.study.values import Side

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

IMAGE_BYTES = 1 << 26
"""Most bytes of one image's file. More is a mistake or a decompression bomb."""
IMAGE_PIXELS = 1 << 24
"""Most pixels of one image."""
IMAGES_BYTES = 8 << 30
"""Most bytes of all images, unpacked: they must fit in memory."""
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
GREY = ("1", "L", "LA", "La")
"""Pillow's modes of grey images."""
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
MOST_NAMED = 10
"""Files that a message names. It counts the others."""
ORIENTATION = 0x0112
"""EXIF's tag. It says how a picture is turned, 1 to 8."""
TURNS = dict(enumerate("FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90".split(), start=2))
"""Its value -> Pillow's name of what turns the picture upright."""
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
"""What Pillow raises for damaged files."""
FolderName = Annotated[str, matching(r"[^/\\]+(/[^/\\]+)*", "a folder inside the archive, such as images/train, or .")]
Colour = Literal["as_is", "grey", "rgb"]


class Looks(NamedTuple):
    """How images are made alike."""

    colour: Colour
    size: tuple[int, int] | None
    fit: Literal["crop", "pad", "stretch"]


class NoImageError(Exception):
    """What is wrong with a file that should be an image."""


class Images(Reader):
    """Folders of images, one for each class, in an archive (zip or tar), or in a folder that is packed when it is fetched.

    PNG, JPEG, GIF, BMP, TIFF and WebP, of which the first frame is read. They are turned upright as EXIF says. What is
    transparent becomes white.
    """

    kind: Literal["images"]
    """This reader. Files: archive; or train and test. class_names are the names of the folders."""
    folders: dict[Part, FolderName] = {}
    """Part -> the archive's folder that holds the folders of the classes. Without it, they are at the top."""
    colour: Colour = "as_is"
    """`as_is`: all are grey, or all are in colour. Otherwise they are converted."""
    size: Annotated[tuple[Side, Side] | None, Field(strict=False), TWO] = None
    """`[height, width]` in pixels that all images get. Without it, all must have one size."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """How they get it: cut to its proportions at two sides, set on black, or stretched."""

    roles: ClassVar = (("archive",), ("train", "test"))

    @model_validator(mode="after")
    def _consistent(self) -> Images:
        if set(self.folders) not in (set(), {"all"}, {"train", "test"}):
            raise SettingError(f"holds {', '.join(self.folders)}; it must hold all, or train and test, or nothing", "folders")
        if "fit" in self.model_fields_set and self.size is None:
            raise SettingError("needs size: [height, width]", "fit")
        return self

    def check(self, task: Task, class_names: Sequence[str], roles: Collection[str]) -> None:
        if task == "regression":
            raise SettingError("folders of images are classes, so it must be classification", "task")
        if len(set(map(_composed, class_names))) < max(2, len(class_names)):
            wrong = "must be the names of the folders, two or more, each once, in the order of the labels"
            raise SettingError(wrong, "class_names")
        if "train" in roles and set(self.folders) == {"all"}:
            raise SettingError("holds all; with files train and test it must hold these, or nothing", "reader", "folders")

    def read(self, paths: Mapping[str, Path], class_names: Sequence[str]) -> dict[str, Raw]:
        """The images by class, in the order of `class_names`, and then by name: grey ones (n, h, w), others (n, h, w, 3)."""
        whole = "archive" in paths and set(self.folders) != {"train", "test"}
        parts: tuple[Part, ...] = ("all",) if whole else ("train", "test")
        looks = Looks(self.colour, self.size, self.fit)
        raw: dict[str, Raw] = {}
        for part in parts:
            path = paths.get("archive") or paths[part]
            raw[part] = read_images(path, self.folders.get(part, "."), class_names, looks)
        if len({each.x.shape[1:] for each in raw.values()}) > 1:
            shapes = ", ".join(f"{part} has {' x '.join(map(str, each.x.shape[1:]))}" for part, each in raw.items())
            raise UserError(f"{path}: the images of the parts differ in size or colour: {shapes}")
        return raw


def _composed(name: str) -> str:
    """The name in Unicode's NFC. Archives from macOS have an ö in two characters."""
    return unicodedata.normalize("NFC", name)


def read_images(path: Path, folder: str, classes: Sequence[str], looks: Looks) -> Raw:
    """The images in the folders `classes` of an archive's `folder`, and the number of each one's class.

    Hidden files, what systems add to folders and archives, and files beside the classes' folders are left out.
    """
    try:
        with open_archive(path) as archive:
            labels = _labels_of(archive.sizes, PurePosixPath(folder), classes, path)
            names = sorted(labels, key=lambda name: (labels[name], name))
            x = _decode_all(archive, names, looks, path)
    except ArchiveError as error:
        raise UserError(f"{path}: {error}") from None
    return Raw(x, np.array([labels[name] for name in names], np.int64), path)


def _labels_of(sizes: Mapping[str, int], top: PurePosixPath, classes: Sequence[str], path: Path) -> dict[str, int]:
    """Name of an image in the archive -> its label. Raises UserError for folders that are no class, and missing classes."""
    known = {_composed(name): label for label, name in enumerate(classes)}
    labels: dict[str, int] = {}
    others: dict[str, str] = {}  # folder that is no class -> a folder in it
    for name, size in sizes.items():
        inside = PurePosixPath(name)
        below = inside.relative_to(top).parts if top in inside.parents else ()
        if len(below) < 2 or is_clutter(below):
            continue
        if (label := known.get(_composed(below[0]))) is None:
            others[below[0]] = _composed(below[1])
            continue
        if len(below) > 2:
            raise UserError(f"{path}: {name!r}: a class has images, and no folders of its own")
        if size > IMAGE_BYTES:
            raise UserError(f"{path}: {name!r} has {size} bytes; an image may have {IMAGE_BYTES}")
        labels[name] = label
    if others:
        raise UserError(f"{path}: {_unknown_folders(others, known)}")
    for label, class_name in enumerate(classes):
        if label not in labels.values():
            raise UserError(f"{path}: no image of class {class_name!r}; its folder must be {(top / class_name).as_posix()!r}")
    return labels


def _unknown_folders(others: Mapping[str, str], classes: Collection[str]) -> str:
    """What is wrong with folders that are no class, each with the name of a folder or a file in it."""
    first, inner = next(iter(others.items()))
    if inner in classes:
        return f"the classes' folders are in {first!r}, which the reader's folders must say: {{all: {first}}}"
    if same := [name for name in classes if name.casefold() == _composed(first).casefold()]:
        return f"folder {first!r} is class {same[0]!r} in other letters; write class_names as the folders are"
    if len(others) > 1:
        named = first_of([repr(name) for name in others], MOST_NAMED)
        return f"{len(others)} folders are no class: {named}; known: {listed(classes, first)} (class_names)"
    return str(unknown("folder", first, classes, " (class_names)"))


def _decode_all(archive: Archive, names: Sequence[str], looks: Looks, path: Path) -> np.ndarray:
    """The images of these names in this order, (n, h, w) or (n, h, w, 3), uint8.

    Raises UserError that names those which cannot be read, or which are not like the first.
    """
    rows = {name: row for row, name in enumerate(names)}
    x = np.empty(0, np.uint8)
    first = ""
    broken: dict[str, str] = {}
    unlike: dict[str, tuple[int, ...]] = {}
    for name, content in archive.contents(rows):
        try:
            image = _decode(content.read(IMAGE_BYTES), looks)
        except NoImageError as error:
            broken[name] = str(error)
            continue
        if not first:
            first = name
            if len(rows) * image.size > IMAGES_BYTES:
                raise UserError(f"{path}: {len(rows)} images of {image.size} bytes each are too many to hold in memory")
            x = np.empty((len(rows), *image.shape), np.uint8)
        if image.shape != x.shape[1:]:
            unlike[name] = image.shape
        else:
            x[rows[name]] = image
    if broken:
        raise UserError(f"{path}: {len(broken)} of {len(rows)} images cannot be read, so remove or mend them: {_list(broken)}")
    if unlike:
        cures = ["colour: rgb"] if {len(shape) for shape in unlike.values()} != {x.ndim - 1} else []
        cures += [f"size: {list(x.shape[1:3])}"] if {shape[:2] for shape in unlike.values()} != {x.shape[1:3]} else []
        said = f"{len(unlike)} of {len(rows)} images are not like {first!r} ({_size(x.shape[1:])})"
        cure = f"set the reader's {' and '.join(cures)}"
        raise UserError(f"{path}: {said}: {_list({name: _size(shape) for name, shape in unlike.items()})}; {cure}")
    return x


def _list(wrong: Mapping[str, str]) -> str:
    """Name -> what is wrong, in one line: the first ten, and how many more there are."""
    named: dict[str, list[str]] = {}
    for name, text in list(wrong.items())[:MOST_NAMED]:
        named.setdefault(text, []).append(repr(name))
    more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
    return ", ".join(f"{', '.join(names)} ({text})" for text, names in named.items()) + more


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]} x {shape[0]} pixels, {'grey' if len(shape) == 2 else 'RGB'}"


def _decode(content: bytes, looks: Looks) -> np.ndarray:
    """An image as (h, w) or (h, w, 3), uint8. Its header is trusted only to refuse an image that is too large."""
    from PIL import Image, UnidentifiedImageError  # takes a moment, so only if needed

    if not content:
        raise NoImageError("empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of damaged EXIF data, which the picture does not need
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if prod(image.size) > IMAGE_PIXELS:
                    raise NoImageError(f"{' x '.join(map(str, image.size))} pixels, more than {IMAGE_PIXELS}")
                if image.mode not in (*GREY, *COLOUR):
                    raise NoImageError(
                        f"{image.mode}: more than 8 bits a colour; save 8 bits, or arrays as npz, which keep all"
                    )
                image.load()
                return np.asarray(_alike(_upright(image), looks), np.uint8)
    except UnidentifiedImageError:
        raise NoImageError(f"no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or damaged") from None
    except (*UNREADABLE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise NoImageError(" ".join(str(error).split())) from None


def _upright(image: Picture) -> Picture:
    """The picture turned as its EXIF data say, if these can be read."""
    from PIL.Image import Transpose

    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    except UNREADABLE:
        return image
    return image.transpose(Transpose[turn]) if turn else image


def _alike(image: Picture, looks: Looks) -> Picture:
    """The picture in grey or in colour, on white where it is transparent, and in the size that all images get."""
    from PIL import Image, ImageOps

    grey = looks.colour == "grey" or (looks.colour == "as_is" and image.mode in GREY)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    image = image.convert("L" if grey else "RGB")
    if looks.size is None:
        return image
    size = looks.size[::-1]
    ways = {"crop": ImageOps.fit, "pad": ImageOps.pad}
    return ways[looks.fit](image, size) if looks.fit in ways else image.resize(size)
