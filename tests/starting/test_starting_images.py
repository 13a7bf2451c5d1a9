"""Folders of images become studies, with what makes them alike."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.datasets import grey, message, picture, tarred, zipped
from helpers.starting import begin, checkout, refusal
from stages.lib.data.catalogue import load_catalogue
from stages.lib.data.download import obtain
from stages.lib.starting.answers import Answers
from stages.tools.new import New


def pictures(prefix: str = "", size: tuple[int, int] = (12, 12), count: int = 6) -> dict[str, bytes]:
    names = [f"{prefix}{name}/{number}.png" for name in ("cat", "dog") for number in range(count)]
    return {name: picture(grey(number, *size)) for number, name in enumerate(names)}


@pytest.mark.parametrize(
    ("members", "options"),
    [
        (pictures(), {}),
        (pictures("pets/"), {"folders": {"all": "pets"}}),
        ({**pictures("set/train/"), **pictures("set/test/")}, {"folders": {"train": "set/train", "test": "set/test"}}),
        ({**pictures("Train/"), **pictures("valid/")}, {"folders": {"train": "Train", "test": "valid"}}),
        ({**pictures(), "cat/7.png": picture(np.zeros((12, 12, 3)))}, {"colour": "rgb"}),
        ({**pictures(), "cat/7.png": picture(grey(0, 20, 10))}, {"size": [12, 12]}),
        (pictures(size=(300, 400)), {"size": [48, 64]}),
        ({**pictures(), "cat/.DS_Store": b"", "README.txt": b"mine"}, {}),
    ],
)
def test_an_archive_is_read_as_it_is(tmp_path: Path, members: Mapping[str, bytes], options: dict[str, Any]) -> None:
    begun = begin(tmp_path, {"mine.zip": zipped(members)})
    assert begun.reader == {"kind": "images", **options}
    assert begun.dataset.class_names == ("cat", "dog")
    assert begun.study.claims["convolution_helps"].compare == ("baseline", "convolution")


def test_what_is_said_of_images(tmp_path: Path) -> None:
    said = begin(tmp_path, {"mine.tar": tarred({**pictures(count=30), "dog/x.png": picture(np.zeros((20, 30, 3)))})}).said
    assert said == [
        "images: 2 sizes from 12 x 12 to 30 x 20 pixels, grey and in colour",
        "classification: 2 classes with their images: cat 30, dog 31",
        "made alike: 12 x 12 pixels; --reader size=[HEIGHT,WIDTH] for others",
    ]


def test_the_checksum_is_that_of_the_archive_without_gzip(tmp_path: Path) -> None:
    begun = begin(tmp_path, {"mine.tar.gz": tarred(pictures(), "w:gz")})
    file = begun.dataset.files["archive"]
    assert obtain("mine", file, None, tmp_path / "cache", tmp_path / "spare").read_bytes() == gzip.decompress(
        (tmp_path / "mine.tar.gz").read_bytes()
    )


def test_classes_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    members = {f"{name}/{number}.png": picture(grey(number, 9, 9)) for name in range(11) for number in range(3)}
    assert begin(tmp_path, {"mine.zip": zipped(members)}).dataset.class_names == tuple(map(str, range(11)))


def test_a_folder_is_a_source(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    for name, content in pictures().items():
        (root / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "pets" / name).write_bytes(content)
    New("mine", root).from_files([root / "pets"], None, Answers(), overwrite=False)
    file = load_catalogue(root / "data" / "datasets.yaml")["mine"].files["archive"]
    assert (file.name, file.sources) == ("pets.tar", ("pets/",))
    assert New("mine", root).compare([root / "pets"], update=False) == [
        f"unchanged: pets is what {root / 'data' / 'datasets.yaml'} says"
    ]
    (root / "pets" / "cat" / "new.png").write_bytes(picture(grey(0, 12, 12)))
    assert message(New("mine", root).compare, [root / "pets"], update=False).endswith("--update writes the new one")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"1.png": picture(grey())}, "mine.zip: has no folders: put the images of each class into a folder of its name"),
        ({"cat/1.png": picture(grey())}, "mine.zip: holds images of one class, 'cat'; a study tells two or more apart"),
        (
            {**pictures("a/"), **pictures("b/")},
            "mine.zip: the folders of classes must be in one folder, or in train and test; here they",
        ),
        ({**pictures(), "cat/9.png": b""}, "1 of 13 images cannot be read, so remove or mend them: 'cat/9.png' (empty)"),
        (pictures(count=2), "4 rows are too few: a study needs 10"),
    ],
)
def test_a_refusal_says_what_to_do(tmp_path: Path, members: Mapping[str, bytes], said: str) -> None:
    assert said in refusal(tmp_path, {"mine.zip": zipped(members)})
