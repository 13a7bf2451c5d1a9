"""The plan says what a run would train, before it trains."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.checkout import ROOT, stage
from helpers.study import csv_entry, prepared_for, study_with, write_params
from stages import train
from stages.lib.cli import UserError
from stages.lib.engine import jobs as engine_jobs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.jobs import Job, cost
from stages.lib.engine.plan import START_SECONDS, Plan, SearchPlan, lines, plan, plan_search, search_lines, wall_time
from stages.lib.engine.progress import clock
from stages.lib.study.settings import Study, resolve
from stages.lib.training.result import Result
from stages.tools.plan import show_plan

Folder = Callable[..., Path]


def jobs_of(study: Study) -> list[Job]:
    """The jobs of the small study, whose keys are told apart by eye; `noisy` costs twice what the others do."""
    return [
        Job(name, seed, recipe, "scaled", f"{name} {seed}", 20.0 if name == "noisy" else 10.0)
        for name, recipe in study.recipes.items()
        for seed in study.seeds(name)
    ]


def planned(held: dict[str, float] | None = None, timed: dict[str, Any] | None = None) -> dict[str, Plan]:
    study = study_with()
    return {each.variant: each for each in plan(study, jobs_of(study), (held or {}).get, timed or {})}


def test_what_is_cached_is_not_to_do() -> None:
    plans = planned({"plain 0": 1.0, "plain 2": 3.0, "noisy 1": 5.0})
    assert {name: (each.replicates, each.cached, each.to_train) for name, each in plans.items()} == {
        "plain": (3, 2, 1),
        "noisy": (3, 1, 2),
        "dropped": (3, 0, 3),
    }


def test_a_replicate_takes_as_long_as_its_variant_s_did_or_else_by_its_cost_as_the_others_did() -> None:
    plans = planned({"plain 0": 1.0, "plain 2": 3.0, "noisy 1": 8.0})
    assert [(each.seconds, each.guessed) for each in plans.values()] == [
        (2.0, False),  # the mean of 1 and 3
        (8.0, False),
        (10.0 * 12.0 / 40.0, True),  # its cost, and all seconds by all costs
    ]


def test_what_two_variants_ask_for_alike_is_trained_once() -> None:
    study = study_with()
    jobs = [replace(job, key=f"same {job.seed}") if job.variant != "noisy" else job for job in jobs_of(study)]
    asked = {each.variant: each for each in plan(study, jobs, {"same 0": 1.0}.get, {})}
    assert {name: (each.cached, each.shared, each.to_train) for name, each in asked.items()} == {
        "plain": (1, 0, 2),
        "noisy": (0, 0, 3),
        "dropped": (1, 2, 0),
    }
    told = list(lines(list(asked.values()), 1))
    assert told[4].startswith("5 of 9 replicates to train")
    assert told[-1] == "2 more replicates are equal to another variant's, and are trained once"


def test_past_runs_are_scaled_by_what_they_cost() -> None:
    timed = {"plain": {"0": {"seconds": 4.0, "cost": 40.0}}, "noisy": {"0": {"seconds": 6.0}}, "gone": {"0": {"seconds": 9.0}}}
    plans = planned({}, timed)
    assert plans["plain"].seconds == pytest.approx(1.0)  # of a cost of 40 then, 10 now
    assert plans["noisy"].seconds == pytest.approx(6.0)  # an older file: it cost what it does
    assert plans["dropped"].seconds == pytest.approx(10 * (4.0 + 6.0) / (40.0 + 20.0))


def test_a_cached_replicate_counts_once() -> None:
    assert planned({"plain 0": 1.0}, {"plain": {"0": {"seconds": 9.0}}})["plain"].seconds == 1.0


def test_nothing_is_said_of_what_nobody_knows() -> None:
    assert {each.seconds for each in planned().values()} == {None}
    without_data = plan(study_with(), None, lambda _: 1.0, {"plain": {"0": {"seconds": 4.0, "cost": 40.0}}})
    assert {(each.cached, each.seconds) for each in without_data} == {(None, None)}
    assert wall_time(without_data, 2) is None


def test_the_whole_takes_the_work_of_each_worker_but_never_less_than_its_longest_replicate() -> None:
    plans = [Plan("a", 3, 0, 4.0), Plan("b", 1, 0, 20.0), Plan("c", 2, 2, None)]
    assert [wall_time(plans, workers) for workers in (1, 2, 16)] == [
        START_SECONDS + 32.0,
        START_SECONDS + 20.0,
        START_SECONDS + 20.0,
    ]
    assert wall_time([Plan("c", 2, 2, None)], 0) == 0.0


@pytest.mark.parametrize(("seconds", "text"), [(2.34, "2.3 s"), (75.0, "1:15"), (3599.6, "1:00:00"), (12000.0, "3:20:00")])
def test_times_read_like_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_table_adds_up_and_marks_what_is_reckoned() -> None:
    told = list(lines([Plan("a", 3, 1, 4.0), Plan("b", 1, 0, 20.0, guessed=True), Plan("c", 2, 2, 1.0)], 2))
    assert [line.split() for line in told[1:4]] == [
        ["a", "3", "1", "2", "4.0", "s", "8.0", "s"],
        ["b", "1", "0", "1", "~20.0", "s", "~20.0", "s"],
        ["c", "2", "2", "0", "-", "-"],
    ]
    assert told[4] == f"3 of 6 replicates to train, by 2 workers: about {clock(START_SECONDS + 20)}"
    assert told[5].startswith("~: no replicate of this variant was timed")
    assert list(lines([Plan("c", 2, 2, 1.0)], 0))[2:] == ["nothing to train: all 2 replicates are cached"]


# A search

SEARCH: dict[str, Any] = {
    "variant": "plain",
    "space": {
        "layers": {"key": "model.hidden.layers", "integers": [1, 3]},
        "batch_size": {"key": "train.batch_size", "choices": [16, 32]},
    },
    "strategies": {"blind": {"method": "random"}, "clever": {"method": "tpe"}},
    "trials": 6,
    "batch": 3,
    "seeds": 2,
    "folds": 2,
    "metric": "val_accuracy",
}


def test_a_search_takes_the_longest_of_its_dearest_network_and_of_what_others_took_for_all() -> None:
    study = study_with({"search": SEARCH})
    assert study.search
    prepared = prepared_for(study)
    jobs = engine_jobs.jobs_of(study, prepared)
    first, second, *_ = (job for job in jobs if job.variant == "plain")
    held = {first.key: 3.0, second.key: 1.0}
    plans = plan(study, jobs, held.get, {})
    recipe = resolve(study, "plain", {"model": {"hidden": [16, 16, 16]}, "train": {"batch_size": 16}})
    dearest = cost(recipe.model, recipe.train.epochs, recipe.train.batch_size, 120, (8, 8), 4)
    searched = plan_search(study, study.search, plans, jobs, prepared)
    assert searched.seconds == pytest.approx(3.0 * dearest / first.cost) != 3.0
    timed = {"noisy": {"0": {"seconds": 99.0}}}
    assert plan_search(study, study.search, plan(study, jobs, held.get, timed), jobs, prepared).seconds == 99.0
    assert plan_search(study, study.search, plans, None, None).seconds is None
    assert plan_search(study, study.search, plan(study, jobs, lambda _: None, {}), jobs, prepared).seconds is None


def test_a_search_takes_the_work_of_each_worker_but_never_less_than_its_rounds_in_turn() -> None:
    told = [
        next(search_lines(SearchPlan(100, 4, 30, seconds), workers)) for seconds, workers in ((2.0, 1), (2.0, 30), (None, 2))
    ]
    assert told == [
        f"the search asks for 100 more replicates, by 1 worker: about {clock(START_SECONDS + 200)} at most",
        f"the search asks for 100 more replicates, by 30 workers: about {clock(START_SECONDS + 8)} at most",
        "the search asks for 100 more replicates, by 2 workers: the time is not known",
    ]


# The command


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place whose catalogue has the small study's data set, to run the stage's own main in."""
    rows = [f"{label * 10 + number % 9},{number % 7},{label}" for number in range(240) for label in (number % 4,)]
    text = "\n".join(rows) + "\n"
    entry = csv_entry(hashlib.sha256(text.encode()).hexdigest(), "https://example.org/blobs.csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "datasets.yaml").write_text(json.dumps({"blobs": entry}))
    (tmp_path / "blobs.csv").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TIPS_WORKERS", "2")
    return tmp_path


def fetched(checkout: Path, study: Path) -> None:
    (study / "data" / "raw").mkdir(parents=True, exist_ok=True)
    (study / "data" / "raw" / "blobs.csv").write_text((checkout / "blobs.csv").read_text())


def shown(study: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the plan prints; write_params has put the variants into alphabetical order."""
    show_plan(train.load_study(study), study)
    return capsys.readouterr().out.splitlines()


def test_before_the_fetch_it_says_what_it_cannot_know(
    checkout: Path, small_study: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    study = small_study()
    for path in (study / "data" / "prepared").iterdir():
        path.unlink()
    (study / "data" / "prepared").rmdir()
    told = shown(study, capsys)
    assert told[3].split() == ["plain", "3", "?", "3", "?", "?"]
    assert told[4].startswith("9 of 9 replicates to train at most, by 2 workers: the time is not known")
    assert "does not hold the data set yet" in told[5]


def test_with_the_data_prepared_or_only_fetched_it_knows_what_is_cached(
    checkout: Path, small_study: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    study = small_study()
    settings, cache = study_with(), ReplicateCache.of_user()
    for job in engine_jobs.jobs_of(settings, prepared_for(settings))[:4]:
        cache.put(job.key, Result({"history.csv": b"x"}, 2.0, 1.0), print)
    told = shown(study, capsys)
    assert [line.split()[:4] for line in told[1:4]] == [
        ["dropped", "3", "0", "3"],
        ["noisy", "3", "1", "2"],
        ["plain", "3", "3", "0"],
    ]

    fetched(checkout, study)  # other rows than those that the study was prepared with
    told = shown(study, capsys)
    assert [line.split()[:4] for line in told[1:4]] == [[name, "3", "0", "3"] for name in ("dropped", "noisy", "plain")]
    assert not (study / "data" / "runs").exists()


def test_what_a_search_adds_is_said_after_the_table(
    checkout: Path, small_study: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"search": SEARCH}
    study, settings = small_study(changes), study_with(changes)
    job, *_ = engine_jobs.jobs_of(settings, prepared_for(settings))
    assert shown(study, capsys)[-2].endswith("more replicates, by 2 workers: the time is not known")
    ReplicateCache.of_user().put(job.key, Result({"history.csv": b"x"}, 2.0, 1.0), print)
    *_, table, searched, fewer = shown(study, capsys)
    assert table.startswith("~: no replicate")
    assert re.fullmatch(r"the search asks for 58 more replicates, by 2 workers: about \S+( s)? at most", searched)
    assert fewer == "This is an upper limit: cached and repeated trials are not trained again."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"dataset": "blob"}}, "unknown data set 'blob' (did you mean 'blobs'?)"),
        ({"data": {"split": {"train": 1000}}}, "add up to 1080 rows; the data set has 240"),
        ({"model": {"conv": [4]}}, "variants.dropped.model.conv: needs images"),
        ({"variants": {"plain": {"reported": {"test_mae": 1.0}}}}, "test_mae is not measured in a classification"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes: dict[str, Any], said: str, checkout: Path, small_study: Folder) -> None:
    study = small_study(changes)
    fetched(checkout, study)
    with pytest.raises(UserError) as caught:
        show_plan(train.load_study(study), study)
    assert said in str(caught.value)


def test_after_training_nothing_is_left_to_do(
    trained: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = trained / "study"
    monkeypatch.delenv("XLA_FLAGS")  # which this process has, and a stage has not
    shutil.copytree(trained / "cache", checkout / "cache")
    assert shown(study, capsys)[-1] == "nothing to train: all 9 replicates are cached"

    write_params(study, {"train": {"epochs": 30}})
    timed = json.loads((study / "data" / "timings.json").read_text())["replicates"]["dropped"]
    mean = sum(replicate["seconds"] for replicate in timed.values()) / len(timed)
    told = shown(study, capsys)
    # One replicate of ten times the cost. A product on the edge of rounding goes either way.
    assert told[1].split(maxsplit=4)[4].split()[:2] in [clock(10 * mean + edge).split() for edge in (-0.06, -0.01, 0.01, 0.06)]
    assert "9 of 9 replicates to train, by 2 workers: about" in told[4]


def test_the_starter_can_be_planned(tmp_path: Path) -> None:
    done = stage("tools.plan", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    variants = train.load_study(ROOT).variants
    assert [line.split()[0] for line in done.stdout.splitlines()[1 : len(variants) + 1]] == list(variants)
