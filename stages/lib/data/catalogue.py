"""The catalogue of data sets, and their raw files as arrays: each kind of reader is a class with its options.

Readers trust nothing: a file's SHA-256 is compared before it is opened, every value must be a finite number, and
nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from math import prod
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from stages.lib.cli import SettingError, UserError
from stages.lib.files import read_arrays
from stages.lib.study.strict_yaml import NO_NAME, TWO, Checked, Section, at, chosen_by, read_yaml, unknown

CATALOGUE = Path("data/datasets.yaml")
Dtype = Literal["uint8", "int16", "int32", "int64", "float32", "float64"]
IMAGE_BYTES = 1 << 26  # of one image's file; more is a mistake or a decompression bomb
IMAGE_PIXELS = 1 << 24  # of one image
IMAGES_BYTES = 8 << 30  # of all images, unpacked: they must fit in memory
MODES = {"grey": "L", "rgb": "RGB"}
IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def _matching(pattern: str, allowed: str) -> Checked:
    """A validator for a string that must match `pattern` as a whole; `allowed` says what does, in words."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise SettingError(f"{value!r} must be {allowed}")
        return value

    return Checked(check, {"pattern": f"^({pattern})$"})


SOURCE = r"https?://[^/]+/.+|file:///.+|package:\w+/.+"
Source = Annotated[str, _matching(SOURCE, "https://..., http://..., file:///... or package:NAME/PATH")]
Sha256 = Annotated[str, _matching(r"[0-9a-f]{64}", "64 hexadecimal digits in small letters")]
FileName = Annotated[str, _matching(r"\w[\w.-]*", "a file name: letters, digits and . _ -, without a folder")]
FolderName = Annotated[str, _matching(r"[^/\\]+(/[^/\\]+)*", "a folder inside the archive, such as images/train, or .")]
Column = int | str  # the position, from 0, negative from the end; or the name in the header
Part = Literal["all", "train", "test"]
Shape = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]


class File(Section):
    """A file, by its content and where to get it."""

    name: FileName
    """In data/raw."""
    sha256: Sha256
    """Of the unpacked content: mirrors compress anew."""
    sources: Annotated[tuple[Source, ...], Field(strict=False, min_length=1)]
    """Tried in this order."""
    member: str | None = None
    """The file's name inside the archive (tar or zip) that the sources hold."""
    mirror_name: FileName | None = None
    """Under which a mirror has it; default: the last part of each source."""


class Raw(NamedTuple):
    """One part as a file holds it, and the file that mistakes in it are reported for."""

    x: np.ndarray
    y: np.ndarray
    path: Path


class Csv(Section):
    """Text with commas, one row per line; a file per part."""

    kind: Literal["csv"]
    """Files all, or train and test."""
    header: bool = False
    """Whether the first row names the columns."""
    columns: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """The columns' names, where no header tells them."""
    ratios: dict[str, Annotated[tuple[Column, Column], Field(strict=False), TWO]] = {}
    """Name -> dividend, divisor."""
    target: Column = -1
    """The column to predict: its name, or its position from 0 (-1: the last)."""
    target_divisor: Annotated[float, Field(gt=0)] = 1.0
    """The target's unit, in that of the file."""
    features: Annotated[tuple[Column, ...] | None, Field(strict=False)] = None
    """Default: all but the target, then the ratios."""
    dtype: Dtype = "float32"
    """Of the inputs."""
    shape: Shape | None = None
    """Of one row's inputs, such as [28, 28]."""

    roles: ClassVar = (("all",), ("train", "test"))

    @model_validator(mode="after")
    def _names_are_known(self) -> Csv:
        if self.header and self.columns:
            raise SettingError("are named by the header already; leave one of the two out", "columns")
        for number, name in enumerate(self.columns):
            if name in self.columns[:number]:
                raise SettingError(f"{name!r} occurs twice", "columns")
            if name in self.ratios:
                raise SettingError(f"{name!r} is a column already", "ratios")
        features = (column for column in self.features or () if column not in self.ratios)
        for column in (self.target, *features, *chain.from_iterable(self.ratios.values())):
            if isinstance(column, str) and self.columns and column not in self.columns:
                raise unknown("column", column, self.columns)
            if isinstance(column, str) and not (self.columns or self.header):
                raise SettingError(f"{column!r} names a column, which needs header: true, or columns")
        return self

    def read(self, paths: Mapping[str, Path]) -> dict[str, Raw]:
        return {part: self._read(path) for part, path in paths.items()}

    def _read(self, path: Path) -> Raw:
        frame = _frame(path, self.header)
        if self.columns:
            if len(self.columns) != frame.shape[1]:
                raise UserError(f"{path}: has {frame.shape[1]} columns, where {len(self.columns)} are named")
            frame.columns = pd.Index(self.columns)
        names = list(frame.columns)
        target = _position(self.target, names, path)
        frame = frame.assign(**{name: _ratio(frame, name, *of, path) for name, of in self.ratios.items()})
        features = [position for position in range(frame.shape[1]) if position != target]
        if self.features is not None:
            extra = {name: len(names) + number for number, name in enumerate(self.ratios)}
            features = [extra[each] if each in extra else _position(each, names, path) for each in self.features]
        if target in features:
            raise UserError(f"{path}: column {self.target!r} is the target and cannot be a feature too")
        if not features:
            raise UserError(f"{path}: no column is left for a feature")
        x = _cells(frame.iloc[:, features], self.dtype, path)
        y = _cells(frame.iloc[:, [target]], "float64", path) / self.target_divisor
        return Raw(_shaped(x, self.shape, path), y, path)


class Idx(Section):
    """The format of MNIST: a header with type and dimensions, then the values; a file for images, one for labels."""

    kind: Literal["idx"]
    """Files images and labels, or train_images, train_labels, test_images, test_labels."""

    roles: ClassVar = (("images", "labels"), ("train_images", "train_labels", "test_images", "test_labels"))

    def read(self, paths: Mapping[str, Path]) -> dict[str, Raw]:
        prefixes = {"all": ""} if "images" in paths else {"train": "train_", "test": "test_"}
        pairs = {part: (paths[f"{prefix}images"], paths[f"{prefix}labels"]) for part, prefix in prefixes.items()}
        return {part: Raw(read_idx(images), read_idx(labels), labels) for part, (images, labels) in pairs.items()}


class Npz(Section):
    """A NumPy archive without pickled objects."""

    kind: Literal["npz"]
    """File arrays."""
    parts: dict[Part, Annotated[tuple[str, str], Field(strict=False)]]
    """Part -> names of the inputs and the targets."""
    shape: Shape | None = None
    """Of one row's inputs."""

    roles: ClassVar = (("arrays",),)

    @model_validator(mode="after")
    def _known_parts(self) -> Npz:
        if set(self.parts) not in ({"all"}, {"train", "test"}):
            raise SettingError(f"holds {', '.join(self.parts) or 'nothing'}; it must hold all, or train and test", "parts")
        return self

    def read(self, paths: Mapping[str, Path]) -> dict[str, Raw]:
        path = paths["arrays"]
        if not zipfile.is_zipfile(path):
            raise UserError(f"{path}: not an NPZ file, which is a zip archive")
        try:
            arrays = read_arrays(path)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: not an NPZ file of plain arrays: {error}") from None
        for name in (name for pair in self.parts.values() for name in pair):
            if name not in arrays:
                raise UserError(f"{path}: {unknown('array', name, sorted(arrays))}")
        return {part: Raw(_shaped(arrays[x], self.shape, path), arrays[y], path) for part, (x, y) in self.parts.items()}


class Images(Section):
    """An archive (zip or tar) of folders, one for each class, with PNG or JPEG images, all of one size."""

    kind: Literal["images"]
    """File archive, or train and test; class_names are the names of the folders."""
    folders: dict[Part, FolderName] = {}
    """Part -> the archive's folder that holds the classes' folders; default: the top."""
    colour: Literal["as_is", "grey", "rgb"] = "as_is"
    """`as_is`: all are grey, or all are RGB. Otherwise they are converted."""

    roles: ClassVar = (("archive",), ("train", "test"))

    @model_validator(mode="after")
    def _known_parts(self) -> Images:
        if set(self.folders) not in (set(), {"all"}, {"train", "test"}):
            raise SettingError(f"holds {', '.join(self.folders)}; it must hold all, or train and test, or nothing", "folders")
        return self

    def read(self, paths: Mapping[str, Path], classes: Sequence[str] = ()) -> dict[str, Raw]:
        """The images of each class, in the order of `classes` and then by name: grey ones (n, h, w), others (n, h, w, 3)."""
        whole = "archive" in paths and set(self.folders) != {"train", "test"}
        parts: tuple[Part, ...] = ("all",) if whole else ("train", "test")
        raw: dict[str, Raw] = {}
        for part in parts:
            path = paths.get("archive") or paths[part]
            raw[part] = read_images(path, self.folders.get(part, "."), classes, self.colour)
        if len({x.shape[1:] for x, _, _ in raw.values()}) > 1:
            shapes = ", ".join(f"{part} has {' x '.join(map(str, x.shape[1:]))}" for part, (x, _, _) in raw.items())
            raise UserError(f"{path}: the images of the parts differ in size or colour: {shapes}")
        return raw


Reader = Csv | Idx | Npz | Images


class Dataset(Section):
    """What is fetched: where its files are, and how they are read."""

    title: str
    """What it is."""
    task: Literal["classification", "regression"]
    """Of labels 0 to k - 1, or of a number."""
    reader: Annotated[Reader, chosen_by("kind", Reader)]
    """What the files are, by its kind."""
    files: dict[str, File]
    """Role -> file; the reader says which roles."""
    licence: str
    """What others may do with it."""
    citation: str
    """Who made it."""
    description: str = ""
    """What the rows are; optional, as are the following."""
    class_names: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Of the labels 0, 1, ...."""
    feature_names: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Of one row's inputs, where the reader names none."""
    target: str = ""
    """What is predicted, with its unit."""

    @model_validator(mode="after")
    def _consistent(self) -> Dataset:
        if set(self.files) not in map(set, self.reader.roles):
            allowed = ", or ".join(" + ".join(roles) for roles in self.reader.roles)
            held = ", ".join(self.files) or "nothing"
            raise SettingError(f"holds {held}; a reader of {self.reader.kind} needs {allowed}", "files")
        if len({file.name for file in self.files.values()}) < len(self.files):
            raise SettingError("two have the same name", "files")
        if isinstance(self.reader, Images):
            if self.task == "regression":
                raise SettingError("folders of images are classes, so it must be classification", "task")
            if len(set(self.class_names)) < max(2, len(self.class_names)):
                wrong = "must be the names of the folders, two or more, each once, in the order of the labels"
                raise SettingError(wrong, "class_names")
            if "train" in self.files and set(self.reader.folders) == {"all"}:
                raise SettingError("holds all; with files train and test it must hold these, or nothing", "reader", "folders")
        if self.class_names and self.task == "regression":
            raise SettingError("a regression has no classes", "class_names")
        if isinstance(self.reader, Csv) and self.reader.target_divisor != 1 and self.task == "classification":
            raise SettingError("labels of classes are not divided", "reader", "target_divisor")
        return self

    @property
    def named_features(self) -> tuple[str, ...]:
        """What one row's inputs are called, () where nobody says."""
        chosen = (self.reader.features or ()) if isinstance(self.reader, Csv) else ()
        names = tuple(column for column in chosen if isinstance(column, str))
        return self.feature_names or (names if len(names) == len(chosen) else ())


def load_catalogue(path: Path) -> dict[str, Dataset]:
    """Name -> data set. Raises UserError naming the file, the key, the value and what is allowed."""
    content = read_yaml(path)
    for name in content:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise UserError(f"{path}: {name!r} {NO_NAME}")
    datasets = {}
    for name, entry in content.items():
        with at(name, file=path):
            datasets[name] = Dataset.model_validate(entry)
    return datasets


def pick(catalogue: Mapping[str, Dataset], name: str) -> Dataset:
    """Raises UserError for an unknown name, listing the known ones."""
    if name not in catalogue:
        raise UserError(f"{CATALOGUE}: {unknown('data set', name, catalogue)}")
    return catalogue[name]


def read_parts(dataset: Dataset, folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The raw files in `folder` as part -> (x, y), the parts being `all`, or `train` and `test`.

    x keeps the type that it has in the file, (n, ...); y is int64 for classification, float64 for regression, (n,).
    """
    paths = {role: folder / file.name for role, file in dataset.files.items()}
    for role, file in dataset.files.items():
        if not paths[role].is_file():
            raise UserError(f"{paths[role]}: missing; run the fetch stage")
        if (found := sha256_of(paths[role])) != file.sha256:
            raise UserError(f"{paths[role]}: altered since its fetch: SHA-256 expected {file.sha256}, found {found}")
    reader = dataset.reader
    parts = reader.read(paths, dataset.class_names) if isinstance(reader, Images) else reader.read(paths)
    raw = {part: _checked(each) for part, each in parts.items()}
    for x, _, path in raw.values():
        if (names := len(dataset.named_features)) not in (0, prod(x.shape[1:])):
            raise UserError(f"{path}: rows of {prod(x.shape[1:])} values, where feature_names has {names}")
    if dataset.task == "regression":
        return {part: (x, y.astype(np.float64)) for part, (x, y, _) in raw.items()}
    _check_labels(raw, len(dataset.class_names))
    return {part: (x, y.astype(np.int64)) for part, (x, y, _) in raw.items()}


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_idx(path: Path) -> np.ndarray:
    """An IDX file: two zero bytes, a type, the number of dimensions, each of them (big-endian, 32 bits), the values."""
    content = path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_TYPES:
        raise UserError(f"{path}: not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}")
    dtype, start = np.dtype(IDX_TYPES[content[2]]), 4 + 4 * content[3]
    dimensions = [int.from_bytes(content[place : place + 4]) for place in range(4, start, 4)]
    expected = start + dtype.itemsize * prod(dimensions)
    if len(content) != expected:
        raise UserError(f"{path}: an IDX file of {dimensions} values has {expected} bytes, not {len(content)}")
    return np.frombuffer(content, dtype, offset=start).reshape(dimensions).astype(dtype.newbyteorder("="))


def read_images(path: Path, folder: str, classes: Sequence[str], colour: str) -> Raw:
    """The images in the folders `classes` of an archive's `folder`, and the number of each one's class.

    Hidden files, what macOS adds to archives, and files beside the classes' folders are left out.
    """
    top = PurePosixPath(folder)
    wanted: dict[str, tuple[int, str]] = {}
    """The member's name -> its class and its name there."""
    with _archive(path) as members:
        for name, size in members.sizes.items():
            inside = PurePosixPath(name)
            if inside.is_absolute() or ".." in inside.parts or "\\" in name:
                raise UserError(f"{path}: {name!r} would lie outside the folder that the archive is unpacked in")
            if top not in inside.parents or len(below := inside.relative_to(top).parts) < 2:
                continue
            if (
                any(part.startswith(".") for part in below)
                or below[0] == "__MACOSX"
                or below[-1] in ("Thumbs.db", "desktop.ini")
            ):
                continue
            if below[0] not in classes:
                raise UserError(f"{path}: {unknown('folder', below[0], classes, ' (class_names)')}")
            if len(below) > 2:
                raise UserError(f"{path}: {name!r}: a class has images, and no folders of its own")
            if size > IMAGE_BYTES:
                raise UserError(f"{path}: {name!r} has {size} bytes; an image may have {IMAGE_BYTES}")
            wanted[name] = classes.index(below[0]), below[1]
        counts = Counter(label for label, _ in wanted.values())
        for label, each in enumerate(classes):
            if not counts[label]:
                raise UserError(f"{path}: no image of class {each!r}; its folder must be {(top / each).as_posix()!r}")
        order = {name: row for row, name in enumerate(sorted(wanted, key=lambda name: (*wanted[name], name)))}
        x, first = np.empty(0, np.uint8), ""
        for name, content in members.contents(order):  # as they lie in the archive, which cannot be read backwards
            image = _image(content, f"{path}: {name!r}", colour)
            if not first:
                first = name
                if len(order) * image.size > IMAGES_BYTES:
                    raise UserError(f"{path}: {len(order)} images of {image.size} bytes each are too many to hold in memory")
                x = np.empty((len(order), *image.shape), np.uint8)
            elif image.shape != x.shape[1:]:
                raise UserError(f"{path}: {name!r} is {_size(image)}, where {first!r} is {_size(x[0])}; all must be alike")
            x[order[name]] = image
    return Raw(x, np.array([wanted[name][0] for name in order], np.int64), path)


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]} pixels, {'grey' if image.ndim == 2 else 'RGB'}"


def _image(content: bytes, where: str, colour: str) -> np.ndarray:
    """An image as (h, w) or (h, w, 3), uint8. Its header is believed only so far as to refuse what would not fit."""
    from PIL import Image  # takes a moment, so only if needed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as that of a decompression bomb
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
                if prod(image.size) > IMAGE_PIXELS:
                    raise UserError(f"{where} has {' x '.join(map(str, image.size))} pixels, more than {IMAGE_PIXELS}")
                if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"):
                    raise UserError(f"{where} has more than 8 bits a colour ({image.mode})")
                if colour == "as_is" and image.mode not in MODES.values():
                    raise UserError(f"{where} is neither grey nor RGB but {image.mode}; set the reader's colour to grey or rgb")
                return np.asarray(image if colour == "as_is" else image.convert(MODES[colour]), np.uint8)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, zlib.error, Warning, Image.DecompressionBombError) as error:
        raise UserError(f"{where} is not a PNG or JPEG image that can be read: {' '.join(str(error).split())}") from None


class _Members:
    """The files of an archive: their sizes, and their contents one after another."""

    def __init__(self, archive: zipfile.ZipFile | tarfile.TarFile, path: Path) -> None:
        self.archive, self.path = archive, path
        self.sizes: dict[str, int] = {}
        if isinstance(archive, zipfile.ZipFile):
            listed = [(each.filename, each.file_size) for each in archive.infolist() if not each.is_dir()]
        else:
            listed = [(each.name.removeprefix("./"), each.size) for each in archive if not each.isdir()]
            if links := [each.name for each in archive if not each.isdir() and not each.isfile()]:
                raise UserError(f"{path}: {links[0]!r} is a link or a device, not a file")
        for name, size in listed:
            if name in self.sizes:
                raise UserError(f"{path}: {name!r} is in it twice")
            self.sizes[name] = size

    def contents(self, names: Mapping[str, object]) -> Iterator[tuple[str, bytes]]:
        """(name, content) of those that are asked for, in the archive's order."""
        if isinstance(self.archive, zipfile.ZipFile):
            for info in self.archive.infolist():
                if info.filename in names:
                    with self.archive.open(info) as file:
                        yield info.filename, file.read(IMAGE_BYTES)
            return
        for member in self.archive:
            name = member.name.removeprefix("./")
            if name in names and (content := self.archive.extractfile(member)):
                with content:
                    yield name, content.read(IMAGE_BYTES)


@contextmanager
def _archive(path: Path) -> Iterator[_Members]:
    """The members of a zip or tar archive. Raises UserError for what is neither, or damaged."""
    try:
        with zipfile.ZipFile(path) if zipfile.is_zipfile(path) else tarfile.open(path) as archive:
            yield _Members(archive, path)
    except tarfile.ReadError:
        raise UserError(f"{path}: neither a zip nor a tar archive, or a damaged one") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{path}: cannot be unpacked: {' '.join(str(error).split())}") from None


def _frame(path: Path, header: bool) -> pd.DataFrame:
    """The rows of a CSV file, as long as the first; cells that are no numbers stay text."""
    first = 0 if header else None
    try:
        frame = pd.read_csv(path, header=first, keep_default_na=False, low_memory=False)
    except pd.errors.EmptyDataError:
        raise UserError(f"{path}: has no rows") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if ragged:
            raise UserError(f"{path}: line {ragged[2]} has {ragged[3]} columns, the first has {ragged[1]}") from None
        raise UserError(f"{path}: not a CSV file: {error}") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes what exceeds the header for an index
        raise UserError(f"{path}: rows have more columns than the header, which has {frame.shape[1]}")
    if frame.empty:
        raise UserError(f"{path}: has no rows")
    return frame


def _position(column: Column, names: Sequence[Column], path: Path) -> int:
    if isinstance(column, str):
        if column not in names:
            raise UserError(f"{path}: {unknown('column', column, [str(name) for name in names])}")
        return names.index(column)
    if not -len(names) <= column < len(names):
        raise UserError(f"{path}: there is no column {column} among {len(names)}; they count from 0, or from -1 backwards")
    return column % len(names)


def _place(row: int, column: Column) -> str:
    return f"row {row + 1}, column {repr(column) if isinstance(column, str) else column + 1} (counted from 1)"


def _ratio(frame: pd.DataFrame, name: str, dividend: Column, divisor: Column, path: Path) -> np.ndarray:
    """One column divided by another, (rows,). Raises UserError where that cannot be."""
    names = list(frame.columns)
    if name in names:
        raise UserError(f"{path}: ratios: {name!r} is a column already")
    positions = [_position(dividend, names, path), _position(divisor, names, path)]
    above, below = _cells(frame.iloc[:, positions], "float64", path).T
    if (zeros := np.flatnonzero(below == 0)).size:
        place = _place(zeros[0], names[positions[1]])
        raise UserError(f"{path}: {place}: 0, where {name!r} needs something to divide by")
    with np.errstate(over="ignore"):  # what is infinite is refused with the features
        ratio: np.ndarray = above / below
    return ratio


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    return column if column.dtype.kind in "iuf" else pd.to_numeric(column.astype(str), errors="coerce")


def _cells(frame: pd.DataFrame, dtype: str, path: Path) -> np.ndarray:
    """The cells as numbers, (rows, columns). Raises UserError for the first that `dtype` cannot hold."""
    values: np.ndarray = frame.apply(_numbers).to_numpy()
    integer = np.issubdtype(dtype, np.integer)
    limits = np.iinfo(dtype) if integer else np.finfo(dtype)
    fits = (values >= limits.min) & (values <= limits.max)  # not for NaN
    if integer:
        fits &= np.where(fits, values, 0) % 1 == 0
    if not fits.all():
        row, column = np.argwhere(~fits)[0]
        place, cell = _place(row, frame.columns[column]), str(frame.iloc[row, column])
        raise UserError(f"{path}: {place}: {cell!r} is no finite number that {dtype} can hold")
    return values.astype(dtype)


def _shaped(x: np.ndarray, shape: Shape | None, path: Path) -> np.ndarray:
    """The same rows, each of them in `shape`."""
    if shape is None:
        return x
    if prod(x.shape[1:]) != prod(shape):
        raise UserError(f"{path}: rows of {prod(x.shape[1:])} values do not fit shape {list(shape)}")
    return x.reshape(-1, *shape)


def _checked(raw: Raw) -> Raw:
    """A part whose rows agree and hold finite numbers, its targets as (n,)."""
    x, y, path = raw
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y) or x.size == 0:
        raise UserError(f"{path}: inputs of shape {x.shape}, targets of shape {y.shape}; must be (n, ...) and (n,)")
    for what, values in (("inputs", x), ("targets", y)):
        if values.dtype.kind not in "iuf":
            raise UserError(f"{path}: the {what} are of type {values.dtype}, not numbers")
        if not (finite := np.isfinite(values)).all():
            first = tuple(np.argwhere(~finite)[0])
            raise UserError(f"{path}: the {what} hold {values[first]} in row {first[0] + 1}, not a finite number")
    return Raw(x, y, path)


def _check_labels(raw: Mapping[str, Raw], named: int) -> None:
    """Raises UserError unless all labels are 0 to k - 1, k being the named classes or else the labels that occur."""
    classes = named or len(np.unique(np.concatenate([y for _, y, _ in raw.values()])))
    for _, y, path in raw.values():
        if (odd := np.flatnonzero(~np.isin(y, np.arange(classes)))).size:
            row = odd[0]
            raise UserError(f"{path}: row {row + 1}: label {y[row]}; labels of {classes} classes are 0 to {classes - 1}")
