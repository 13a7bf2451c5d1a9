"""The review of a change: real Git repositories with small studies, whose metrics are made by hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.checkout import ROOT
from helpers.study import write_params
from stages import search
from stages.lib.cli import UserError
from stages.lib.files import write_json, write_text
from stages.lib.judging.claims import judge_claims
from stages.lib.judging.tables import csv_text, metrics_json, summary_of
from stages.lib.review.changes import BEYOND, UNDECIDED, WITHIN
from stages.lib.review.page import LIMIT
from stages.lib.review.pairs import paired
from stages.lib.review.sides import read_side
from stages.lib.searching import rounds
from stages.lib.searching.trials import Trial
from stages.lib.study.load import load_study
from stages.lib.study.places import studies
from stages.lib.study.settings import merged
from stages.lib.study.space import DEFAULT
from stages.tools import review

FIVE: dict[str, Any] = {"replicates": {"seeds": 5}}
GOOD, BAD = [0.95, 0.951, 0.952, 0.953, 0.954], [0.8, 0.801, 0.802, 0.803, 0.804]
"""Test accuracies of five replicates; the 99 % interval of a difference of two such is 0.0046 on either side."""
AFTER_5 = "supported after 5 replicates"
LOW = [0.5, 0.501, 0.502, 0.503, 0.504]
NAN = float("nan")
SEARCH: dict[str, Any] = {
    "variant": "plain",
    "space": {
        "rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1]},
        "units": {"key": "model.hidden.units", "integers": [4, 64], "grid": [4, 64]},
    },
    "strategies": {"blind": {"method": "random"}, "clever": {"method": "tpe"}},
    "trials": 8,
    "batch": 4,
    "seeds": 5,
    "folds": 2,
    "metric": "val_accuracy",
    "claims": {
        "learning_helps": {
            "says": "TPE finds more.",
            "compare": ["blind", "clever"],
            "metric": "val_accuracy",
            "expect": "higher",
        }
    },
}


def git(folder: Path, *arguments: str) -> str:
    command = [
        "git",
        "-C",
        str(folder),
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@b",
        "-c",
        "init.defaultBranch=main",
        *arguments,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "a commit")


def measure(folder: Path, accuracies: Mapping[str, Sequence[float]] | None = None) -> None:
    """Write the metrics that evaluate would; test accuracies are GOOD unless given, and losses 1 minus those."""
    study = load_study(folder)
    tables = {}
    for variant in study.variants:
        values = pd.Series((accuracies or {}).get(variant, GOOD))
        columns = {"variant": variant, "seed": range(len(values)), "test_accuracy": values, "test_loss": 1 - values}
        tables[variant] = pd.DataFrame(columns)
    replicates, summary = pd.concat(tables.values()), summary_of(tables, study.statistics.confidence)
    claims = judge_claims(study, replicates, list(study.claims))
    write_json(folder / "metrics" / "metrics.json", metrics_json(summary, claims, "classification"))
    for name, table in (("replicates", replicates), ("summary", summary), ("claims", claims)):
        write_text(folder / "metrics" / f"{name}.csv", csv_text(table))


def add_study(
    folder: Path, changes: Mapping[str, Any] | None = None, accuracies: Mapping[str, Sequence[float]] | None = None
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_params(folder, merged(FIVE, changes or {}))
    measure(folder, accuracies)


def measure_search(folder: Path, scores: Mapping[str, Sequence[float]] | None = None, units: int = 16) -> None:
    """Write what the search stage would: a trial of each strategy and seed, with half of its score on the test rows.

    scores: of each fold of a strategy's winners, by seed; GOOD unless given.
    """
    study = load_study(folder)
    settings = study.search
    assert settings is not None
    (found,) = {name for name, each in settings.space.items() if each.integers}
    trials = [
        Trial(name, seed, 0, {"rate": 0.01, found: units}, study.recipes[settings.variant], {0: value, 1: value}, {0: 3, 1: 3})
        for name in (DEFAULT, *settings.strategies)
        for seed, value in enumerate((scores or {}).get(name, GOOD))
    ]
    tested = [[each.score / 2] for each in trials]
    search.write_found(study, settings, rounds.Found(trials, trials, tested, [False] * len(trials)), folder / "metrics")


def rename(folder: Path, old: str, new: str) -> None:
    """Rename a variant or a claim in the parameters and in the metrics."""
    for path in [folder / "params.yaml", *folder.glob("metrics/*.*"), *folder.glob("metrics/search/*")]:
        path.write_text(re.sub(rf"\b{old}\b", new, path.read_text()))


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "params.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose branch main has the starter, measured; the current folder."""
    folder = tmp_path / "checkout"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".gitignore").write_text("/review.md\n")
    add_study(folder, accuracies={"noisy": BAD})
    git(folder, "init", "-q")
    commit(folder)
    monkeypatch.chdir(folder)
    for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def section(text: str, title: str) -> str:
    """A section of the review, or nothing."""
    return text.partition(f"### {title}\n")[2].partition("\n### ")[0]


def rows(text: str, title: str) -> list[list[str]]:
    lines = [line for line in section(text, title).splitlines() if line.startswith("| ")]
    return [line[2:-2].split(" | ") for line in lines if not line.startswith(("| study", "| ---"))]


def headline(text: str) -> str:
    return text.splitlines()[0]


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.tools.review", *arguments]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)


def change_everything(folder: Path) -> None:
    add_study(folder / "studies" / "old")
    add_study(folder / "studies" / "gone")
    (folder / "data").mkdir()
    (folder / "data" / "datasets.yaml").write_text("blobs:\n  rows: 200\n  files: [a, b]\n")
    commit(folder)
    git(folder, "checkout", "-q", "-b", "change")
    edit(folder, "batch_size: 32", "batch_size: 64")
    measure(folder)
    (folder / "studies" / "gone").rename(folder / "studies" / "other")
    (folder / "data" / "datasets.yaml").write_text("blobs:\n  rows: 300\n  files: [a, b]\n")
    write_params(folder / "studies" / "old", {"limits": {"rows": "none", "epochs": 2}})


def test_the_command_writes_the_review(checkout: Path) -> None:
    change_everything(checkout)
    status = git(checkout, "status", "--porcelain")
    done = run(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "review.md\n", "")
    text = (checkout / "review.md").read_text()
    assert text == review.review("main")
    assert text.startswith("## 1 verdict changed, 2 of 18 metrics beyond noise\n")
    assert git(checkout, "status", "--porcelain") == status


def test_nothing_changed(checkout: Path) -> None:
    text = review.review("HEAD")
    assert headline(text) == "## No verdicts changed, 0 of 6 metrics beyond noise"
    assert "the commit that is checked out" in text
    assert re.findall("^### (.*)", text, flags=re.MULTILINE) == ["How to reproduce"]


def test_verdicts_come_first_then_metrics_with_their_intervals(checkout: Path) -> None:
    measure(checkout, {"noisy": GOOD, "dropped": [value + 0.001 for value in GOOD]})
    text = review.review("main")
    assert headline(text) == "## 1 verdict changed, 2 of 6 metrics beyond noise"
    titles = re.findall("^### (.*)", text, flags=re.MULTILINE)
    assert titles == ["Verdicts changed", "Metrics changed", "How to reproduce"]
    before, after = "-0.15 (-0.155 to -0.145)", "0 (-0.0046 to 0.0046)"
    assert rows(text, "Verdicts changed") == [
        ["starter", "`noise_hurts`", AFTER_5, "**inconclusive**", before, after],
    ]
    assert rows(text, "Metrics changed") == [
        ["starter", "`noisy`", "`test_accuracy`", "0.802", "0.952", "0.15 (0.145 to 0.155)", BEYOND, "5"],
        ["starter", "`noisy`", "`test_loss`", "0.198", "0.048", "-0.15 (-0.155 to -0.145)", BEYOND, "5"],
        ["starter", "`dropped`", "`test_accuracy`", "0.952", "0.953", "0.001 (-0.0036 to 0.0056)", WITHIN, "5"],
        ["starter", "`dropped`", "`test_loss`", "0.048", "0.047", "-0.001 (-0.0056 to 0.0036)", WITHIN, "5"],
    ]
    assert "<details><summary>2 metrics within noise</summary>" in text
    assert "4 metrics changed. If all of it were noise, 0.04 of them would be beyond noise by chance." in text


def test_a_variant_that_diverged_is_compared(checkout: Path) -> None:
    measure(checkout, {"noisy": BAD, "plain": [NAN] * 5})
    text = review.review("main")
    assert ["starter", "`plain`", "`test_accuracy`", "0.952", "diverged", "by rank: all lower", BEYOND, "5"] in rows(
        text, "Metrics changed"
    )


def test_the_number_of_seeds_may_change(checkout: Path) -> None:
    measure(checkout, {"noisy": BAD[:2]})
    text = review.review("main")
    assert headline(text) == "## 1 verdict changed, 0 of 6 metrics beyond noise, 2 undecided"
    assert rows(text, "Metrics changed")[0][6:] == [UNDECIDED, "5 → 2"]


SHARED = "eeds were only added or taken away, so both sides share replicates, and no such number is known."


def test_a_constant_of_more_seeds_has_not_changed(checkout: Path) -> None:
    measure(checkout, {"noisy": BAD, "plain": [NAN] * 5, "dropped": [0.5] * 5})
    commit(checkout)
    measure(checkout, {"noisy": BAD, "plain": [NAN] * 7, "dropped": [*[0.5] * 5, 0.5, 0.5]})
    text = review.review("HEAD")
    assert headline(text) == "## No verdicts changed, 0 of 6 metrics beyond noise"
    assert "Metrics changed" not in text
    measure(checkout, {"noisy": BAD, "plain": [NAN] * 5, "dropped": [0.6] * 5})
    assert [row[1] for row in rows(review.review("HEAD"), "Metrics changed")] == ["`dropped`", "`dropped`"]


def test_sides_that_share_replicates_are_not_independent(checkout: Path) -> None:
    measure(checkout, {"noisy": BAD, "plain": [*GOOD, 0.97]})
    assert f"2 metrics changed. S{SHARED}" in review.review("main")
    measure(checkout, {"noisy": BAD, "plain": GOOD[:3]})
    assert f"2 metrics changed. S{SHARED}" in review.review("main")
    measure(checkout, {"noisy": LOW, "plain": [*GOOD, 0.97]})
    text = review.review("main")
    expected = "4 metrics changed. If all of it were noise, 0.02 of 2 of them would be beyond noise by chance."
    assert f"{expected} Of the others, s{SHARED}" in text


def test_a_variant_that_was_trained_again_shares_none_though_a_metric_happens_to_agree(checkout: Path) -> None:
    for name, best in (("before", [3, 3]), ("after", [3, 3, 2])):
        measure(checkout, {"noisy": BAD, "plain": [0.9, 0.91] if name == "before" else [0.92, 0.93, 0.94]})
        path = checkout / "metrics" / "replicates.csv"
        table = pd.read_csv(path)
        table.loc[table["variant"] == "plain", "best_epoch"] = best
        table["best_epoch"] = table["best_epoch"].fillna(1)
        table.to_csv(path, index=False)
        by_variant = {str(variant): rows for variant, rows in table.groupby("variant", sort=False)}
        (checkout / "metrics" / "summary.csv").write_text(csv_text(summary_of(by_variant, 0.99)))
        if name == "before":
            commit(checkout)
    assert "3 metrics changed. If all of it were noise, 0.03 of them would be beyond noise by chance." in review.review("HEAD")


def test_a_claim_that_was_itself_changed_says_so(checkout: Path) -> None:
    edit(checkout, "expect: lower", "expect: higher")
    measure(checkout, {"noisy": BAD})
    verdicts = rows(review.review("main"), "Verdicts changed")
    assert [row[1:4] for row in verdicts] == [
        ["`noise_hurts`; its `expect` changed", AFTER_5, "**refuted after 5 replicates**"]
    ]


def test_a_claim_that_is_altered_after_its_verdict_is_named_with_the_verdict_that_it_had_by_the_new_results(
    checkout: Path,
) -> None:
    """The margin is raised until the difference is too small to count. Without it, the new results support the claim, too."""
    edit(checkout, "noise_hurts", "noise_hurts_a_lot")
    edit(checkout, "expect: lower", "expect: lower\n    margin: 0.5")
    rename(checkout, "noisy", "with_noise")
    measure(checkout, {"with_noise": [value - 0.1 for value in BAD]})
    (row,) = rows(review.review("main"), "Claims altered after their results")
    assert row[1] == "`noise_hurts_a_lot` (was `noise_hurts`)"
    assert row[2].startswith("margin: ")
    assert row[3:] == [AFTER_5, "supported", "equivalent after 5 replicates"]


def test_a_claim_whose_sentence_alone_changed_is_named(checkout: Path) -> None:
    says = load_study(checkout).claims["noise_hurts"].says
    edit(checkout, says, "Noise does harm.")
    (row,) = rows(review.review("main"), "Claims altered after their results")
    assert row[2:] == [f"says: `{says}` → `Noise does harm.`", AFTER_5, "supported", AFTER_5]


def test_a_claim_that_had_no_verdict_may_still_be_altered(checkout: Path) -> None:
    (checkout / "metrics" / "claims.csv").unlink()
    commit(checkout)
    edit(checkout, "expect: lower", "expect: higher")
    measure(checkout, {"noisy": BAD})
    assert rows(review.review("HEAD"), "Claims altered after their results") == []


def test_an_effect_may_change_and_the_verdict_stay(checkout: Path) -> None:
    measure(checkout, {"noisy": LOW})
    text = review.review("main")
    assert headline(text).startswith("## No verdicts changed, 2 of 6"), headline(text)
    assert [row[1:3] for row in rows(text, "Effects changed")] == [["`noise_hurts`", AFTER_5]]


def test_a_renamed_variant_is_the_one_with_the_same_recipe(checkout: Path) -> None:
    rename(checkout, "noisy", "with_noise")
    rename(checkout, "noise_hurts", "noise_is_bad")
    text = review.review("main")
    assert headline(text) == "## No verdicts changed, 0 of 6 metrics beyond noise"
    assert [row[:3] for row in rows(text, "Claims")] == [["starter", "renamed from `noise_hurts`", "`noise_is_bad`"]]
    view = [
        "`variants.with_noise.view`",
        *(f"`views.{name}.{key}`" for name in ("noisy", "with_noise") for key in ("scale", "test_noise")),
    ]
    assert [row[1] for row in rows(text, "Parameters changed")] == view  # the view of that name, renamed with it
    assert [row[:3] for row in rows(text, "Variants")] == [["starter", "renamed from `noisy`", "`with_noise`"]]
    measure(checkout, {"with_noise": LOW})
    assert rows(review.review("main"), "Metrics changed")[0][1] == "`with_noise` (was `noisy`)"


def test_a_renamed_variant_is_found_where_a_default_changed_too(checkout: Path) -> None:
    rename(checkout, "dropped", "with_dropout")
    edit(checkout, "batch_size: 32", "batch_size: 64")
    text = review.review("main")
    assert [row[1:3] for row in rows(text, "Variants")] == [["renamed from `dropped`", "`with_dropout`"]]
    assert rows(text, "Parameters changed") == [["starter", "`train.batch_size`", "`32`", "`64`"]]


def test_variants_and_claims_come_and_go(checkout: Path) -> None:
    changes = {
        "variants": {"wide": {"tip": "Wide.", "extends": "plain", "model": {"hidden": [64]}}},
        "claims": {
            "width_helps": {"says": "It @helps|.", "compare": ["plain", "wide"], "metric": "test_accuracy", "expect": "higher"}
        },
    }
    add_study(checkout, changes, {"noisy": BAD, "wide": [value + 0.04 for value in GOOD]})
    text = review.review("main")
    wide = ["starter", "added", "`wide`", "`extends: plain, model.hidden: [64]`", "`test_accuracy` 0.992"]
    assert rows(text, "Variants") == [wide]
    row = rows(text, "Claims")[0]
    assert row[:4] == ["starter", "added", "`width_helps`", AFTER_5]
    assert row[5] == "It &#64;helps\\|."
    assert "Parameters changed" not in text  # all of them are of the variant and the claim
    commit(checkout)
    git(checkout, "tag", "wider")
    add_study(checkout, accuracies={"noisy": BAD})
    text = review.review("wider")
    assert [row[1:3] for row in rows(text, "Variants")] == [["removed", "`wide`"]]
    assert [row[1:4] for row in rows(text, "Claims")] == [["removed", "`width_helps`", AFTER_5]]


@pytest.fixture
def searching(checkout: Path) -> Path:
    """The repository, with a search on its branch main: the clever strategy does worse."""
    add_study(checkout, {"search": SEARCH}, {"noisy": BAD})
    measure_search(checkout, {"clever": BAD})
    commit(checkout)
    return checkout


def test_a_search_that_did_not_change_is_not_told(searching: Path) -> None:
    text = review.review("HEAD")
    assert headline(text) == "## No verdicts changed, 0 of 6 metrics beyond noise"
    assert re.findall("^### (.*)", text, flags=re.MULTILINE) == ["How to reproduce"]
    assert "search" not in text


def test_verdicts_and_scores_of_a_search_are_shown_as_others_are(searching: Path) -> None:
    measure_search(searching, {"blind": [value + 0.0005 for value in GOOD], "clever": [value + 0.02 for value in GOOD]}, 32)
    text = review.review("main")
    assert headline(text) == "## 1 verdict changed, 0 of 6 metrics and 2 of 6 scores of searches beyond noise"
    titles = re.findall("^### (.*)", text, flags=re.MULTILINE)
    assert titles == ["Verdicts changed", "Searches: scores changed", "Searches: winners", "How to reproduce"]
    before, after = "-0.15 (-0.155 to -0.145)", "0.0195 (0.0149 to 0.0241)"
    assert rows(text, "Verdicts changed") == [
        ["starter, search", "`learning_helps`", "refuted after 5 replicates", f"**{AFTER_5}**", before, after],
    ]
    name = "starter, search"
    assert rows(text, "Searches: scores changed") == [
        [name, "`clever`", "`test_accuracy`", "0.401", "0.486", "0.085 (0.0827 to 0.0873)", BEYOND, "5"],
        [name, "`clever`", "`val_accuracy`", "0.802", "0.972", "0.17 (0.165 to 0.175)", BEYOND, "5"],
        [name, "`blind`", "`test_accuracy`", "0.476", "0.47625", "0.00025 (-0.00205 to 0.00255)", WITHIN, "5"],
        [name, "`blind`", "`val_accuracy`", "0.952", "0.9525", "0.0005 (-0.0041 to 0.0051)", WITHIN, "5"],
    ]
    assert "4 scores changed. If all of it were noise, 0.04 of them" in text
    assert rows(text, "Searches: winners") == [
        [name, "`high`", "`0.954`", "`0.974`"],
        [name, "`low`", "`0.954`", "`0.974`"],
        [name, "`settings.units`", "`16`", "`32`"],
        [name, "`strategy`", "`blind`", "`clever`"],
        [name, "`test_accuracy`", "`0.477`", "`0.487`"],
        [name, "`val_accuracy`", "`0.954`", "`0.974`"],
    ]


def test_a_search_that_diverged_is_compared_and_two_seeds_decide_nothing(searching: Path) -> None:
    measure_search(searching, {"blind": [NAN] * 5, "clever": [0.9, 0.9]})
    scores = rows(review.review("main"), "Searches: scores changed")
    assert ["`val_accuracy`", "0.952", "diverged", "by rank: all lower", BEYOND, "5"] in [row[2:] for row in scores]
    assert [row[6:] for row in scores if row[1] == "`clever`"] == [[UNDECIDED, "5 → 2"]] * 2


def test_a_search_may_come_and_go(checkout: Path) -> None:
    add_study(checkout, {"search": SEARCH}, {"noisy": BAD})
    assert "`starter, search` was added: 2 strategies, 1 claims, no metrics." in review.review("main")
    measure_search(checkout, {"clever": BAD})
    text = review.review("main")
    assert headline(text) == "## No verdicts changed, 0 of 6 metrics beyond noise"
    assert "* `starter, search` was added: 2 strategies, 1 claims.\n" in text
    strategies = [
        ["`blind`", "`method: random`", "`test_accuracy` 0.476, `val_accuracy` 0.952"],
        ["`clever`", "`method: tpe`", "`test_accuracy` 0.401, `val_accuracy` 0.802"],
    ]
    assert rows(text, "Searches: strategies") == [["starter, search", "added", *each] for each in strategies]
    assert [row[:4] for row in rows(text, "Claims")] == [
        ["starter, search", "added", "`learning_helps`", "refuted after 5 replicates"]
    ]
    assert ["starter, search", "`settings.units`", "", "`16`"] in rows(text, "Searches: winners")
    assert ["starter", "`search.trials`", "", "`8`"] in rows(text, "Parameters changed")
    assert not [row for row in rows(text, "Parameters changed") if "strategies" in row[1] or "claims" in row[1]]
    commit(checkout)
    git(checkout, "tag", "searched")
    git(checkout, "rm", "-q", "-r", "metrics/search", "metrics/search.json")
    add_study(checkout, accuracies={"noisy": BAD})
    text = review.review("searched")
    assert "* `starter, search` was removed: 2 strategies, 1 claims.\n" in text
    assert rows(text, "Searches: strategies") == [["starter, search", "removed", *each] for each in strategies]
    assert [row[:4] for row in rows(text, "Claims")] == [
        ["starter, search", "removed", "`learning_helps`", "refuted after 5 replicates"]
    ]


def test_strategies_come_and_go(searching: Path) -> None:
    strategies = {"blind": {"method": "random"}, "even": {"method": "quasi_random", "trials": 4}}
    write_params(searching, merged(FIVE, {"search": {**SEARCH, "strategies": strategies, "claims": {}}}))
    assert "`starter, search`: not trained yet: `even`" in review.review("main")
    measure_search(searching)
    text = review.review("main")
    assert [row[1:4] for row in rows(text, "Searches: strategies")] == [
        ["added", "`even`", "`method: quasi_random, trials: 4`"],
        ["removed", "`clever`", "`method: tpe`"],
    ]
    assert "Parameters changed" not in text
    assert "no result did" not in text


def test_renames_in_a_search_are_seen(searching: Path) -> None:
    rename(searching, "clever", "bayes")
    rename(searching, "learning_helps", "bayes_helps")
    rename(searching, "units", "width")
    rename(searching, "plain", "simple")
    edit(searching, "hidden.width", "hidden.units")
    text = review.review("main")
    assert headline(text) == "## No verdicts changed, 0 of 6 metrics beyond noise"
    assert [row[:3] for row in rows(text, "Searches: strategies")] == [
        ["starter, search", "renamed from `clever`", "`bayes`"],
    ]
    assert [row[1:3] for row in rows(text, "Claims")] == [["renamed from `learning_helps`", "`bayes_helps`"]]
    assert {row[1].split(".")[1] for row in rows(text, "Parameters changed")} == {"space"}
    measure_search(searching, {"bayes": LOW})
    assert rows(review.review("main"), "Searches: scores changed")[0][1] == "`bayes` (was `clever`)"


def test_a_search_of_a_renamed_study_is_compared(searching: Path) -> None:
    add_study(searching / "studies" / "first", {"search": SEARCH})
    measure_search(searching / "studies" / "first")
    commit(searching)
    (searching / "studies" / "first").rename(searching / "studies" / "last")
    measure_search(searching / "studies" / "last", {"blind": BAD})
    text = review.review("HEAD")
    assert {row[0] for row in rows(text, "Searches: scores changed")} == {"last, search"}
    assert "2 of 12 scores of searches beyond noise" in headline(text)
    assert text.count("was `studies/first`") == 1


def test_settings_of_a_search_are_parameters_and_must_have_an_effect(searching: Path) -> None:
    edit(searching, "trials: 8", "trials: 12")
    edit(searching, "says: TPE finds more.", "says: TPE finds a bit more.")
    edit(searching, "title: A small study", "title: A study")
    text = review.review("main")
    assert rows(text, "Parameters changed") == [
        ["starter", "`search.trials`", "`8`", "`12`"],
        ["starter", "`title`", "`A small study`", "`A study`"],
        ["starter", "`search.claims.learning_helps.says`", "`TPE finds more.`", "`TPE finds a bit more.`"],
    ]
    assert "`starter, search`: the recipe changed, but no result did: `blind`, `clever`. Either" in text
    write_params(searching, merged(FIVE, {"search": merged(SEARCH, {"space": {"units": {"grid": [8]}}})}))  # no grid here
    assert "the recipe changed" not in review.review("main")


def test_a_renamed_study_is_compared_with_what_it_was(checkout: Path) -> None:
    for name in ("first", "second"):
        add_study(checkout / "studies" / name, {"title": f"The {name} one"}, {"noisy": BAD})
    commit(checkout)
    (checkout / "studies" / "second").rename(checkout / "studies" / "last")
    measure(checkout / "studies" / "last")
    text = review.review("HEAD")  # the new folder is not yet added to Git
    assert "* Study `studies/last` was `studies/second`.\n" in text
    assert headline(text) == "## 1 verdict changed, 2 of 18 metrics beyond noise"
    assert {row[0] for row in rows(text, "Metrics changed")} == {"last"}
    commit(checkout)
    assert review.review("HEAD~1").replace("HEAD~1", "HEAD") == text.replace(
        "the working tree, **with changes that are not committed**", "the commit that is checked out"
    )


def test_the_base_may_have_no_tutorials(checkout: Path) -> None:
    add_study(checkout / "studies" / "fresh")
    (checkout / "studies" / "unmeasured").mkdir()
    write_params(checkout / "studies" / "unmeasured")
    text = review.review("main")
    assert headline(text) == "## No verdicts changed, 0 of 6 metrics beyond noise"
    assert "* Study `fresh` was added: 3 variants, 1 claims.\n" in text
    assert "* Study `unmeasured` was added: 3 variants, 1 claims, no metrics.\n" in text
    assert [row[:4] for row in rows(text, "Claims")] == [
        ["fresh", "added", "`noise_hurts`", "inconclusive"],
        ["unmeasured", "added", "`noise_hurts`", "not judged"],
    ]
    assert "dvc repro studies/fresh/dvc.yaml:plot " in text


def test_a_study_may_go(checkout: Path) -> None:
    add_study(checkout / "studies" / "gone")
    commit(checkout)
    for path in sorted((checkout / "studies").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    text = review.review("main")
    assert "* Study `gone` was removed: 3 variants, 1 claims.\n" in text
    assert "plot@gone" not in text


def test_a_study_is_measured_for_the_first_time(checkout: Path) -> None:
    folder = checkout / "studies" / "fresh"
    folder.mkdir(parents=True)
    write_params(folder, FIVE)
    commit(checkout)
    measure(folder, {"noisy": BAD})
    text = review.review("main")
    assert "`fresh` has metrics for the first time" in text
    assert [row[:4] for row in rows(text, "Claims")] == [
        ["fresh", "judged for the first time", "`noise_hurts`", AFTER_5],
    ]
    commit(checkout)
    (folder / "metrics" / "replicates.csv").unlink()
    assert "`fresh` has no metrics any more" in review.review("HEAD")


def test_results_that_do_not_follow_the_parameters_are_named(checkout: Path) -> None:
    write_params(
        checkout, merged(FIVE, {"train": {"batch_size": 64}, "variants": {"new": {"tip": "New.", "extends": "plain"}}})
    )
    text = review.review("main")
    assert "the recipe changed, but no result did: `dropped`, `noisy`, `plain`. Either" in text
    assert "not trained yet: `new`" in text


def test_parameters_of_the_data_sets_and_prose_are_shown(checkout: Path) -> None:
    change_everything(checkout)
    edit(checkout, "title: A small study", "title: A <b>small</b> `study`")
    text = review.review("main")
    assert rows(text, "Parameters changed") == [
        ["starter", "`train.batch_size`", "`32`", "`64`"],
        ["starter", "`title`", "`A small study`", "`A <b>small</b> 'study'`"],
        ["old", "`limits.epochs`", "", "`2`"],
        ["old", "`limits.rows`", "", "`none`"],
        ["old", "`replicates.seeds`", "`5`", "`3`"],
        ["data/datasets.yaml", "`blobs.rows`", "`200`", "`300`"],
    ]


def draw(folder: Path, **figures: str) -> None:
    (folder / "metrics" / "figures").mkdir(exist_ok=True)
    for name, content in figures.items():
        (folder / "metrics" / "figures" / f"{name}.svg").write_text(content)


def test_figures_before_and_after(checkout: Path) -> None:
    draw(checkout, same="same", other="old", gone="gone")
    commit(checkout)
    draw(checkout, other="new", new="new")
    (checkout / "metrics" / "figures" / "gone.svg").unlink()
    base = git(checkout, "rev-parse", "main")[:10]
    assert rows(review.review("main"), "Figures changed") == [
        ["starter", "`gone.svg`", f"`git show {base}:./metrics/figures/gone.svg`", "none"],
        ["starter", "`new.svg`", "none", "[metrics/figures/new.svg](metrics/figures/new.svg)"],
        [
            "starter",
            "`other.svg`",
            f"`git show {base}:./metrics/figures/other.svg`",
            "[metrics/figures/other.svg](metrics/figures/other.svg)",
        ],
    ]


def test_on_github_figures_are_shown_and_a_later_push_keeps_their_links(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(checkout, other="old")
    commit(checkout)
    git(checkout, "checkout", "-q", "-b", "change")
    draw(checkout, other="new")
    commit(checkout)
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/study")
    text = review.review("main")
    base, head = (git(checkout, "rev-parse", name).strip() for name in ("main", "change"))
    before, after = (f"https://github.com/somebody/study/raw/{name}/metrics/figures/other.svg" for name in (base, head))
    expected = ["starter", "`other.svg`", f"[![before]({before})]({before})", f"[![after]({after})]({after})"]
    assert rows(text, "Figures changed") == [expected]
    (checkout / "README.md").write_text("Words.\n")
    commit(checkout)
    assert review.review("main") == text
    draw(checkout, other="newer")  # which GitHub does not have
    assert rows(review.review("main"), "Figures changed")[0][3] == "[metrics/figures/other.svg](metrics/figures/other.svg)"


def test_the_order_of_rows_in_a_table_does_not_matter(checkout: Path) -> None:
    measure(checkout)
    text = review.review("main")
    for name in ("replicates", "summary", "claims"):
        path = checkout / "metrics" / f"{name}.csv"
        header, *lines = path.read_text().splitlines()
        path.write_text("\n".join([header, *reversed(lines)]) + "\n")
    assert review.review("main") == text


def test_uncommitted_changes_count_and_are_said(checkout: Path) -> None:
    measure(checkout)
    text = review.review("main")
    assert "**with changes that are not committed**" in text
    assert "the commit that is checked out" not in text
    assert "1 verdict changed" in headline(text)


def test_commits_that_only_the_base_has_are_said(checkout: Path) -> None:
    git(checkout, "branch", "change")
    measure(checkout)
    commit(checkout)
    fork = git(checkout, "rev-parse", "change")[:10]
    git(checkout, "checkout", "-q", "change")
    assert f"`python -m stages.tools review {fork}`" in review.review("main")
    assert "commits that the head lacks" not in review.review(fork)


def test_a_fresh_clone_knows_the_branches_of_its_remote(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(checkout, "checkout", "-q", "-b", "change")
    measure(checkout)
    commit(checkout)
    clone = checkout.parent / "clone"
    git(checkout, "clone", "-q", "--branch", "change", str(checkout), str(clone))
    text = review.review("main")
    monkeypatch.chdir(clone)
    assert "main" not in git(clone, "branch", "--format=%(refname:short)").split()
    assert review.review("main") == text


@pytest.mark.parametrize("base", ["nowhere", "--all", ""])
def test_an_unknown_revision_is_refused_in_one_line(checkout: Path, base: str) -> None:
    with pytest.raises(UserError, match=f"unknown revision '{base}'") as caught:
        review.review(base)
    assert "\n" not in str(caught.value)


def test_outside_a_git_repository_it_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "review: git rev-parse: fatal: not a git repository (or any of the parent directories): .git\n"


def test_a_folder_without_a_study_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "inner").mkdir()
    monkeypatch.chdir(checkout / "inner")
    with pytest.raises(UserError, match="is this the checkout's root"):
        review.review("main")


def test_a_mistake_in_the_head_s_settings_is_refused(checkout: Path) -> None:
    edit(checkout, "batch_size: 32", "batch_size: 0")
    with pytest.raises(UserError, match=r"^params\.yaml: train\.batch_size: 0 must be"):
        review.review("main")


def test_settings_of_the_base_that_the_head_does_not_know_are_said(checkout: Path) -> None:
    edit(checkout, "title:", "extra: 1\ntitle:")
    commit(checkout)
    edit(checkout, "extra: 1\n", "")
    measure(checkout)
    text = review.review("main")
    assert "renamed names show as removed and added: params.yaml: top level: unknown key 'extra'" in text
    assert headline(text) == "## 1 verdict changed, 2 of 6 metrics beyond noise"
    assert ["starter", "`extra`", "`1`", ""] in rows(text, "Parameters changed")


def test_tables_that_cannot_be_read_count_as_none(checkout: Path) -> None:
    (checkout / "metrics" / "replicates.csv").write_text("<<<<<<< HEAD\na,b\n1,2,3\n")
    text = review.review("main")
    assert headline(text) == "## No verdicts changed, no metrics to compare"
    assert "`starter` has no metrics any more" in text


def test_a_base_with_fewer_columns_or_a_broken_file_is_compared(searching: Path) -> None:
    (searching / "metrics" / "claims.csv").write_text("claim,verdict,effect\nnoise_hurts,refuted,0.1\n")
    (searching / "metrics" / "search.json").write_text("<<<<<<< HEAD\n")
    commit(searching)
    measure(searching, {"noisy": BAD})
    text = review.review("HEAD")
    row = ["starter", "judged for the first time", "`noise_hurts`", AFTER_5, "-0.15 (-0.155 to -0.145)"]
    assert [each[:5] for each in rows(text, "Claims")] == [row]
    assert "0 of 6 metrics beyond noise" in headline(text)


def test_a_long_review_is_shortened_and_says_so(checkout: Path) -> None:
    many = {f"{'v' * 57}{number}": {"tip": "Many.", "extends": "plain"} for number in range(250)}
    add_study(checkout, {"variants": many})
    commit(checkout)
    add_study(checkout, {"variants": many}, dict.fromkeys(many, BAD))
    text = review.review("HEAD")
    assert 10_000 < len(text) <= LIMIT
    assert headline(text) == "## No verdicts changed, 500 of 506 metrics beyond noise"
    assert "**Shortened**: a table has at most 300 rows here" in text
    assert "200 of 500 metrics not within noise left out." in text
    assert text.count("<details>") == text.count("</details>")
    assert section(text, "How to reproduce")


def test_the_longest_names_stay_within_the_limit(checkout: Path) -> None:
    for study in range(20):
        folder = checkout / "studies" / f"{'s' * 90}{study}"
        folder.mkdir(parents=True)
        many = {f"{'v' * 58}{number}": {"tip": "Long. " * 50, "extends": "plain"} for number in range(12)}
        write_params(folder, {"variants": many})
    assert len(review.review("main")) <= LIMIT


def test_git_ignores_the_review() -> None:
    assert "/review.md" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_example_of_the_page_counts_the_metrics_that_a_review_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    sides = [read_side(study) for study in studies()]
    assert not [wrong for _, wrong in sides if wrong]
    compared = sum(len(paired(side, side).compared) for side, _ in sides)
    text = (ROOT / "docs" / "review.md").read_text(encoding="utf-8")
    counts = {int(number) for number in re.findall(r"(\d+)\s+metrics", text)}
    assert counts == {compared}, "stale: `python -m stages.tools review HEAD` begins its review.md with the number"
