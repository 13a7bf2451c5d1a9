"""The reader of images: an archive of folders, one for each class."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Collection, Mapping, Sequence
from math import prod
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import model_validator

from stages.lib.cli import SettingError, UserError
from stages.lib.data.archives import Archive, ArchiveError, open_archive
from stages.lib.data.readers.raw import Part, Raw, Reader
from stages.lib.study.metrics import Task
from stages.lib.study.strict_yaml import matching, unknown

IMAGE_BYTES = 1 << 26
"""Most bytes of one image's file. More is a mistake or a decompression bomb."""
IMAGE_PIXELS = 1 << 24
"""Most pixels of one image."""
IMAGES_BYTES = 8 << 30
"""Most bytes of all images, unpacked: they must fit in memory."""
MODES = {"grey": "L", "rgb": "RGB"}
"""Colour -> Pillow's name."""
NO_IMAGES = ("Thumbs.db", "desktop.ini")
"""Files that Windows leaves in folders of images."""
FolderName = Annotated[str, matching(r"[^/\\]+(/[^/\\]+)*", "a folder inside the archive, such as images/train, or .")]
Colour = Literal["as_is", "grey", "rgb"]


class Images(Reader):
    """An archive (zip or tar) of folders, one for each class, with PNG or JPEG images, all of one size."""

    kind: Literal["images"]
    """This reader. Files: archive; or train and test. class_names are the names of the folders."""
    folders: dict[Part, FolderName] = {}
    """Part -> the archive's folder that holds the folders of the classes. Without it, they are at the top."""
    colour: Colour = "as_is"
    """`as_is`: all are grey, or all are RGB. Otherwise they are converted."""

    roles: ClassVar = (("archive",), ("train", "test"))

    @model_validator(mode="after")
    def _known_parts(self) -> Images:
        if set(self.folders) not in (set(), {"all"}, {"train", "test"}):
            raise SettingError(f"holds {', '.join(self.folders)}; it must hold all, or train and test, or nothing", "folders")
        return self

    def check(self, task: Task, class_names: Sequence[str], roles: Collection[str]) -> None:
        if task == "regression":
            raise SettingError("folders of images are classes, so it must be classification", "task")
        if len(set(class_names)) < max(2, len(class_names)):
            wrong = "must be the names of the folders, two or more, each once, in the order of the labels"
            raise SettingError(wrong, "class_names")
        if "train" in roles and set(self.folders) == {"all"}:
            raise SettingError("holds all; with files train and test it must hold these, or nothing", "reader", "folders")

    def read(self, paths: Mapping[str, Path], class_names: Sequence[str]) -> dict[str, Raw]:
        """The images by class, in the order of `class_names`, and then by name: grey ones (n, h, w), others (n, h, w, 3)."""
        whole = "archive" in paths and set(self.folders) != {"train", "test"}
        parts: tuple[Part, ...] = ("all",) if whole else ("train", "test")
        raw: dict[str, Raw] = {}
        for part in parts:
            path = paths.get("archive") or paths[part]
            raw[part] = read_images(path, self.folders.get(part, "."), class_names, self.colour)
        if len({x.shape[1:] for x, _, _ in raw.values()}) > 1:
            shapes = ", ".join(f"{part} has {' x '.join(map(str, x.shape[1:]))}" for part, (x, _, _) in raw.items())
            raise UserError(f"{path}: the images of the parts differ in size or colour: {shapes}")
        return raw


def read_images(path: Path, folder: str, classes: Sequence[str], colour: Colour) -> Raw:
    """The images in the folders `classes` of an archive's `folder`, and the number of each one's class.

    Hidden files, what macOS adds to archives, and files beside the classes' folders are left out.
    """
    try:
        with open_archive(path) as archive:
            labels = _labels_of(archive.sizes, PurePosixPath(folder), classes, path)
            names = sorted(labels, key=lambda name: (labels[name], name))
            x = _decode_all(archive, names, colour, path)
    except ArchiveError as error:
        raise UserError(f"{path}: {error}") from None
    return Raw(x, np.array([labels[name] for name in names], np.int64), path)


def _labels_of(sizes: Mapping[str, int], top: PurePosixPath, classes: Sequence[str], path: Path) -> dict[str, int]:
    """Name of an image in the archive -> its label. Raises UserError for folders that are no class, and missing classes."""
    labels: dict[str, int] = {}
    for name, size in sizes.items():
        inside = PurePosixPath(name)
        below = inside.relative_to(top).parts if top in inside.parents else ()
        if len(below) < 2 or _is_no_image(below):
            continue
        if below[0] not in classes:
            raise UserError(f"{path}: {unknown('folder', below[0], classes, ' (class_names)')}")
        if len(below) > 2:
            raise UserError(f"{path}: {name!r}: a class has images, and no folders of its own")
        if size > IMAGE_BYTES:
            raise UserError(f"{path}: {name!r} has {size} bytes; an image may have {IMAGE_BYTES}")
        labels[name] = classes.index(below[0])
    for label, class_name in enumerate(classes):
        if label not in labels.values():
            raise UserError(f"{path}: no image of class {class_name!r}; its folder must be {(top / class_name).as_posix()!r}")
    return labels


def _is_no_image(parts: Sequence[str]) -> bool:
    hidden = any(part.startswith(".") for part in parts)
    return hidden or parts[0] == "__MACOSX" or parts[-1] in NO_IMAGES


def _decode_all(archive: Archive, names: Sequence[str], colour: Colour, path: Path) -> np.ndarray:
    """The images of these names in this order, (n, h, w) or (n, h, w, 3), uint8. Raises UserError if they are not alike."""
    rows = {name: row for row, name in enumerate(names)}
    x = np.empty(0, np.uint8)
    first = ""
    for name, content in archive.contents(rows):
        image = _decode(content.read(IMAGE_BYTES), f"{path}: {name!r}", colour)
        if not first:
            first = name
            if len(rows) * image.size > IMAGES_BYTES:
                raise UserError(f"{path}: {len(rows)} images of {image.size} bytes each are too many to hold in memory")
            x = np.empty((len(rows), *image.shape), np.uint8)
        elif image.shape != x.shape[1:]:
            raise UserError(f"{path}: {name!r} is {_size(image)}, where {first!r} is {_size(x[0])}; all must be alike")
        x[rows[name]] = image
    return x


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]} pixels, {'grey' if image.ndim == 2 else 'RGB'}"


def _decode(content: bytes, place: str, colour: Colour) -> np.ndarray:
    """An image as (h, w) or (h, w, 3), uint8. Its header is trusted only to refuse an image that is too large."""
    from PIL import Image  # takes a moment, so only if needed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as that of a decompression bomb
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
                if prod(image.size) > IMAGE_PIXELS:
                    raise UserError(f"{place} has {' x '.join(map(str, image.size))} pixels, more than {IMAGE_PIXELS}")
                if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"):
                    raise UserError(f"{place} has more than 8 bits a colour ({image.mode})")
                if colour == "as_is" and image.mode not in MODES.values():
                    raise UserError(f"{place} is neither grey nor RGB but {image.mode}; set the reader's colour to grey or rgb")
                return np.asarray(image if colour == "as_is" else image.convert(MODES[colour]), np.uint8)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, zlib.error, Warning, Image.DecompressionBombError) as error:
        raise UserError(f"{place} is not a PNG or JPEG image that can be read: {' '.join(str(error).split())}") from None
