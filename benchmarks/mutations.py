"""Damage by a seed: settings, raw data files and cache entries with a mistake, and what is said of them.

Each kind of damage is a function of a generator and an empty folder. It returns what was said, or "" if it was accepted, and
raises whatever is no UserError.
"""

from __future__ import annotations

import copy
import hashlib
import io
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from stages.lib.cli import UserError
from stages.lib.data.catalogue import CATALOGUE, Dataset, load_catalogue
from stages.lib.data.parts import read_parts
from stages.lib.data.splits import prepare
from stages.lib.engine.cache import ReplicateCache
from stages.lib.study.load import check_task, load_study
from stages.lib.study.places import SETTINGS, studies
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import at, read_yaml
from stages.lib.training.result import Result

HOSTILE: tuple[Any, ...] = (
    *(None, True, -1, 0, 2, 1.5, 10**9, 10**18, 10**309, 1e-320, 1e308, float("inf"), float("nan")),
    *("", "none", "all", "a" * 300, "a b", "../x", "é\u202e", "\ud800", "<script>", "{{ 1 }}"),
    *("adam", "softmax", "val_loss", "2024-01-01"),
    *([], {}, [1], [1, 2, 3], [[[]]], {"a": {"b": 1}}, [0] * 2000, ["x"] * 3),
)  # fmt: skip
"""What takes the place of a value."""
INSERTED = ("\t", "\0", ":", "- ", "[", "}", "&a ", "*a", "!!int ", "'", "%", "\n---\n", "é", "<<: ", "[" * 300, "9" * 5000)
"""What is put into a text."""


def places(content: Any, *above: Any) -> Iterator[tuple[Any, ...]]:
    """The place of everything in lists and mappings."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, inner in pairs:
        yield (*above, key)
        yield from places(inner, *above, key)


def mutated(content: dict[str, Any], draw: Random) -> dict[str, Any]:
    """The same settings with one value replaced, one key misspelt or left out, or one value wrapped or doubled."""
    made = copy.deepcopy(content)
    *above, key = draw.choice(list(places(made)))
    inner: Any = made
    for part in above:
        inner = inner[part]
    kind = draw.randrange(8)
    if kind == 0:
        del inner[key]
    elif kind == 1 and isinstance(inner, dict):
        name = str(key)
        cut = draw.randrange(len(name))
        inner[name[:cut] + draw.choice("xX _-.") + name[cut:]] = inner.pop(key)
    elif kind == 2:
        inner[key] = draw.choice([[inner[key]], {"a": inner[key]}, str(inner[key]), [inner[key], inner[key]]])
    else:
        inner[key] = draw.choice(HOSTILE)
    return made


def mutated_text(text: str, draw: Random) -> str:
    """The same text with something put in, a piece left out, or the end cut off."""
    place = draw.randrange(len(text))
    kind = draw.randrange(4)
    if kind == 0:
        return text[:place]
    if kind == 1:
        return text[:place] + text[place + draw.randrange(1, 20) :]
    return text[:place] + draw.choice(INSERTED) + text[place:]


def mutated_bytes(content: bytes, draw: Random) -> bytes:
    """The same bytes with some changed, cut off or doubled."""
    if not content or draw.randrange(20) == 0:
        return b""
    made = bytearray(content)
    kind = draw.randrange(4)
    place = draw.randrange(len(made))
    if kind == 0:
        del made[place:]
    elif kind == 1:
        made[place:place] = made[draw.randrange(len(made)) :]
    else:
        for _ in range(draw.choice((1, 4, 40))):
            made[draw.randrange(len(made))] = draw.randrange(256)
    return bytes(made)


def write_settings(path: Path, original: Path, draw: Random) -> None:
    """A damaged copy of a file of settings: its content, or now and then its text."""
    text = original.read_text(encoding="utf-8")
    if draw.randrange(3) == 0:
        path.write_text(mutated_text(text, draw), encoding="utf-8", errors="surrogatepass")
        return
    yaml = YAML(typ="safe", pure=True)
    yaml.representer.ignore_aliases = lambda _: True
    with path.open("w", encoding="utf-8", errors="surrogatepass") as file:
        yaml.dump(mutated(yaml.load(text), draw), file)


def said(act: Callable[[], object]) -> str:
    """What a user is told, "" if nothing is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            act()
    except UserError as error:
        return str(error)
    return ""


def params(draw: Random, folder: Path) -> str:
    """A damaged params.yaml of one of the studies."""
    original = draw.choice(studies()) / SETTINGS
    task = load_catalogue(CATALOGUE)[read_yaml(original)["data"]["dataset"]].task
    write_settings(folder / SETTINGS, original, draw)

    def act() -> None:
        study = load_study(folder)
        with at(file=folder / SETTINGS):
            check_task(study, task)

    return said(act)


def datasets(draw: Random, folder: Path) -> str:
    """A damaged catalogue."""
    write_settings(folder / "datasets.yaml", CATALOGUE, draw)
    return said(lambda: load_catalogue(folder / "datasets.yaml"))


def raw_files() -> dict[str, tuple[dict[str, Any], dict[str, bytes]]]:
    """Kind of reader -> its options, and its files."""
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (60, 4, 4), np.uint8)
    y = np.arange(60, dtype=np.uint8) % 3
    table = "a,b,label\n" + "".join(f"{row[0, 0]},{row[0, 1] / 8},{label}\n" for row, label in zip(x, y, strict=True))
    arrays, archive = io.BytesIO(), io.BytesIO()
    np.savez(arrays, x=x, y=y)
    with zipfile.ZipFile(archive, "w") as folder:
        for number, (image, label) in enumerate(zip(x, y, strict=True)):
            picture = io.BytesIO()
            Image.fromarray(image).save(picture, "PNG")
            folder.writestr(f"{'abc'[label]}/{number}.png", picture.getvalue())
    images = struct.pack(">BBBB3I", 0, 0, 8, 3, *x.shape) + x.tobytes()
    labels = struct.pack(">BBBBI", 0, 0, 8, 1, 60) + y.tobytes()
    return {
        "csv": ({"header": True, "target": "label"}, {"all": table.encode()}),
        "npz": ({"parts": {"all": ["x", "y"]}}, {"arrays": arrays.getvalue()}),
        "idx": ({}, {"images": images, "labels": labels}),
        "images": ({}, {"archive": archive.getvalue()}),
    }


RAW = raw_files()
NAMES = ("data", "data.gz", "data.zip", "data.bz2", "data.xz", "data.zst", "data.tar", "data.csv")
SPLIT = {"method": "stratified", "train": 30, "validation": 10, "test": 10, "seed": 0}


def data(draw: Random, folder: Path) -> str:
    """A damaged raw file whose checksum is the right one, so that the readers see it, and under any name."""
    kind = draw.choice(list(RAW))
    options, contents = RAW[kind]
    hit = draw.choice(list(contents))
    files = {}
    for number, (role, content) in enumerate(contents.items()):
        written = mutated_bytes(content, draw) if role == hit else content
        name = f"{number}{draw.choice(NAMES)}"
        (folder / name).write_bytes(written)
        files[role] = {"name": name, "sha256": hashlib.sha256(written).hexdigest(), "sources": ["https://example.org/x"]}
    entry = {"title": "-", "task": "classification", "licence": "-", "citation": "-", "files": files}
    if kind == "images":
        entry["class_names"] = ["a", "b", "c"]
    dataset = Dataset.model_validate({**entry, "reader": {"kind": kind, **options}})
    study = Study.model_validate(read_yaml(Path("params.yaml")) | {"data": {"dataset": "x", "split": SPLIT}})
    return said(lambda: prepare(study, dataset, read_parts(dataset, folder)))


def cache(draw: Random, folder: Path) -> str:
    """A damaged entry of the replicate cache. It is said and removed, or the result is as it was."""
    kept = ReplicateCache(folder / "cache", 10**9)
    result = Result({"history.csv": b"epoch,loss\n1,2\n", "scores.json": b"{}"}, 1.0, 0.5)
    notes: list[str] = []
    kept.put("ab" + "0" * 62, result, notes.append)
    path = draw.choice(sorted(path for path in (folder / "cache").rglob("*") if path.is_file()))
    if draw.randrange(8) == 0:
        path.unlink()
    elif path.suffix == ".json" and draw.randrange(2):
        path.write_text(mutated_text(path.read_text(), draw), encoding="utf-8", errors="surrogatepass")
    else:
        path.write_bytes(mutated_bytes(path.read_bytes(), draw))
    got = kept.get("ab" + "0" * 62, notes.append)
    if got is not None and got.files != result.files:
        raise ValueError("a damaged result was handed on")
    return "\n".join(notes)


KINDS: dict[str, Callable[[Random, Path], str]] = {
    "params.yaml": params,
    "datasets.yaml": datasets,
    "data": data,
    "cache": cache,
}
