"""Every dvc.yaml comes from one template, and names all that its stages read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.checkout import ROOT
from helpers.imports import closure_of, room_of
from helpers.runs import write_runs
from helpers.search import SEARCH, edited
from helpers.study import blobs, csv_entry, merged, study_with, write_params, write_study
from stages import evaluate, search, train
from stages.lib.data import splits
from stages.lib.data.catalogue import CATALOGUE, Dataset, load_catalogue
from stages.lib.study.load import load_study
from stages.lib.study.places import studies
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import read_yaml
from stages.tools.pipelines import pipeline

STAGES = ("fetch", "prepare", "train", "evaluate", "search", "plot")
FREE = {"__init__", "cli", "environment", "files", "markdown", "study", "syntax", "templates"}
"""Rooms that a stage need not depend on: reading settings and writing files decides nothing that the parameters do not."""
STUDIES = studies(ROOT)
SEARCHED = Path("studies/housing")


def stages_of(study: Path) -> dict[str, dict[str, Any]]:
    stages: dict[str, dict[str, Any]] = read_yaml(ROOT / study / "dvc.yaml")["stages"]
    return stages


def code(stage: dict[str, Any]) -> set[str]:
    """The files and folders of stages/ among a stage's dependencies."""
    return {path for path in stage["deps"] if path.startswith("stages/")}


def parameters(study: Path, stage: dict[str, Any]) -> list[str] | None:
    """The keys of the study's params.yaml that a stage names; None where it names the whole file."""
    (keys,) = (files[name] for files in stage["params"] for name in files if name.endswith("params.yaml"))
    assert list(stage["params"][0]) == [(study / "params.yaml").as_posix()]
    return list(keys) if keys is not None else None


def test_every_study_has_a_pipeline() -> None:
    assert sorted(ROOT.glob("**/dvc.yaml")) == sorted(ROOT / study / "dvc.yaml" for study in STUDIES)


@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_every_pipeline_is_made_from_the_template(study: Path) -> None:
    committed = (ROOT / study / "dvc.yaml").read_text(encoding="utf-8")
    assert committed == pipeline(study, ROOT), f"stale: run `python -m stages.tools pipelines {study}`"


@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_every_stage_runs_its_script_at_the_root(study: Path) -> None:
    stages = stages_of(study)
    has_search = "search" in read_yaml(ROOT / study / "params.yaml")
    assert tuple(stages) == tuple(name for name in STAGES if name != "search" or has_search)
    for name, stage in stages.items():
        assert (ROOT / "stages" / f"{name}.py").is_file()
        assert stage["cmd"] == f"python -m stages.{name}" + ("" if study == Path() else f" {study.as_posix()}")
        assert (ROOT / study / stage.get("wdir", ".")).resolve() == ROOT
        assert stage["desc"]


@pytest.mark.parametrize("name", [name for name in STAGES if name not in ("train", "search")])
def test_a_stage_depends_on_every_room_that_its_script_imports(name: str) -> None:
    script = Path("stages") / f"{name}.py"
    rooms = {room_of(file) for file in closure_of(script)} - FREE - {"stages"}
    assert code(stages_of(Path())[name]) == {script.as_posix(), *(f"stages/lib/{room}" for room in rooms)}


@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_train_depends_on_what_decides_a_result_and_on_no_other_code(study: Path) -> None:
    """Where looks are planned, verdicts decide what is trained."""
    judging = {"stages/lib/judging"} if load_study(ROOT / study).looks else set()
    assert code(stages_of(study)["train"]) == {"stages/lib/training"} | judging


def test_search_depends_on_what_trains_and_on_what_chooses_and_judges() -> None:
    own = {"stages/search.py", "stages/lib/searching", "stages/lib/study/space.py", "stages/lib/judging"}
    assert code(stages_of(Path())["search"]) == {"stages/lib/training", *own}


def test_what_decides_a_result_runs_no_code_of_another_room() -> None:
    files = [path.relative_to(ROOT) for path in ROOT.glob("stages/lib/training/*.py")]
    assert {room_of(each) for file in files for each in closure_of(file)} <= {"training", "cli", "files"}


@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_a_stage_names_sections_that_there_are_and_every_section_is_a_stage_s(study: Path) -> None:
    named = {name: parameters(study, stage) for name, stage in stages_of(study).items()}
    assert named.pop("plot") is None  # it shows all of them
    assert {key.split(".")[0] for keys in named.values() for key in keys or ()} <= set(Study.model_fields)


def test_training_and_searching_name_the_sections_that_they_watch() -> None:
    stages = stages_of(SEARCHED)
    assert parameters(SEARCHED, stages["train"]) == list(train.SECTIONS)
    assert parameters(SEARCHED, stages["search"]) == list(search.SECTIONS)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The sections of a study that are read from here on. Checks of a whole study change no result, so they are left out."""
    read: set[str] = set()

    def noted(study: Study, name: str) -> Any:
        if name in Study.model_fields:
            read.add(name)
        return object.__getattribute__(study, name)

    monkeypatch.setattr(Study, "__getattribute__", noted, raising=False)
    for module, check in ((splits, "check_task"), (splits, "_check_folds"), (evaluate, "check_task")):
        monkeypatch.setattr(module, check, lambda *_: None)
    return read


def test_prepare_names_the_sections_that_it_reads(reading: set[str]) -> None:
    study = study_with()
    reading.clear()
    splits.prepare(study, Dataset.model_validate(csv_entry("0" * 64, "file:///nowhere")), {"all": blobs(240)})
    assert reading == set(parameters(Path(), stages_of(Path())["prepare"]) or ())


def test_evaluate_names_every_section_that_it_reads(reading: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folds = {"data": {"k_fold": {"folds": 3, "repeats": 1, "seed": 0}}, "variants": {"noisy": {"k_fold": True}}}
    folder = write_study(tmp_path / "study", folds)
    write_runs(folder, folds)
    study = load_study(folder)
    assert study.recipes["noisy"].k_fold  # made once, of `data` and of what only train reads
    reading.clear()
    monkeypatch.setattr(evaluate, "load_study", lambda _: study)
    monkeypatch.setattr(sys, "argv", ["evaluate", str(folder)])
    evaluate.main()
    assert {*reading, "data"} == set(parameters(Path(), stages_of(Path())["evaluate"]) or ())


@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_a_study_writes_the_table_that_its_task_has(study: Path) -> None:
    stages, task = stages_of(study), load_catalogue(ROOT / CATALOGUE)[load_study(ROOT / study).data.dataset].task
    written = [name for entry in stages["evaluate"]["outs"] for name in entry]
    table, other = ("confusion", "residuals") if task == "classification" else ("residuals", "confusion")
    assert (study / "metrics" / f"{table}.csv").as_posix() in written
    assert (study / "metrics" / f"{other}.csv").as_posix() not in written


@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_losses_are_drawn_on_a_logarithmic_scale(study: Path) -> None:
    plots = [each for each in read_yaml(ROOT / study / "dvc.yaml")["plots"] if isinstance(each, dict)]
    assert len(plots) == 2
    for title, plot in (item for each in plots for item in each.items()):
        assert plot["template"] == ("variants_log" if "loss" in title else "variants")


def test_a_study_with_networks_of_its_own_watches_their_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text((ROOT / "data" / "datasets.yaml").read_text())
    for folder in (Path(), Path("studies/mine")):
        (tmp_path / folder / "networks").mkdir(parents=True)
        search = {"search": edited({"space": {"rate": SEARCH["space"]["rate"]}, "strategies": {"a": {"method": "random"}}})}
        write_params(tmp_path / folder, {"data": {"dataset": "mnist_5k"}, "search": {**search["search"], "claims": {}}})
        (tmp_path / "dvc.yaml").write_text(pipeline(folder, tmp_path))
        stages = read_yaml(tmp_path / "dvc.yaml")["stages"]
        watching = [name for name, stage in stages.items() if (folder / "networks").as_posix() in stage["deps"]]
        assert watching == ["train", "search", "plot"]


def test_a_study_without_validation_rows_shows_its_training_curve(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text((ROOT / "data" / "datasets.yaml").read_text())
    digits = {"data": {"dataset": "mnist_5k"}}
    write_params(tmp_path, digits)
    assert "Validation accuracy:" in pipeline(Path(), tmp_path)
    write_params(tmp_path, merged(digits, {"data": {"split": {"validation": 0}}}))
    text = pipeline(Path(), tmp_path)
    assert "Training accuracy:" in text
    assert "metrics/confusion.csv:" in text
    assert "  search:" not in text


def test_evaluating_depends_on_the_study_s_own_metrics_where_there_are_some(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text((ROOT / "data" / "datasets.yaml").read_text())
    folder = tmp_path / "studies" / "mine"
    folder.mkdir(parents=True)
    write_params(folder, {"data": {"dataset": "mnist_5k"}})
    without = pipeline(Path("studies/mine"), tmp_path)
    (folder / "metrics.py").write_text("")
    added = pipeline(Path("studies/mine"), tmp_path).replace("      - studies/mine/metrics.py\n", "")
    assert added == without
    (tmp_path / "dvc.yaml").write_text(pipeline(Path("studies/mine"), tmp_path))
    stages = read_yaml(tmp_path / "dvc.yaml")["stages"]
    assert [name for name, stage in stages.items() if "studies/mine/metrics.py" in stage["deps"]] == ["train", "evaluate"]
