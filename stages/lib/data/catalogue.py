"""The catalogue of data sets: where their files are, what these hold, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from stages.lib.cli import SettingError, UserError, as_yaml
from stages.lib.data.readers.arrays import Idx, Npz
from stages.lib.data.readers.images import Images
from stages.lib.data.readers.tables import Csv, Excel, Parquet
from stages.lib.study.metrics import Task
from stages.lib.study.strict_yaml import NAME, NO_NAME, Section, at, chosen_by, matching, read_yaml, unknown

CATALOGUE = Path("data/datasets.yaml")
SOURCE = r"https?://[^/]+/.+|file:.+|package:\w+/.+|(?![A-Za-z][\w+.-]*:).+"
Source = Annotated[str, matching(SOURCE, "https://..., http://..., package:NAME/PATH, file:///... or a path")]
Sha256 = Annotated[str, matching(r"[0-9a-fA-F]{64}", "64 hexadecimal digits"), AfterValidator(str.lower)]
FileName = Annotated[str, matching(r"\w[\w.-]*", "a file name: letters, digits and . _ -, without a folder")]
CONFUSION = ("variant", "class", "accuracy")
"""Columns of metrics/confusion.csv, which has one for each class too."""
AnyReader = Csv | Parquet | Excel | Idx | Npz | Images


def _label(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise SettingError(f"{as_yaml(value)} must be text, a number, true or false")
    return value


Label = Annotated[
    Any, BeforeValidator(_label), WithJsonSchema({"anyOf": [{"type": kind} for kind in ("string", "number", "boolean")]})
]


class File(Section):
    """A file, by its content and where to get it."""

    name: FileName
    """Its name in data/raw."""
    sha256: Sha256
    """SHA-256 of the unpacked content. Mirrors may compress it in another way."""
    sources: Annotated[tuple[Source, ...], Field(strict=False, min_length=1)]
    """Where it is, tried in this order: URLs, or paths from the checkout's root. A slash ends that of a folder of images."""
    member: str | None = None
    """The file's name in the archive (tar or zip), if the sources are archives."""
    mirror_name: FileName | None = None
    """What a mirror calls it. Without it, the last part of each source."""


class Dataset(Section):
    """What is fetched: where its files are, and how they are read."""

    title: str
    """What it is."""
    task: Task
    """Whether labels 0 to k - 1 are predicted (classification), or a number (regression)."""
    reader: Annotated[AnyReader, chosen_by("kind", AnyReader)]
    """How the files are read. Its `kind` says which keys it has."""
    files: dict[str, File]
    """Role -> file. Each kind of reader has its own roles."""
    licence: str
    """What others may do with it."""
    citation: str
    """Who made it."""
    description: str = ""
    """What the rows are."""
    class_names: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of the classes, in the order of their labels. Without them, the labels themselves."""
    labels: Annotated[tuple[Label, ...], Field(strict=False)] = ()
    """What stands for each class in the files. Without it, class_names where labels are text, otherwise 0, 1, ..."""
    feature_names: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of one row's inputs. Without them, those that the reader's features have."""
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
        self.reader.check(self.task, self.class_names, self.files)
        check_class_names(self.class_names)
        for number, label in enumerate(self.labels):
            if str(label) in map(str, self.labels[:number]):
                raise SettingError(f"{as_yaml(label)} occurs twice", "labels")
        if self.labels and self.task == "regression":
            raise SettingError("a regression has no classes", "labels")
        if self.labels and isinstance(self.reader, Images):
            raise SettingError("the folders of images are the labels; class_names names them", "labels")
        if self.labels and self.class_names and len(self.labels) != len(self.class_names):
            raise SettingError(
                f"holds {len(self.labels)}, and class_names {len(self.class_names)}; each class has one", "labels"
            )
        if self.class_names and self.task == "regression":
            raise SettingError("a regression has no classes", "class_names")
        return self

    @property
    def named_features(self) -> tuple[str, ...]:
        """What one row's inputs are called. () if nothing says so."""
        return self.feature_names or self.reader.feature_names


def check_class_names(names: Sequence[str]) -> None:
    """Raises SettingError for a name that is there twice, or that a table of the results needs."""
    for number, name in enumerate(names):
        if name in names[:number]:
            raise SettingError(f"{as_yaml(name)} occurs twice", "class_names")
        if name in CONFUSION:
            raise SettingError(f"{name!r} is a column of metrics/confusion.csv; the class needs another name", "class_names")


def load_catalogue(path: Path) -> dict[str, Dataset]:
    """Name -> data set. Raises UserError naming the file, the key, the value and what is allowed."""
    datasets = {}
    for name, entry in read_yaml(path).items():
        if not re.fullmatch(NAME, name):
            raise UserError(f"{path}: {name!r} {NO_NAME}")
        with at(name, file=path):
            datasets[name] = Dataset.model_validate(entry)
    return datasets


def pick(catalogue: Mapping[str, Dataset], name: str) -> Dataset:
    """The data set of this name. Raises UserError for an unknown name, and lists the known ones."""
    if name not in catalogue:
        raise UserError(f"{CATALOGUE}: {unknown('data set', name, catalogue)}")
    return catalogue[name]
