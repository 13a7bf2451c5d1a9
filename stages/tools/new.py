"""Begin a study of your own data.

It looks at the data, says what it takes them for, and writes params.yaml, dvc.yaml and the entry of data/datasets.yaml.

FILE is a table (text, Parquet, Excel), an archive or a folder of images, an NPZ file, or .npy or IDX files of inputs and
targets. Two files are one to train with and one to test on. What the data do not say is asked, or said by an option. --reader
takes any key of the entry's reader, which docs/knobs.md lists: --reader delimiter=';' --reader 'missing=[-999]'.

Once the study exists, the command says what has changed in the file. --update writes the new checksum.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.lib import environment
from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE, Dataset, load_catalogue, pick
from stages.lib.data.checks import described as missing_of
from stages.lib.data.checks import doubts
from stages.lib.data.download import obtain
from stages.lib.data.parts import Parts, read_parts
from stages.lib.data.readers.images import Images
from stages.lib.data.splits import prepare
from stages.lib.files import write_bytes, write_text
from stages.lib.starting import entries
from stages.lib.starting.answers import Answers, Seen
from stages.lib.starting.files import Given, in_roles, look_at, opened
from stages.lib.starting.proposal import propose
from stages.lib.starting.tables import described
from stages.lib.study import networks, own
from stages.lib.study.load import load_study
from stages.lib.study.places import FOLDER, PIPELINE, SETTINGS, STARTER, studies
from stages.lib.study.strict_yaml import NAME, NO_NAME, at, unknown
from stages.tools.pipelines import pipeline

NOT_STATED = "not stated"


class New:
    """A study to be, in a checkout."""

    def __init__(self, name: str, root: Path) -> None:
        if not re.fullmatch(NAME, name) or name == "starter":
            raise UserError(f"{name!r} {NO_NAME}" if name != "starter" else "starter is the study at the checkout's root")
        self.name, self.root = name, root
        self.folder = root / FOLDER / name
        self.catalogue = root / CATALOGUE

    def from_files(self, paths: Sequence[Path], member: str | None, answers: Answers, overwrite: bool) -> list[str]:
        """Write a study of the user's files. Returns what they were taken for, in lines."""
        with workplace() as folder:
            files = in_roles([opened(path, self.root, folder, member, answers) for path in paths])
            seen = look_at(files, answers)
            dataset = self.dataset_of(seen, files)
            parts = rows_of(dataset, {role: file.content for role, file in files.items()}, folder)
            params = propose(self.name, dataset, parts, ", ".join(path.name for path in paths))
            doubts = self.check(params, dataset, parts, folder)
            text = entries.with_entry(
                self.catalogue.read_text(encoding="utf-8"), self.name, entries.entry_of(dataset), overwrite
            )
            entries.check(text, self.name, dataset, folder)
        write_text(self.catalogue, text)
        self.write(entries.params_text(params))
        if params["data"].get("incomplete_rows"):
            doubts.insert(0, "left out: rows without a target, and all others with a missing value")
        return [*seen.said, *table_lines(parts), *doubts]

    def from_catalogue(self, dataset_name: str) -> list[str]:
        """Write a study of a data set that the catalogue has. Its files are fetched, unless the user's cache has them."""
        dataset = pick(load_catalogue(self.catalogue), dataset_name)
        mirror, cache = environment.mirror(), environment.cache_folder("downloads")
        with workplace() as folder:
            contents = {role: obtain(dataset_name, file, mirror, cache, folder) for role, file in dataset.files.items()}
            parts = rows_of(dataset, contents, folder)
            params = propose(dataset_name, dataset, parts, "a question of my own")
            self.check(params, dataset, parts, folder)
        self.write(entries.params_text(params))
        return [f"{dataset.task}: {dataset.title}", *table_lines(parts)]

    def from_template(self, template: str) -> list[str]:
        """Write a copy of another study, with its own networks and metrics."""
        known = {"starter": STARTER, **{place.name: place for place in studies(self.root) if place != STARTER}}
        if template not in known:
            raise UserError(str(unknown("study", template, known)))
        folder = self.root / known[template]
        for path in [*folder.glob(f"{networks.FOLDER}/*.py"), *folder.glob(own.FILE)]:
            write_bytes(self.folder / path.relative_to(folder), path.read_bytes())
        text = (folder / SETTINGS).read_text(encoding="utf-8")
        self.write(re.sub(r"(?m)^(# yaml-language-server: \$schema=)(\.\./)*", r"\1../../", text, count=1))
        return [f"template: {template}, with its data set and its variants"]

    def dataset_of(self, seen: Seen, files: Mapping[str, Given]) -> Dataset:
        """The entry of the catalogue. Raises UserError for settings that cannot be."""
        names = {role: file.name for role, file in files.items()}
        if len(set(names.values())) < len(names):
            names = {role: f"{role}_{name}" for role, name in names.items()}
        content = {
            "title": self.name.replace("_", " ").capitalize(),
            "task": seen.task,
            "reader": seen.reader,
            "files": {role: file.file(names[role]) for role, file in files.items()},
            "licence": NOT_STATED,
            "citation": NOT_STATED,
            "class_names": seen.class_names,
            "labels": seen.labels,
            "target": seen.reader["target"] if isinstance(seen.reader.get("target"), str) else "",
        }
        with at(self.name, file=self.catalogue):
            return Dataset.model_validate(content)

    def check(self, params: Mapping[str, Any], dataset: Dataset, parts: Parts, folder: Path) -> list[str]:
        """What seems odd about the study. Raises UserError if the stages would refuse it."""
        write_text(folder / "study" / SETTINGS, entries.params_text(params))
        prepared = prepare(load_study(folder / "study"), dataset, parts)
        return [f"odd: {doubt}" for doubt in doubts(parts, prepared.splits, parts.class_names)]

    def write(self, params: str) -> None:
        write_text(self.folder / SETTINGS, params)
        write_text(self.folder / PIPELINE, pipeline(FOLDER / self.name, self.root))

    def exists(self) -> bool:
        """Whether the study is there. Raises UserError if another study's data set has its name."""
        study = (self.folder / SETTINGS).exists()
        if not study and self.name in load_catalogue(self.catalogue):
            raise UserError(
                f"{self.catalogue} has a data set {self.name} already; choose another name, or --dataset {self.name}"
            )
        return study

    def compare(self, paths: Sequence[Path], update: bool) -> list[str]:
        """What has changed in the files since the entry was written. With `update`, the entry gets their checksums.

        Raises UserError if the files no longer fit the study.
        """
        dataset = pick(load_catalogue(self.catalogue), self.name)
        member = next((file.member for file in dataset.files.values()), None)
        with workplace() as folder:
            files = in_roles([opened(path, self.root, folder, member, Answers()) for path in paths])
            if set(files) != set(dataset.files):
                raise UserError(
                    f"{self.name} has the files {', '.join(dataset.files)}, not {', '.join(files)}; --force begins anew"
                )
            changed = {role: file.file(dataset.files[role].name) for role, file in files.items()}
            digests = {dataset.files[role].sha256: file.sha256 for role, file in changed.items()}
            if all(old == new for old, new in digests.items()):
                return [f"unchanged: {', '.join(path.name for path in paths)} is what {self.catalogue} says"]
            now = dataset.model_copy(update={"files": changed})
            parts = rows_of(now, {role: file.content for role, file in files.items()}, folder / "new")
            lines = [
                f"{dataset.files[role].name}: SHA-256 {dataset.files[role].sha256[:12]}... is now {file.sha256[:12]}..."
                for role, file in changed.items()
                if file.sha256 != dataset.files[role].sha256
            ]
            lines += entries.differences(self.old_parts(dataset, folder / "old"), parts)
            prepare(load_study(self.folder), now, parts)
        if not update:
            print(*lines, sep="\n")
            raise UserError(f"{self.catalogue} keeps the old checksum; --update writes the new one")
        text = self.catalogue.read_text(encoding="utf-8")
        write_text(self.catalogue, entries.with_digests(text, self.name, digests))
        return [*lines, f"written: the checksum in {self.catalogue}"]

    def old_parts(self, dataset: Dataset, folder: Path) -> Parts | None:
        """The rows of the files as the entry has them, if they are in the study's data/raw or in the user's cache."""
        found = {}
        for role, file in dataset.files.items():
            places = (self.folder / "data" / "raw" / file.name, environment.cache_folder("downloads") / file.sha256)
            found[role] = next((place for place in places if place.is_file()), None)
        present = {role: place for role, place in found.items() if place}
        try:
            return rows_of(dataset, present, folder) if len(present) == len(found) else None
        except UserError:  # the copy was altered
            return None


def rows_of(dataset: Dataset, contents: Mapping[str, Path], folder: Path) -> Parts:
    """The rows of the contents, by role, read as the prepare stage does, from links in `folder`.

    Raises UserError for what cannot be read, with what may help.
    """
    raw = folder / "raw"
    raw.mkdir(parents=True)
    for role, content in contents.items():
        (raw / dataset.files[role].name).symlink_to(content.resolve())
    try:
        return read_parts(dataset, raw)
    except UserError as error:
        clear = "; " in str(error) or isinstance(dataset.reader, Images)
        raise UserError(f"{error}{'' if clear else '; mend the file, or say by --reader how to read it'}") from None


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder, which messages do not name: a user knows their files without it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder)
        except UserError as error:
            raise UserError(re.sub(rf"{re.escape(folder)}/(\w+/)*", "", str(error))) from None


def table_lines(parts: Parts) -> list[str]:
    """The columns of a table, in lines."""
    if not parts.columns or any(x.ndim > 2 for x, _ in parts.values()):  # such as pictures, a number for each pixel
        return []
    missing = [each["missing"] for each in missing_of(parts)]
    return described(parts.columns, missing, sum(len(y) for _, y in parts.values()))


def ask(question: str, choices: Sequence[str]) -> str:
    """The answer that somebody types: one of the choices, if there are some."""
    hint = "" if all(choice in question for choice in choices) else f" [{'/'.join(choices)}]"
    while True:
        try:
            said = input(f"{question}{hint} ").strip()
        except EOFError:
            raise UserError(f"{question} There is no answer") from None
        if said in choices or (said and not choices):
            return said
        print(unknown("answer", said, choices))


def settings_of(given: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE with values in YAML, as a mapping. Raises UserError for what is neither."""
    settings = {}
    for each in given:
        key, equals, value = each.partition("=")
        if len(value) == 1 and not value.isalnum():  # a sign, which YAML may take for something else
            settings[key] = value
            continue
        try:
            settings[key] = YAML(typ="safe", pure=True).load(value) if value.strip() else value
        except YAMLError:
            settings[key] = value  # such as a single |
        if not equals or not key:
            raise UserError(f"--reader {each!r} must be KEY=VALUE, such as delimiter=';'")
        if key == "delimiter" and value in ("tab", "\\t"):
            settings[key] = "\t"
    return settings


def main(given: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__, study=False)
    parser.add_argument("name", metavar="NAME", help="the study's name, and that of its data set")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="the data: files, or a folder of images")
    parser.add_argument("--target", metavar="COLUMN", help="what is predicted: a column's name, or its position from 0")
    parser.add_argument("--task", choices=("classification", "regression"), help="whether classes or numbers are predicted")
    parser.add_argument("--reader", action="append", default=[], metavar="KEY=VALUE", help="how the files are read")
    parser.add_argument("--member", metavar="NAME", help="the file to use of an archive")
    parser.add_argument("--dataset", metavar="NAME", help="a data set of data/datasets.yaml, instead of files")
    parser.add_argument("--template", metavar="STUDY", help="copy this study, or starter, instead")
    parser.add_argument("--update", action="store_true", help="write the checksum of files that have changed")
    parser.add_argument("--force", action="store_true", help="write a study anew that exists")
    options = parser.parse_args(given)
    with one_line_errors("new"):
        study = New(options.name, Path())
        if sum(map(bool, (options.files, options.dataset, options.template))) != 1:
            raise UserError("give files, or --dataset, or --template: one of the three")
        exists = study.exists() if options.files else (study.folder / SETTINGS).exists()
        if exists and options.files and not options.force:
            print(*study.compare(options.files, options.update), sep="\n")
            return
        if exists and not options.force:
            raise UserError(f"{study.folder} exists; --force writes it anew")
        answers = Answers(options.target, options.task, settings_of(options.reader), ask if sys.stdin.isatty() else None)
        if options.files:
            lines = study.from_files(options.files, options.member, answers, options.force)
        elif options.dataset:
            lines = study.from_catalogue(options.dataset)
        else:
            lines = study.from_template(options.template)
        print(*lines, sep="\n")
        more = f", and {options.name} in {CATALOGUE}" if options.files else ""
        print(f"written: {study.folder / SETTINGS} and {PIPELINE}{more}")
        print(f"next: cd {study.folder} && dvc repro")


if __name__ == "__main__":
    main()
