"""The figures and the report of studies whose runs are made up: what must be there, is; and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.checkout import ROOT
from helpers.runs import TIMED, complete_facts, waves, write_runs
from helpers.study import study_with, write_study
from stages import evaluate, plot
from stages.lib.cli import UserError
from stages.lib.data.prepared import read_prepared
from stages.lib.report.illustrations.registry import illustrate
from stages.lib.report.page import embedded


def plot_study(folder: Path, changes: Mapping[str, Any], diverged: str, facts: Mapping[str, Any]) -> None:
    """Write a study with runs into the folder, evaluate it and plot it."""
    write_study(folder, changes)
    complete_facts(folder, study_with(changes), **facts)
    write_runs(folder, changes, diverged)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stage", str(folder)])
        for stage in (evaluate, plot):
            stage.main()


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study as it is, evaluated and plotted."""
    folder = tmp_path_factory.mktemp("unchanged") / "study"
    plot_study(folder, {}, "", {})
    return folder


DEEP = {
    "tip": "Deep.",
    "extends": "plain",
    "model": {"hidden": [8, 8, 8], "activation": "sigmoid"},
    "train": {"batch_size": 120},
}
RICH: dict[str, Any] = {
    "variants": {"deep": DEEP, "plain": {"reported": {"test_accuracy": 0.8, "train_accuracy": 0.1}}},
    "replicates": {"diagnostics": True},
    "limits": {"rows": 1200, "epochs": None, "seeds": 3},
    "claims": {
        "dropout_takes_longer": TIMED,
        "dropout_matters": {
            "says": "Dropout matters.",
            "compare": ["plain", "dropped"],
            "metric": "test_accuracy",
            "expect": "lower",
            "reported": "in words alone",
        },
    },
    "notes": ["We assumed a & b."],
    "illustrations": {
        name: {"says": "It <says> so."} for name in ("sigmoid_saturation", "losses", "label_grid", "weight_updates")
    },
}
COLUMNS = [
    {"name": "left", "kind": "number", "values": [], "ordered": False, "missing": 1234},
    {
        "name": "right",
        "kind": "category",
        "values": [f"<{letter}>" for letter in "abcdefghijklmn"],
        "ordered": False,
        "missing": 0,
    },
]
FACTS = {
    "description": "Grey <blobs>.",
    "feature_names": ["left", "right"],
    "first_rows": [[-1.5, 2.0, 3.0], [None, "<b>", 0.0]],
    "columns": COLUMNS,
}


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with one of everything, evaluated and plotted. Tests only read it."""
    folder = tmp_path_factory.mktemp("rich") / "study"
    plot_study(folder, RICH, "", FACTS)
    return folder


@pytest.fixture
def plotted(tmp_path: Path, unchanged: Path) -> Callable[..., Path]:
    """Make a study with runs, evaluate it and plot it; returns its folder."""

    def make(changes: Mapping[str, Any] | None = None, diverged: str = "", **facts: Any) -> Path:
        folder = tmp_path / "study"
        if changes or diverged or facts or folder.exists():
            plot_study(folder, changes or {}, diverged, facts)
        else:
            shutil.copytree(unchanged, folder)
        return folder

    return make


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "metrics" / "figures").iterdir()}


def page(folder: Path) -> str:
    return (folder / "data" / "report.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """The start tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_every_figure_is_drawn_and_small(plotted: Callable[..., Path]) -> None:
    drawn = outputs(plotted())
    assert set(drawn) == {
        *("claims.svg", "leaderboard.svg", "curves_accuracy.svg", "curves_loss.svg"),
        *("confusion.svg", "histograms.svg", "views.png"),
    }
    assert all(0 < len(content) < 300_000 for content in drawn.values())
    assert drawn["views.png"].startswith(b"\x89PNG")


def cells(text: str, caption: str) -> list[list[str]]:
    """The rows of the table whose caption begins so, as they are read."""
    table = text[text.index(f"{caption}") :].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
    return [[unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_the_report_counts_the_rows_of_each_class(rich: Path) -> None:
    prepared = read_prepared(rich / "data" / "prepared")
    found = cells(page(rich), "Rows of each class")
    counts = {split: np.bincount(y, minlength=4).tolist() for split, (_, y) in prepared.splits.items()}
    assert plot.rows_of_classes(prepared) == counts
    order = ("train", "validation", "test")
    names = prepared.facts["class_names"]
    expected = [[name, *(str(counts[split][label]) for split in order)] for label, name in enumerate(names)]
    largest = int(np.argmax(counts["train"]))
    shares = [f"{100 * counts[split][largest] / sum(counts[split]):.1f} %" for split in order]
    assert found[-5:] == [*expected, [f"always {names[largest]}", *shares]]


def test_the_report_lists_the_columns_of_a_table_and_what_is_missing(rich: Path) -> None:
    text = page(rich)
    found = cells(text, "The columns of the table before any view")
    values = "<a>, <b>, <c>, <d>, <e>, <f>, <g>, <h>, <i>, <j>, <k>, <l> and 2 more"
    assert found[-2:] == [["left", "number", "", "1,234"], ["right", "category", values, "0"]]
    first = cells(text, "The first rows of the data set")
    assert first[-2:] == [["−1.5", "2", "3"], ["missing", "<b>", "0"]]
    assert "<b>" not in text.partition("The columns of the table")[2]


def test_every_figure_is_on_the_page(plotted: Callable[..., Path]) -> None:
    """As it is, or drawn anew: of the claims and the leaderboard each row by itself, of the curves each variant's."""
    folder = plotted()
    missing = {name for name, content in outputs(folder).items() if embedded(name, content) not in page(folder)}
    assert missing == {"claims.svg", "leaderboard.svg", "curves_accuracy.svg", "curves_loss.svg"}


def test_illustrations_are_drawn_compared_and_reported(rich: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "study"
    shutil.copytree(rich, folder)
    drawn = outputs(folder)
    assert {"illustration_sigmoid_saturation.svg", "illustration_losses.svg", "illustration_label_grid.png"} <= set(drawn)
    assert "illustrations.csv" not in drawn  # nothing is reported
    text = page(folder)
    assert text.count("It &lt;says&gt; so.") == 4
    assert "The first 15 training images" in text

    study = study_with(
        {"illustrations": {"losses": {"says": "", "reported": {"half_squared_error": (0.67,), "cross_entropy": (2.1,)}}}}
    )
    monkeypatch.setattr(plot, "load_study", lambda _: study)
    monkeypatch.setattr(sys, "argv", ["plot", str(folder)])
    plot.main()
    table = (folder / "metrics" / "figures" / "illustrations.csv").read_text()
    assert table == (
        "name,key,reported,measured,agrees\nlosses,cross_entropy,2.1,2.30259,False\nlosses,half_squared_error,0.67,0.67,True\n"
    )
    text = page(folder)
    assert '<span class="differs">2.3</span>' in text
    assert "illustration_label_grid.png" not in outputs(folder)


def test_gradients_of_deep_variants_are_drawn_and_put_into_words(rich: Path) -> None:
    assert "gradients.svg" in outputs(rich)
    text = page(rich)
    assert "less than 1 % of the output layer&#39;s in 1 of 1 variant: deep (1.00 × 10⁻⁹)." in text
    section = text[text.index('id="gradients"') : text.index('id="inputs"')]
    assert "25.0 %" in section
    assert "#variant-plain" not in section  # one hidden layer


def test_gradients_that_are_not_measured_are_not_drawn(plotted: Callable[..., Path]) -> None:
    folder = plotted()
    assert "gradients.svg" not in outputs(folder)
    assert 'id="gradients"' not in page(folder)


def test_a_reported_number_is_held_against_the_interval_and_the_deviation(rich: Path) -> None:
    text = page(rich)
    section = text[text.index('id="reported"') : text.index('id="confusion"')]
    assert "Of the 2 numbers that the source prints, 2 are <em>undecided</em>." in section  # by three replicates
    rows = section.split("<tr>")[2:]
    assert "80 %" in rows[0]
    assert "all alike" in rows[1]  # three replicates of 0.75
    assert "10 %" in rows[1]


def test_notes_limits_and_facts_are_told(rich: Path) -> None:
    text = page(rich)
    assert "A reduced run, not the study" in text
    assert "1,200 rows of each split" in text
    assert "3 seeds of each variant" in text
    assert "epochs of each replicate" not in text
    assert "We assumed a &amp; b." in text
    assert "Grey &lt;blobs&gt;." in text
    assert '<th scope="col">left</th><th scope="col">right</th><th scope="col">class</th>' in text
    assert "−1.5" in text
    assert f"numpy {np.__version__}" in text
    extremes = text[text.index("The smallest and the largest input") :]
    assert "<code>noisy</code>" in extremes[: extremes.index("</table>")]


def test_a_whole_study_is_not_called_reduced(plotted: Callable[..., Path]) -> None:
    text = page(plotted())
    assert "A reduced run" not in text
    assert 'id="notes"' not in text


def test_the_same_results_give_the_same_bytes_in_another_process(unchanged: Path) -> None:
    folder = unchanged
    first = outputs(folder), page(folder)
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-m", "stages.plot", str(folder)], cwd=ROOT, env=environment, check=True)
    assert (outputs(folder), page(folder)) == first


def test_the_page_needs_nothing_from_elsewhere(plotted: Callable[..., Path]) -> None:
    page_text = page(plotted())
    elements = Elements(page_text).found
    assert not [tag for tag, _ in elements if tag in ("link", "iframe", "object", "base", "form[action]")]
    policy = next(attributes["content"] for tag, attributes in elements if attributes.get("http-equiv"))
    scripts = re.findall(r"<script>(.*?)</script>", page_text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert len(scripts) == 1
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    for tag, attributes in elements:
        assert tag != "script" or "src" not in attributes
        if tag == "img":
            assert (attributes["src"] or "").startswith("data:image/")
            assert attributes["alt"]
        assert not (attributes.get("href") or "").startswith("http")


def test_no_two_elements_share_an_id_and_every_reference_has_one(rich: Path) -> None:
    text = page(rich)
    ids = [attributes["id"] for _, attributes in Elements(text).found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'url\(#([^)]+)\)|<use href="#([^"]+)"', text)) != set()
    for names in re.findall(r'url\(#([^)]+)\)|<use href="#([^"]+)"', text):
        assert "".join(names) in ids


def test_the_page_has_every_claim_and_variant_and_links_that_lead_somewhere(rich: Path) -> None:
    text = page(rich)
    elements = Elements(text).found
    anchors = {attributes["id"] for _, attributes in elements if attributes.get("id")}
    targets = {(attributes.get("href") or "")[1:] for tag, attributes in elements if tag == "a"}
    assert targets
    assert targets <= anchors
    for name in (*study_with().variants, "noise_hurts", "dropout_takes_longer"):
        assert name in text
    headings = [int(tag[1]) for tag, _ in elements if tag in ("h1", "h2", "h3", "h4")]
    assert headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(headings))
    assert dict(elements)["html"].get("lang") == "en"


def test_claims_about_time_are_judged_in_the_page_and_nowhere_else(rich: Path) -> None:
    text = page(rich)
    row = text[text.index("Dropout takes longer.") :]
    assert "supported" in row[: row.index("</tr>")]
    for path in (rich / "metrics").rglob("*"):
        assert path.is_dir() or b"dropout_takes_longer" not in path.read_bytes()


def test_what_diverged_is_shown_as_such(plotted: Callable[..., Path]) -> None:
    folder = plotted(diverged="plain")
    assert "diverged" in page(folder)
    assert json.loads((folder / "metrics" / "metrics.json").read_text())["variants"]["plain"]["test_accuracy"] == "diverged"


def test_a_study_without_claims_is_plotted(plotted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = plotted()
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text[: text.index("claims:")] + text[text.index("data:") :])
    for stage in (evaluate, plot):
        monkeypatch.setattr(sys, "argv", ["stage", str(folder)])
        stage.main()
    assert "claims.svg" not in outputs(folder)
    assert "plain" in page(folder)


@pytest.mark.slow
def test_forty_variants_are_plotted_within_the_limits(plotted: Callable[..., Path]) -> None:
    more = {f"variant_{number}": {"tip": "More.", "extends": "plain", "model": {"hidden": [number]}} for number in range(1, 38)}
    drawn = outputs(plotted({"variants": more}))
    assert max(map(len, drawn.values())) < 300_000
    assert sum(map(len, drawn.values())) < 2_000_000


@pytest.mark.parametrize(
    "name",
    ["metrics/summary.csv", "metrics/claims.csv", "metrics/diagnostics.csv", "metrics/confusion.csv", "data/timings.json"],
)
def test_a_missing_input_is_one_line(plotted: Callable[..., Path], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = plotted()
    (folder / name).unlink()
    monkeypatch.setattr(sys, "argv", ["plot", str(folder)])
    with pytest.raises(SystemExit, match=f"{Path(name).name} is missing; run `dvc repro`"):
        plot.main()


def test_a_regression_on_features_without_validation_rows() -> None:
    made = waves()
    assert set(made.figures()) == {"claims.svg", "leaderboard.svg", "curves_loss.svg", "histograms.svg", "residuals.svg"}
    text = made.page()
    assert "Target: height in metres." in text
    assert '<th scope="col">3</th><th scope="col">target</th>' in text  # features without names are numbered
    assert "its loss is mae" in text
    with pytest.raises(UserError, match=r"illustrations.first_image: needs images, which the data set 'Waves' has not"):
        illustrate(study_with({"illustrations": {"first_image": {"says": "An image."}}}), made.prepared)
    assert 'href="https://example.org/?a=1&amp;b=2"' in text
    assert "x &lt;b&gt; y" in text
    assert "no validation rows" in text
    assert "python -m stages.tools show studies/waves plain" in text
    assert "0.6" in text  # as reported
    assert "not measured" in text
    assert "diverged" in text
    assert "accuracies" not in text[text.index('id="leaderboard"') : text.index('id="variants"')]


def test_validation_rows_that_are_the_test_rows_are_owned_up_to_and_figures_no_longer_drawn_go(
    plotted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plotted()
    assert "The validation rows are the test rows" not in page(folder)
    prepared = folder / "data" / "prepared"
    (prepared / "validation.npz").write_bytes((prepared / "test.npz").read_bytes())
    (folder / "metrics" / "figures" / "old.svg").write_text("old")
    monkeypatch.setattr(sys, "argv", ["plot", str(folder)])
    plot.main()
    assert "The validation rows are the test rows" in page(folder)
    assert "old.svg" not in outputs(folder)


def test_results_older_than_the_parameters_are_refused(plotted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = plotted()
    for name in ("summary", "curves"):
        path = folder / "metrics" / f"{name}.csv"
        whole = path.read_text()
        path.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith("dropped")))
        monkeypatch.setattr(sys, "argv", ["plot", str(folder)])
        with pytest.raises(SystemExit, match=rf"{name}\.csv knows no dropped, .* or the evaluate stage first"):
            plot.main()
        path.write_text(whole)


def test_a_claim_shows_what_differs_why_whether_it_always_holds_and_how_to_run_it_again(rich: Path) -> None:
    text = page(rich)
    card = text[text.index('id="claim-dropout_matters"') :]
    card = card[: card.index("</details>")]
    for expected in (
        *("In words alone.", "the tests", "#variant-plain", "#variant-dropped", "#curves-loss-dropped", "#leaderboard"),
        *(
            "<code>dropout</code></th><td>0.0</td><td>0.5</td>",
            "<code>batch_normalization</code></th><td>none</td><td>after</td>",
        ),
        "updates of the weights in an epoch",
        "pairs of single runs",
        f"python -m stages.tools verify {rich.as_posix()} --claim dropout_matters",
    ):
        assert expected in card
    assert "<code>view</code>" not in card  # the same of both


def test_a_tip_shows_the_evidence_and_what_is_claimed_of_it(rich: Path) -> None:
    text = page(rich)
    card = text[text.index('id="variant-deep"') :]
    card = card[: card.index("</details>")]
    assert "In deep the gradient vanishes on its way back: before training, the first layer&#39;s is 1.00 × 10⁻⁹" in card
    assert "deep makes 1 update of the weights in an epoch, plain makes 4." in card
    assert "25 %" in card
    noisy = text[text.index('id="variant-noisy"') :]
    assert "#claim-noise_hurts" in noisy[: noisy.index("</details>")]


def test_a_note_stands_in_the_cards_of_what_it_is_about_and_leads_to_them(plotted: Callable[..., Path]) -> None:
    nothing = "Nothing that was measured stands out."
    notes = ["Of all.", {"says": "So <it> was.", "about": ["noise_hurts", "noisy"]}]
    text = page(plotted({"notes": notes, "claims": {"dropout_takes_longer": TIMED}, "train": {"epochs": 2}}))

    def part(start: str, end: str) -> str:
        return text[text.index(start) :].partition(end)[0]

    for name in ("claim-noise_hurts", "variant-noisy"):
        card = part(f'id="{name}"', "</details>")
        assert '<a href="#notes">Our note</a>: So &lt;it&gt; was.' in card
        assert nothing not in card
    for name in ("claim-dropout_takes_longer", "variant-plain", "variant-dropped"):
        card = part(f'id="{name}"', "</details>")
        assert "Our note" not in card
        assert nothing in card
    first, second = part('id="notes"', "</ul>").split("<li>")[1:]
    assert "<a" not in first
    assert re.findall(r'href="([^"]+)"', second) == ["#claim-noise_hurts", "#variant-noisy"]


def test_a_page_with_planned_looks_says_when_claims_were_decided_and_what_would_decide_others(tmp_path: Path) -> None:
    """Made-up replicates do not differ, so the claim about noise stays open; that of a level is decided at once."""
    level = {"says": "High.", "variant": "plain", "metric": "test_accuracy", "expect": "at_least", "threshold": 0.1}
    constant = {**level, "metric": "train_loss", "expect": "at_most", "threshold": 1.0}  # 0.5 of every replicate
    claims = {"level": {**level, "exploratory": True}, "constant": constant, "dropout_takes_longer": TIMED}
    changes = {"statistics": {"looks": [5, 7]}, "claims": claims}
    plot_study(tmp_path / "study", changes, "", {})
    page = " ".join((tmp_path / "study" / "data" / "report.html").read_text(encoding="utf-8").split())
    assert "It was decided at the look after 5 replicates." in page
    assert "The last look was after 7 replicates. If the truth is what was measured, " in page
    assert "exploratory: found in the replicates that judge it" in page
    columns = (tmp_path / "study" / "metrics" / "claims.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "no interval" in page
    assert columns.endswith(",threshold,margin,by,decided_after,rows_low,rows_high,on_other_rows")
    assert "for other seeds and other rows" in page
    assert (tmp_path / "study" / "metrics" / "figures" / "claims.svg").is_file()
