"""One command makes a study of a file. It says what it saw, overwrites nothing unasked, and notices a changed file."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from helpers.checkout import ROOT, Checkout, copy_tree, is_result
from helpers.datasets import message
from helpers.starting import CATALOGUE, checkout, table
from stages import fetch
from stages.lib.data.catalogue import load_catalogue
from stages.lib.study.load import load_study
from stages.tools import new

FLOWERS = table("length,width,colour,kind", "{0},{1},{three},{text}", 60)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a checkout with a file of data beside it, and nobody at the terminal."""
    root = checkout(tmp_path)
    (tmp_path / "my flowers.csv").write_text(FLOWERS)
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return root


def run(*given: str) -> None:
    new.main(["flowers", *given])


def refused(*given: str) -> str:
    with pytest.raises(SystemExit) as ended:
        run(*given)
    assert isinstance(ended.value.code, str)
    return ended.value.code


def test_a_study_of_a_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("../my flowers.csv", "--target", "kind")
    assert capsys.readouterr().out.splitlines() == [
        "table: , between cells, a header",
        "classification: kind, 2 classes with their rows: a 30, b 30",
        "numbers: length, width",
        "categories: colour (3 values)",
        "written: studies/flowers/params.yaml and dvc.yaml, and flowers in data/datasets.yaml",
        "next: cd studies/flowers && dvc repro",
    ]
    text = (root / "data" / "datasets.yaml").read_text()
    assert text.startswith(CATALOGUE.rstrip())
    file = load_catalogue(root / "data" / "datasets.yaml")["flowers"].files["all"]
    assert (file.name, file.sources) == ("my_flowers.csv", (str(root.parent / "my flowers.csv"),))
    assert len((root / "studies" / "flowers" / "params.yaml").read_text().splitlines()) <= 40
    study = load_study(root / "studies" / "flowers")
    assert (len(study.variants), len(study.claims)) == (3, 1)
    assert "python -m stages.train studies/flowers" in (root / "studies" / "flowers" / "dvc.yaml").read_text()


@pytest.mark.parametrize("name", ["50%.csv", "a%20b.csv", "a#1.csv", "a?b.csv", "~x.csv", "a:b.csv", "\u00f6 1.csv"])
@pytest.mark.parametrize("inside", [True, False])
def test_whatever_the_file_is_called_the_fetch_stage_finds_it(root: Path, name: str, inside: bool) -> None:
    path = Path(name) if inside else Path("..", name)
    path.write_text(FLOWERS)
    run(str(path), "--target", "kind")
    fetch.main(["studies/flowers"])
    (fetched,) = (root / "studies" / "flowers" / "data" / "raw").iterdir()
    assert fetched.read_text() == FLOWERS


def test_nothing_is_overwritten_unasked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("../my flowers.csv", "--target", "kind")
    params = root / "studies" / "flowers" / "params.yaml"
    params.write_text(params.read_text() + "# mine\n")
    before = (root / "data" / "datasets.yaml").read_text()
    run("../my flowers.csv")
    assert capsys.readouterr().out.endswith("unchanged: my flowers.csv is what data/datasets.yaml says\n")
    assert refused("--template", "flowers") == "new: studies/flowers exists; --force writes it anew"
    assert (params.read_text()[-7:], (root / "data" / "datasets.yaml").read_text()) == ("# mine\n", before)
    run("../my flowers.csv", "--target", "length", "--force")
    assert "# mine" not in params.read_text()
    catalogue = load_catalogue(root / "data" / "datasets.yaml")
    assert (list(catalogue), catalogue["flowers"].task) == (["other", "flowers"], "regression")


def test_a_changed_file_is_noticed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("../my flowers.csv", "--target", "kind")
    old = load_catalogue(root / "data" / "datasets.yaml")["flowers"].files["all"].sha256
    raw = root / "studies" / "flowers" / "data" / "raw"
    raw.mkdir(parents=True)
    shutil.copy("../my flowers.csv", raw / "my_flowers.csv")
    Path("../my flowers.csv").write_text(FLOWERS.replace("0.0,", "9.0,").replace(",z,", ",w,") + "1,2,v,a\n")
    capsys.readouterr()
    assert refused("../my flowers.csv") == "new: data/datasets.yaml keeps the old checksum; --update writes the new one"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"my_flowers.csv: SHA-256 {old[:12]}... is now ")
    assert lines[1:] == ["rows of all: 60 before, 61 now", "values of colour that are new: v, w"]
    assert old in (root / "data" / "datasets.yaml").read_text()
    run("../my flowers.csv", "--update")
    text = (root / "data" / "datasets.yaml").read_text()
    assert old not in text
    assert text.startswith(CATALOGUE.rstrip())
    run("../my flowers.csv")
    assert "unchanged" in capsys.readouterr().out


def test_a_changed_file_that_no_longer_fits_is_refused(root: Path) -> None:
    run("../my flowers.csv", "--target", "kind")
    Path("../my flowers.csv").write_text(FLOWERS.replace("kind", "sort"))
    assert refused("../my flowers.csv", "--update").startswith("new: my_flowers.csv: unknown column 'kind'; known: length,")
    Path("../my flowers.csv").write_text("".join(FLOWERS.splitlines(keepends=True)[:50]))
    assert "add up to 60 rows; the data set has 49" in refused("../my flowers.csv", "--update")


def test_a_study_of_the_catalogue_s_data(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(ROOT / "data" / "datasets.yaml", root / "data" / "datasets.yaml")
    run("--dataset", "mnist_5k")
    assert capsys.readouterr().out.startswith("classification: 5,000 handwritten digits")
    study = load_study(root / "studies" / "flowers")
    assert (study.data.dataset, list(study.variants)) == ("mnist_5k", ["baseline", "convolution", "unscaled"])


def test_a_copy_of_a_study(root: Path) -> None:
    shutil.copy(ROOT / "data" / "datasets.yaml", root / "data" / "datasets.yaml")
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    for name in ("networks/mine.py", "metrics.py"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text('"""Mine."""\n')
    run("--template", "starter")
    copied = {path.relative_to(root / "studies" / "flowers").as_posix() for path in root.glob("studies/flowers/**/*.py")}
    assert copied == {"networks/mine.py", "metrics.py"}
    text = (root / "studies" / "flowers" / "params.yaml").read_text()
    assert text == (ROOT / "params.yaml").read_text().replace("$schema=docs", "$schema=../../docs")
    assert (root / "studies" / "flowers" / "dvc.yaml").is_file()
    assert "unknown study 'strater' (did you mean 'starter'?)" in message(new.New("other_one", root).from_template, "strater")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("../none.csv",), "../none.csv: does not exist"),
        ((), "give files, or --dataset, or --template: one of the three"),
        (("../my flowers.csv", "--template", "starter"), "one of the three"),
        (("--dataset", "mnist"), "data/datasets.yaml: unknown data set 'mnist'; known: other"),
        (("../my flowers.csv",), "my flowers.csv: which of its columns is to be predicted: length, width, colour, kind?"),
        (("../my flowers.csv", "--reader", "header"), "--reader 'header' must be KEY=VALUE, such as delimiter=';'"),
        (("../my flowers.csv", "--member", "x"), "my flowers.csv: member 'x' needs an archive"),
        (("https://example.org/flowers.csv",), "https:/example.org/flowers.csv: is on the web; give a copy of it"),
    ],
)
def test_a_mistake_is_one_line(root: Path, given: tuple[str, ...], said: str) -> None:
    assert said in refused(*given)
    assert not (root / "studies").exists()


@pytest.mark.parametrize("option", [(), ("--force",)])
def test_another_study_s_data_set_stays(root: Path, option: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="has a data set other already; choose another name, or --dataset other"):
        new.main(["other", "../my flowers.csv", *option])
    assert (root / "data" / "datasets.yaml").read_text() == CATALOGUE


def test_a_name_must_be_one() -> None:
    assert message(new.New, "Flowers", Path()).startswith("'Flowers' is no name: a small letter")
    assert message(new.New, "starter", Path()) == "starter is the study at the checkout's root"


def test_settings_of_the_reader_are_yaml() -> None:
    given = ["header=true", "delimiter=;", "missing=[-999, x]", "delimiter=\\t", "comment=#", "quote=|"]
    assert new.settings_of(given) == {"header": True, "delimiter": "\t", "missing": [-999, "x"], "comment": "#", "quote": "|"}


def test_a_question_is_asked_until_its_answer_is_one_of_the_choices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = iter(["no_", "no"])
    monkeypatch.setattr("builtins.input", lambda _: next(said))
    assert new.ask("Is it?", ("yes", "no")) == "no"
    assert capsys.readouterr().out == "unknown answer 'no_' (did you mean 'no'?); known: yes, no\n"


def test_no_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert message(new.ask, "Is it?", ("yes", "no")) == "Is it? There is no answer"


@pytest.mark.slow
def test_from_a_file_to_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    copy_tree(folder, lambda name: not is_result(name))
    made = Checkout(folder, tmp_path / "cache")
    made.run("git", "init", "-q", "-b", "main")
    (folder / "flowers.csv").write_text(FLOWERS.replace("4.0,", ","))
    made.run("python", "-m", "stages.tools", "new", "flowers", "flowers.csv", "--target", "kind")
    study = Checkout(folder / "studies" / "flowers", tmp_path / "cache")
    params = study.folder / "params.yaml"
    params.write_text(params.read_text().replace("limits: {}", "limits: {epochs: 2}").replace("{seeds: 5}", "{seeds: 3}"))
    study.run("dvc", "repro")
    report = (study.folder / "data" / "report.html").read_text(encoding="utf-8")
    assert "scaling_helps" in report
    assert study.json("metrics/metrics.json")["claims"]["scaling_helps"]["verdict"]
