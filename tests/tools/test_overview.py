"""The tables of the READMEs are made from the committed metrics."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers.checkout import ROOT
from helpers.outcomes import CLAIMS, SEARCH, SUMMARY, TUTORIAL, write_catalogue, write_metrics, write_search
from helpers.study import write_params
from stages.lib.cli import UserError
from stages.lib.study.load import load_study
from stages.lib.study.settings import merged
from stages.tools.overview import (
    LIST,
    PAGE,
    RESULTS,
    STUDIES,
    TUNED,
    judged_together,
    main,
    page,
    read_results,
    readmes,
    states,
)


def written(root: Path) -> dict[str, str]:
    """The READMEs as they should be."""
    return {str(path): text for path, text in readmes(root, read_results(root)).items()}


def list_of(root: Path) -> str:
    """studies/README.md as it should be."""
    return written(root)[str(LIST)]


def page_of(root: Path) -> str:
    return page(root, read_results(root))


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[..., Path]:
    """Make a checkout of a starter that was run, and of tutorials by name."""

    def make(**tutorials: Mapping[str, Any]) -> Path:
        for readme, marks in (("README.md", (STUDIES, TUNED)), ("studies/README.md", (RESULTS,))):
            (tmp_path / readme).parent.mkdir(exist_ok=True)
            (tmp_path / readme).write_text("by hand\n" + "\n".join("\n".join(pair) for pair in marks) + "\nmore\n")
        write_params(tmp_path)
        write_catalogue(tmp_path, waves="regression")
        write_metrics(tmp_path, claims=CLAIMS)
        for name, changes in tutorials.items():
            (tmp_path / "studies" / name).mkdir()
            write_params(tmp_path / "studies" / name, merged(TUTORIAL, changes))
        return tmp_path

    return make


@pytest.mark.parametrize("path", ["README.md", "studies/README.md"])
def test_the_readmes_show_the_committed_results(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == written(ROOT)[path], "stale: run `python -m stages.tools overview`"


def test_every_claim_has_a_row() -> None:
    text = (ROOT / LIST).read_text(encoding="utf-8").partition("## starter")[2].partition("\n## ")[0]
    tables = text.split("| claim | verdict | effect |")[1:]
    rows = [line for table in tables for line in table.partition("\n\n")[0].splitlines()[2:]]
    study = load_study(ROOT)
    assert study.search
    assert len(rows) == len(study.claims) + len(study.search.claims)


@pytest.mark.parametrize(("name", "marks"), [("README.md", STUDIES), ("studies/README.md", RESULTS)])
@pytest.mark.parametrize("marker", [0, 1])
def test_a_readme_without_a_marker_is_refused(
    checkout: Callable[..., Path], name: str, marks: tuple[str, str], marker: int
) -> None:
    root = checkout()
    readme = root / name
    readme.write_text(readme.read_text().replace(marks[marker], ""))
    with pytest.raises(UserError, match=rf"^{name}: the markers .* are missing"):
        written(root)


def test_a_second_run_changes_nothing(checkout: Callable[..., Path]) -> None:
    root = checkout(first={}, second={})
    write_metrics(root / "studies" / "first")
    before = written(root)
    for path, text in before.items():
        assert text != (root / path).read_text()
        (root / path).write_text(text)
    assert written(root) == before


@pytest.mark.parametrize(
    ("old", "new"), [("0.95,0.01", "0.96,0.01"), ("0.92,0.98", "0.94,0.98"), ("plain,test_accuracy,5", "plain,test_accuracy,6")]
)
def test_other_metrics_make_the_tables_stale(checkout: Callable[..., Path], old: str, new: str) -> None:
    root = checkout(first={})
    write_metrics(root / "studies" / "first")
    before = written(root)
    (root / "studies" / "first" / "metrics" / "summary.csv").write_text(SUMMARY.replace(old, new))
    assert list_of(root) != before["studies/README.md"]


def test_other_claims_make_both_tables_stale(checkout: Callable[..., Path]) -> None:
    root = checkout(first={})
    write_metrics(root / "studies" / "first")
    before = written(root)
    (root / "studies" / "first" / "metrics" / "claims.csv").write_text(
        CLAIMS.replace("ends_well,supported", "ends_well,refuted")
    )
    after = written(root)
    assert all(after[path] != before[path] for path in before)


def test_the_headline_counts_reported_numbers_and_claims(checkout: Callable[..., Path]) -> None:
    root = checkout(first={}, second={})
    write_metrics(root / "studies" / "first")
    rows = [line for line in written(root)["README.md"].splitlines() if line.startswith("| [")]
    assert rows == [
        "| [starter](studies/README.md#starter) | 3 | 8 | none | 1 supported |",
        "| [first](studies/README.md#first) | 3 | 8 | 1 inside, 1 one run | 2 supported, 1 in the report |",
        "| [second](studies/README.md#second) | 3 | not run |  | 3 not judged |",
    ]


def test_a_tutorial_shows_reported_beside_measured(checkout: Callable[..., Path]) -> None:
    root = checkout(first={})
    write_metrics(root / "studies" / "first")
    assert (
        "## first" + "\n".join(list_of(root).splitlines()[:-3]).partition("## first")[2]
        == """## first

A tutorial\\
Source: Somebody (2019)\\
3 variants, 8 replicates, 99 % intervals.

| variant | metric | reported | measured | interval | reported is | distance | replicates |
| --- | --- | ---: | ---: | :---: | --- | ---: | ---: |
| `dropped` (ours) | `test_accuracy` |  | not measured |  |  |  |  |
| `noisy` | `test_accuracy` |  | diverged |  |  |  | 3 |
| `plain` | `best_epoch` | 7.0 | 8.2 | 7.4 to 9 | one run | −3.0 | 5 |
| `plain` | `test_accuracy` | 0.93 | 0.95 | 0.92 to 0.98 | inside | −1.5 | 5 |

| claim | verdict | effect | interval | replicates |
| --- | --- | ---: | :---: | :--- |
| It \\| ends well. (ours) | **supported** (close) | 0.95 | 0.92 to 0.98 | 5 |
| An epoch is quick. | in the report |  |  |  |
| Noise on the test rows lowers accuracy. Reported: It breaks. | **supported** | diverged | of the median | 3 |

What the source gets wrong:

* It forgets a sign.

Notes:

* The rate is assumed.
* Noise is normal."""
    )


def test_a_tutorial_without_metrics_is_not_run(checkout: Callable[..., Path]) -> None:
    text = list_of(checkout(first={})).partition("## first")[2]
    assert "3 variants, not run." in text
    assert "It forgets a sign." in text
    assert "not measured" not in text


@pytest.mark.parametrize("missing", ["summary", "claims"])
def test_half_of_the_metrics_are_none(checkout: Callable[..., Path], missing: str) -> None:
    root = checkout(first={})
    write_metrics(root / "studies" / "first")
    (root / "studies" / "first" / "metrics" / f"{missing}.csv").unlink()
    assert "3 variants, not run." in list_of(root)


def test_a_checkout_without_tutorials_has_the_starter_s_section_alone(checkout: Callable[..., Path]) -> None:
    assert re.findall("^## (.*)$", list_of(checkout()), flags=re.MULTILINE) == ["starter"]


def test_a_search_is_shown_and_counted_as_variants_and_claims_are(checkout: Callable[..., Path]) -> None:
    root = checkout(first={"search": SEARCH})
    write_metrics(root / "studies" / "first")
    assert "A search around `plain` for the highest `val_accuracy`: not run." in list_of(root)
    write_search(root / "studies" / "first")
    texts = written(root)
    shown = texts["studies/README.md"].partition("which is trained")[2].partition("\n\nWhat the source gets wrong")[0]
    assert (
        shown
        == """ again for its `test_accuracy`.

| strategy | metric | reported | measured | interval | reported is | distance | replicates |
| --- | --- | ---: | ---: | :---: | --- | ---: | ---: |
| `default` | `val_accuracy` |  | 0.8 | 0.4325 to 1 |  |  | 3 |
| `default` | `test_accuracy` |  | 0.81 | 0.4425 to 1 |  |  | 3 |
| `printed` | `val_accuracy` | 0.91 | 0.9 | 0.165 to 1 | inside | +0.2 | 3 |
| `printed` | `test_accuracy` | 0.7 | 0.9 | no interval | undecided | all alike | 3 |
| `tpe` | `val_accuracy` |  | diverged |  |  |  | 3 |
| `tpe` | `test_accuracy` |  | 0.83 | no interval |  |  | 3 |

| claim | verdict | effect | interval | replicates |
| --- | --- | ---: | :---: | :--- |
| TPE \\| wins. Reported: It does. (ours) | **inconclusive** (close) | 0.0123 | -0.1 to 0.12 | 3 |
| TPE helps. | **refuted** | -0.02 | -0.03 to -0.01 | 3 |"""
    )
    expected = "2 inside, 1 one run, 1 undecided | 2 supported, 1 refuted, 1 inconclusive, 1 in the report |"
    assert expected in texts["README.md"]


def test_the_claims_of_the_starter_s_search_are_among_its_results(checkout: Callable[..., Path]) -> None:
    root = checkout()
    write_params(root, {"search": SEARCH})
    write_search(root)
    texts = written(root)
    assert "| TPE helps. | **refuted** | -0.02 | -0.03 to -0.01 | 3 |" in texts["studies/README.md"]
    start = "| [starter](studies/README.md#starter) | 3 | 8 | 1 inside, 1 undecided |"
    assert f"{start} 1 supported, 1 refuted, 1 inconclusive |" in texts["README.md"]


def test_an_inconclusive_claim_has_a_price_where_looks_are_planned(checkout: Callable[..., Path]) -> None:
    root = checkout()
    write_params(root, {"statistics": {"looks": [5]}})
    values = {"plain": [0.60, 0.62, 0.58, 0.64, 0.56], "noisy": [0.55, 0.57, 0.53, 0.59, 0.52]}
    rows = [f"{name},{seed},{value},0" for name, own in values.items() for seed, value in enumerate(own)]
    (root / "metrics" / "replicates.csv").write_text("variant,seed,test_accuracy,collapsed\n" + "\n".join(rows) + "\n")
    claims = CLAIMS.replace(
        "noise_hurts,supported,diverged,diverged,diverged,False,3", "noise_hurts,inconclusive,-0.05,-0.2,0.1,False,5"
    )
    write_metrics(root, claims=claims)
    row = next(line for line in list_of(root).splitlines() if line.startswith("| Noise on the test rows"))
    found = re.search(r"\| 5; an even chance at (\d+), 90 % at (\d+) \|$", row)
    assert found
    assert 5 < int(found[1]) < int(found[2])
    write_metrics(root, claims=claims.replace("inconclusive", "supported"))
    assert "an even chance" not in list_of(root)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"margin": 0.01}, False),
        ({"compare": ["tuned_noisy", "tuned_plain"]}, False),
        ({"says": "Other words."}, True),
    ],
)
def test_a_claim_whose_sides_a_search_tunes_is_told_twice(
    changes: Mapping[str, Any], told: bool, checkout: Callable[..., Path]
) -> None:
    """Only where the strategies are around the claim's own variants, and ask for the same."""
    root = checkout()
    strategies = {"tuned_plain": {"method": "random"}, "tuned_noisy": {"method": "random", "variant": "noisy"}}
    twin = {"says": "Noise hurts.", "compare": ["tuned_plain", "tuned_noisy"], "metric": "test_accuracy", "expect": "lower"}
    search = {**SEARCH, "strategies": strategies, "claims": {"noise_hurts": {**twin, **changes}}}
    write_params(root, {"search": search})
    tables = root / "metrics" / "search"
    write_search(root)
    (tables / "claims.csv").write_text(
        "claim,verdict,effect,low,high,close,replicates\nnoise_hurts,refuted,-0.002,-0.004,0.0,False,3\n"
    )
    rows = [("tuned_plain", 0, 3, 0.01), ("tuned_noisy", 0, 1, 0.003), ("tuned_noisy", 1, 4, 0.01), ("tuned_noisy", 2, 0, 0.01)]
    trials = "".join(f"{name},{seed},{number},{rate}\n" for name, seed, number, rate in [*rows, ("tuned_plain", 0, 0, 0.5)])
    winners = "".join(f"{name},{seed},{number},0.9,0.91\n" for name, seed, number, _ in rows)
    (tables / "trials.csv").write_text(f"strategy,seed,trial,train.learning_rate\n{trials}")
    (tables / "winners.csv").write_text(f"strategy,seed,trial,val_accuracy,test_accuracy\n{winners}")
    text = written(root)["README.md"].partition(TUNED[0])[2].partition(TUNED[1])[0]
    sides = "`tuned_noisy` 0.01 against `tuned_plain` 0.01"
    row = f"| Noise on the test rows lowers accuracy. | **supported**, diverged | **refuted**, −0.20 points | {sides} |"
    assert (row in text) == told
    assert ("Does it survive tuning?" in page_of(root)) == told
    assert ("tuned_noisy</code>: 0.01 (2 of 3)" in page_of(root)) == told


@pytest.mark.parametrize("missing", ["search/winners.csv", "search/claims.csv"])
def test_half_of_a_search_is_none(checkout: Callable[..., Path], missing: str) -> None:
    root = checkout(first={"search": SEARCH})
    write_search(root / "studies" / "first")
    assert states(read_results(root)[1]) == {"not judged": 3, "inconclusive": 1, "refuted": 1}
    (root / "studies" / "first" / "metrics" / missing).unlink()
    assert states(read_results(root)[1]) == {"not judged": 5}


def test_a_missing_readme_of_the_tutorials_is_named(checkout: Callable[..., Path]) -> None:
    root = checkout(first={})
    (root / "studies" / "README.md").unlink()
    with pytest.raises(UserError, match=r"studies/README\.md is missing"):
        written(root)


def test_limits_make_a_reduced_run(checkout: Callable[..., Path]) -> None:
    root = checkout(first={"limits": {"epochs": 2, "seeds": 3}})
    write_metrics(root / "studies" / "first")
    texts = written(root)
    assert "| 8 (reduced run: at most 2 epochs, 3 seeds) |" in texts["README.md"]
    assert "**reduced run: at most 2 epochs, 3 seeds**" in texts["studies/README.md"]


def test_a_regression_shows_its_loss(checkout: Callable[..., Path]) -> None:
    reported = {"variants": {"plain": {"reported": {"test_loss": 0.4}}}, "claims": {"noise_hurts": {"metric": "test_loss"}}}
    root = checkout(first={"data": {"dataset": "waves"}, **reported})
    (root / "studies" / "first" / "params.yaml").write_text(
        (root / "studies" / "first" / "params.yaml").read_text().replace("test_accuracy: 0.93", "test_mae: 0.4")
    )
    rows = "plain,test_loss,5,0.39,0.1,0.38,0.41\nnoisy,test_loss,5,2.5e+20,1,1,3e+20\n"
    write_metrics(root / "studies" / "first", f"variant,metric,replicates,mean,sd,low,high\n{rows}")
    text = list_of(root)
    assert "| `plain` | `test_loss` | 0.4 | 0.39 | 0.38 to 0.41 | inside | 0.0 | 5 |" in text
    assert "| `plain` | `test_mae` | 0.4 | not measured |  |  |  |  |" in text
    assert "| `noisy` | `test_loss` |  | 2.5e+20 | 1 to 3e+20 |  |  | 5 |" in text


def test_what_was_never_reached_has_no_interval(checkout: Callable[..., Path]) -> None:
    metric = "epochs_to_0.95_accuracy"
    root = checkout(first={"variants": {"plain": {"reported": {metric: 9.0}}}})
    write_metrics(root / "studies" / "first", SUMMARY + f"plain,{metric},5,never,never,never,never\n")
    assert f"| `plain` | `{metric}` | 9.0 | never |  | undecided | – | 5 |" in list_of(root)


def test_a_reported_duration_is_in_the_report(checkout: Callable[..., Path]) -> None:
    root = checkout(first={"variants": {"plain": {"reported": {"seconds_per_epoch": 6.0}}}})
    write_metrics(root / "studies" / "first")
    assert "| `plain` | `seconds_per_epoch` | 6.0 | in the report |  |  |  |  |" in list_of(root)


# The page


def test_the_page_has_every_claim_and_every_number_of_every_study(checkout: Callable[..., Path]) -> None:
    root = checkout(first={}, second={})
    write_metrics(root / "studies" / "first")
    text = page_of(root)
    for list_, items in (
        ("claims", ("noise_hurts", "ends_well", "is_fast")),
        ("measured", ("plain best_epoch", "noisy", "dropped")),
    ):
        for item in items:
            assert f'data-list="{list_}" data-item="first {item}' in text
            assert f'data-list="{list_}" data-item="second {item}' in text
    row = text[text.index('data-item="first plain test_accuracy"') :]
    row = " ".join(row[: row.index("</tr>")].split())
    for expected in ("93 %", "95.00 %", "[92.00, 98.00]", "<td>inside</td>", ">−1.5<", "A start."):
        assert expected in row
    assert "It | ends well." in text
    assert "not run" in text


def test_a_claim_of_several_studies_is_compared(checkout: Callable[..., Path]) -> None:
    root = checkout(first={})
    assert 'id="shared"' not in page_of(root)  # of the starter alone
    write_metrics(root / "studies" / "first", claims=CLAIMS.replace("noise_hurts,supported", "noise_hurts,refuted"))
    text = page_of(root)
    shared = text[text.index('id="shared"') : text.index('id="measured"')]
    assert "<code>noise_hurts</code>" in shared
    assert 'class="badge supported"' in shared
    assert 'class="badge refuted"' in shared


def test_the_page_has_the_strategies_and_the_claims_of_a_search(checkout: Callable[..., Path]) -> None:
    root = checkout(first={"search": SEARCH}, second={"search": SEARCH})
    for name in ("first", "second"):
        write_search(root / "studies" / name)
        (root / "studies" / name / "data").mkdir()
        (root / "studies" / name / "data" / "report.html").touch()
    text = page_of(root)

    def row(item: str) -> str:
        found = text[text.index(f'data-item="{item}"') :]
        return " ".join(found[: found.index("</tr>")].split())

    report = "../studies/first/data/report.html"
    for expected in (
        f'href="{report}#strategy-printed"',
        "quasi random, 4 trials",
        "91 %",
        "[16.50, 100.00]",
        "inside",
        ">+0.2<",
        ">3<",
    ):
        assert expected in row("first, search printed val_accuracy")
    assert "plain, as it is" in row("first, search default test_accuracy")
    for expected in (f'href="{report}#search-claim-tpe_helps"', "badge refuted", "−2.00 points", "[−3.00, −1.00]"):
        assert expected in row("first, search tpe_helps")
    assert 'class="refuted"><strong>2</strong>' in text
    shared = text[text.index('id="shared"') : text.index('id="measured"')]
    assert shared.count("<code>noise_hurts</code>") == 1  # the starter has a claim of that name, but about variants
    assert "../studies/second/data/report.html#search-claim-noise_hurts" in shared


def test_the_page_leads_to_the_reports_that_there_are(checkout: Callable[..., Path]) -> None:
    root = checkout(first={}, second={})
    for folder in (root, root / "studies" / "first"):
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / "report.html").touch()
    text = page_of(root)
    assert 'href="report.html"' in text
    assert 'href="../studies/first/data/report.html#claim-ends_well"' in text
    assert "../studies/second" not in text
    assert "<code>dvc repro studies/second/dvc.yaml:plot</code>" in text


def test_main_writes_the_page_beside_the_tables(checkout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout(first={}))
    monkeypatch.setattr(sys, "argv", ["overview"])
    main()
    assert "<!doctype html>" in PAGE.read_text(encoding="utf-8")
    assert Path("README.md").read_text() == written(Path())["README.md"]


def test_the_committed_claims_are_also_judged_together() -> None:
    """Each claim about a variant is counted, and those that fall by Holm are among the decided ones."""
    found = [parts[0] for parts in read_results(ROOT)]
    counted = judged_together(found)
    verdicts = {f"{part.name}: {name}": row["verdict"] for part in found for name, row in part.verdicts.items()}
    assert counted.judged == len(verdicts)
    decided = {name for name, verdict in verdicts.items() if verdict != "inconclusive"}
    assert counted.decided == len(decided)
    assert set(counted.falls) < decided
    text = " ".join(page(ROOT, read_results(ROOT)).split())
    assert f"{counted.decided} of {counted.judged} claims about variants are decided, each by itself." in text
    assert ", ".join(counted.falls) in text
