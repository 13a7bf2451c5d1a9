"""The pages in a headless Chromium: nothing fails or is fetched, every control works, and so does a page without scripts."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from helpers.outcomes import SEARCH, SUMMARY, TUTORIAL, write_catalogue, write_metrics, write_search
from helpers.plots import plotted as plots_of_dvc
from helpers.runs import TIMED, complete_facts, waves, write_runs
from helpers.search import SEARCH as STRATEGIES
from helpers.search import Pretender, found_by
from helpers.study import prepared_for, study_with, write_params
from stages import evaluate, plot, search
from stages.lib.data.prepared import write_prepared
from stages.lib.engine import runs
from stages.tools.overview import page as overview_page
from stages.tools.overview import read_results

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and "CI" not in os.environ, reason="no Chromium or Chrome is installed, so no page is opened"
    ),
]

PAGES = ("classification", "regression", "overview")
THEMES: tuple[Any, ...] = ("light", "dark")
WIDTHS = (360, 1280)
TWIN = {"says": "Tuned, too.", "compare": ["clever", "tuned_noisy"], "metric": "test_accuracy", "expect": "lower"}
"""`noise_hurts`, with each side at its own best settings."""
TUNED = {
    **STRATEGIES,
    "strategies": {**STRATEGIES["strategies"], "tuned_noisy": {"method": "tpe", "variant": "noisy"}},
    "claims": {**STRATEGIES["claims"], "noise_hurts": TWIN},
}
CHANGES: dict[str, Any] = {
    "replicates": {"diagnostics": True},
    "variants": {
        "plain": {"reported": {"test_accuracy": 0.8}},
        "deep": {"tip": "Deep.", "extends": "plain", "model": {"hidden": [8, 8, 8], "activation": "sigmoid"}},
    },
    "claims": {
        "dropout_takes_longer": TIMED,
        "ends_well": {"says": "It ends well.", "variant": "plain", "metric": "val_accuracy"}
        | {"expect": "at_least", "threshold": 0.5, "ours": True},
    },
    "illustrations": {name: {"says": "It says so."} for name in ("losses", "softmax")},
    "errata": ["A sign is missing."],
    "notes": ["It is so.", {"says": "It is dropout.", "about": ["dropout_takes_longer", "dropped"]}],
    "search": TUNED,
}
"""With a claim of every kind, one of them close, a reported number, gradients, a search, and a variant that diverges."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> file: the report of a classification and of a regression, and the overview."""
    root = tmp_path_factory.mktemp("pages")
    found = {name: root / f"{name}.html" for name in PAGES}
    write_params(root, CHANGES)
    write_prepared(prepared_for(study_with(CHANGES)), root / "data" / "prepared")
    complete_facts(root, study_with(CHANGES))
    write_runs(root, CHANGES, diverged="noisy")
    for history in (root / "data" / "runs" / "dropped").glob("*/history.csv"):  # it stopped after one epoch
        history.write_text("\n".join(history.read_text().splitlines()[:2]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "train_missing", Pretender())
        study = study_with(CHANGES)
        assert study.search
        search.write_found(study, study.search, found_by(study, study.search, root / "cache"), root / "metrics")
        patch.setattr(sys, "argv", ["stage", str(root)])
        evaluate.main()
        plot.main()
    found["classification"].write_bytes((root / "data" / "report.html").read_bytes())
    found["regression"].write_text(waves().page(), encoding="utf-8")
    write_catalogue(root)
    tutorial = root / "studies" / "first"
    tutorial.mkdir(parents=True)
    write_params(tutorial, {**TUTORIAL, "search": {**SEARCH, "variant": "dropped"}})
    write_metrics(tutorial, SUMMARY)
    write_search(tutorial)
    found["overview"].write_text(overview_page(root, read_results(root)), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "CI opens the pages, but no Chromium or Chrome is installed"
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@dataclass
class Visit:
    """An open page, and what went wrong on it: messages of the console, errors, requests beyond the page's own file."""

    page: Page
    address: str
    wrong: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def failed(self) -> list[str]:
        return self.wrong + [url for url in self.requests if not url.startswith((self.address, "data:"))]


@pytest.fixture
def visit(browser: Browser, pages: dict[str, Path]) -> Iterator[Callable[..., Page]]:
    """Open a page; the test fails where anything went wrong on it."""
    visits: list[Visit] = []

    def opened(name: str, place: str = "", width: int = 1280, **context: Any) -> Page:
        page = browser.new_context(viewport={"width": width, "height": 800}, **context).new_page()
        made = Visit(page, pages[name].as_uri())
        visits.append(made)
        page.on("console", lambda message: made.wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: made.wrong.append(str(error)))
        page.on("request", lambda request: made.requests.append(request.url))
        page.goto(made.address + place)
        return page

    yield opened
    wrong = [each for made in visits for each in made.failed()]
    for made in visits:
        made.page.context.close()
    assert wrong == []


def seen(within: Page, selector: str) -> list[Locator]:
    return [each for each in within.locator(selector).all() if each.is_visible()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_accessible_in_both_themes_on_a_phone_and_on_a_screen(
    name: str, theme: Any, width: int, visit: Callable[..., Page]
) -> None:
    page = visit(name, width=width, color_scheme=theme)
    for button in page.locator("[data-unfold]").all():
        button.click()
    for summary in page.locator(".chooser > summary").all():
        summary.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page itself scrolls sideways"


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_everything_is_there_and_no_control_that_does_nothing(name: str, visit: Callable[..., Page]) -> None:
    page = visit(name, java_script_enabled=False)
    assert seen(page, "button, input, select") == []
    assert len(seen(page, "h2")) == page.locator("h2").count() > 2
    assert len(seen(page, "tbody tr")) > 5
    if name != "overview":
        assert len(seen(page, ".panel")) == page.locator(".panel").count() > 0
        card = page.locator("details.card:not(.chooser)").first
        card.locator("summary").click()
        assert card.locator("h4").first.is_visible()


def test_no_other_script_runs(browser: Browser, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(pages["overview"].as_uri())
    page.evaluate(
        "const other = document.createElement('script'); other.textContent = 'window.ran = 1'; document.body.append(other)"
    )
    assert page.evaluate("window.ran") is None
    page.close()


def test_claims_are_filtered_by_verdict_and_by_text(visit: Callable[..., Page]) -> None:
    page = visit("classification")
    form, rows = page.locator("form.filter"), "tr[data-list=claims]"
    kinds = {row.get_attribute("data-kind") for row in page.locator(rows).all()}
    assert len(seen(page, rows)) == 3
    for kind in kinds:
        form.get_by_label(str(kind), exact=True).uncheck()
    assert seen(page, rows) == []
    assert form.locator("output").text_content() == "0 of 3 shown"
    form.get_by_role("button", name="Reset").click()
    assert len(seen(page, rows)) == 3
    form.get_by_role("searchbox").fill(
        "BATCH_normalization longer"
    )  # a knob that is in the claim's card, and a word of the claim
    assert [row.get_attribute("data-item") for row in seen(page, rows)] == ["dropout_takes_longer"]
    assert [card.get_attribute("data-item") for card in seen(page, "details[data-list=claims]")] == ["dropout_takes_longer"]
    form.get_by_role("searchbox").press("Enter")  # sends nothing
    assert form.locator("output").text_content() == "1 of 3 shown"


def test_a_close_verdict_says_so_and_leads_to_what_that_means_but_from_within_a_button(visit: Callable[..., Page]) -> None:
    page = visit("classification")
    assert page.locator('tr[data-item="ends_well"] a.close').get_attribute("href") == "#close"
    card = page.locator("#claim-ends_well summary")
    assert card.locator(".close").text_content() == "close"
    assert card.locator("a").count() == 0


def test_tables_are_sorted_by_keyboard_and_say_so(visit: Callable[..., Page]) -> None:
    page = visit("classification")
    table = page.locator("#leaderboard ~ .scroll table")

    def order() -> list[str]:
        return [str(row.get_attribute("data-variant")) for row in table.locator("tbody tr").all()]

    head = table.get_by_role("columnheader", name="test accuracy", exact=True)
    before = order()
    assert before[-1] == "noisy"  # it diverged
    button = head.get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.locator("#live").text_content() == "Sorted by test accuracy, rising."
    assert order() == [*reversed(before[:-1]), "noisy"]  # what has no number comes last either way
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert order() == before
    table.get_by_role("columnheader", name="Variant").get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert order() == sorted(before)


@pytest.mark.parametrize("name", ["classification", "overview"])
def test_a_claim_whose_sides_are_tuned_has_both_verdicts(name: str, visit: Callable[..., Page]) -> None:
    page = visit(name)
    table = page.get_by_role("region", name=re.compile("both sides tuned$")).get_by_role("table")
    cells = table.get_by_role("row").nth(1).get_by_role("cell").all_inner_texts()
    assert len(cells) == 3
    assert all(re.search("supported|refuted|equivalent|inconclusive", cell) for cell in cells[:2])
    assert "tuned_noisy: " in cells[2]


def test_the_tables_of_a_search_are_sorted(visit: Callable[..., Page]) -> None:
    page = visit("classification")
    table = page.locator("#strategies table")

    def order() -> list[str]:
        return [str(row.get_attribute("id")) for row in table.locator("tbody tr").all()]

    best_first = order()
    table.get_by_role("columnheader", name="val accuracy", exact=True).get_by_role("button").click()
    assert order() != best_first
    assert set(order()) == set(best_first)
    assert table.get_by_role("columnheader", name="Its settings").get_by_role("button").count() == 0
    assert page.get_by_role("region", name="Table: claims about strategies").locator("thead button").count() == 5


def test_variants_are_chosen_once_for_leaderboard_and_curves(visit: Callable[..., Page]) -> None:
    page = visit("classification")
    chooser = page.locator(".chooser")

    def shown() -> set[str]:
        return {str(each.get_attribute("data-variant")) for each in seen(page, "tr[data-variant], .panel, g.curve")}

    everything = set(study_with(CHANGES).variants)
    assert shown() >= everything - {"noisy"}  # whose curves have no number
    chooser.locator("summary").focus()
    page.keyboard.press("Enter")
    chooser.get_by_role("button", name="None").click()
    assert shown() == set()
    chooser.get_by_label("deep").focus()
    page.keyboard.press("Space")
    assert shown() == {"deep"}
    assert chooser.locator("output").text_content() == "1 of 4 chosen"
    assert [row.text_content() for row in seen(page, "[data-measure=loss] tbody th")] == [" deep"]
    chooser.get_by_role("button", name="All").click()
    assert {*shown(), "noisy"} == everything


def test_a_claim_brings_its_curves(visit: Callable[..., Page]) -> None:
    page = visit("classification", "#claim-dropout_takes_longer")
    card = page.locator("#claim-dropout_takes_longer")
    assert card.get_attribute("open") is not None
    card.get_by_role("button", name="Compare their curves").click()
    assert {row.get_attribute("data-variant") for row in seen(page, "tr[data-variant]")} == {"plain", "dropped"}
    assert page.evaluate("document.activeElement.id") == "curves"
    assert page.locator("#live").text_content() == "plain and dropped chosen."


def test_curves_are_read_by_keyboard_and_by_pointing(visit: Callable[..., Page]) -> None:
    page = visit("classification")
    figure = page.locator("[data-measure=accuracy]")

    def cells() -> list[str | None]:
        return [cell.text_content() for cell in figure.locator("tbody tr").first.locator("td").all()]

    last = cells()
    assert last[1] == "50.00 % (50.00 % to 50.00 %)"
    assert str(figure.locator('tr[data-name="dropped"] td').last.text_content()).endswith("%), ended at 1")
    figure.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    assert figure.locator("output").text_content() == "epoch 1"
    assert cells()[0] != last[0]
    button = figure.locator("tbody").get_by_role("button", name="plain")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert figure.locator("g.curve.pick").count() == 2

    figure.get_by_label("training rows").check()
    figure.get_by_label("validation rows").uncheck()
    curve = figure.locator('g.curve[data-variant="plain"][data-kind="accuracy"] path')
    assert [each.get_attribute("data-kind") for each in seen(page, "[data-measure=accuracy] g.curve")].count(
        "val_accuracy"
    ) == 0
    curve.scroll_into_view_if_needed()
    end = curve.evaluate(
        "path => { const p = path.getPointAtLength(path.getTotalLength()); const m = path.getScreenCTM();"
        " return [p.x * m.a + m.e, p.y * m.d + m.f]; }"
    )
    page.mouse.move(end[0] - 1, end[1])
    tip = page.locator(".tip")
    assert tip.is_visible()
    assert str(tip.text_content()).startswith("plain, epoch 2, training rows: ")
    page.mouse.move(5, 5)
    assert not tip.is_visible()


def test_replicates_are_told_by_pointing_and_by_focus(visit: Callable[..., Page]) -> None:
    page = visit("classification")
    strip, tip = page.locator('tr[data-variant="plain"] .strip'), page.locator(".tip")
    strip.scroll_into_view_if_needed()
    strip.focus()
    assert str(tip.text_content()).startswith("plain: seed 0: ")
    assert str(tip.text_content()).count("seed") == 3
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    dots = {str(dot.get_attribute("data-tip")): dot.bounding_box() for dot in strip.locator("[data-tip^=seed]").all()}
    for said, box in dots.items():
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert said in str(tip.text_content()).split("; ")  # one of them where dots hide each other
    assert page.locator("svg title").count() == 0  # no second tip, of the browser's own


def test_links_unfold_what_they_lead_to(visit: Callable[..., Page]) -> None:
    page = visit("classification")
    assert not page.locator("#variant-deep h4").first.is_visible()
    page.locator('a[href="#variant-deep"]').first.click()
    assert page.locator("#variant-deep h4").first.is_visible()


def test_the_overview_is_searched_and_sorted(visit: Callable[..., Page]) -> None:
    page = visit("overview")
    form = page.locator("form[data-of=measured]")
    form.get_by_role("searchbox").fill("first plain")
    rows = seen(page, "tr[data-list=measured]")
    assert [row.get_attribute("data-item") for row in rows] == ["first plain best_epoch", "first plain test_accuracy"]
    form.get_by_label("one run").uncheck()
    assert len(seen(page, "tr[data-list=measured]")) == 1
    head = page.locator("#claims ~ .scroll").get_by_role("columnheader", name="Study")
    head.get_by_role("button").click()
    head.get_by_role("button").click()
    studies = [row.locator("td").first.text_content() for row in page.locator("tr[data-list=claims]").all()]
    assert studies == sorted(map(str, studies), reverse=True)


def test_motion_is_reduced_where_that_is_asked_for(visit: Callable[..., Page]) -> None:
    script = "getComputedStyle(document.querySelector('.curve')).transitionDuration"
    assert visit("classification").evaluate(script) != "0s"
    assert visit("classification", reduced_motion="reduce").evaluate(script) == "0s"


def test_dvc_s_plots_are_drawn_without_a_network(browser: Browser, tmp_path: Path) -> None:
    plots_of_dvc(tmp_path)
    page = browser.new_context(offline=True).new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((tmp_path / "dvc_plots" / "index.html").as_uri())
    page.wait_for_function("document.querySelectorAll('svg.marks, canvas.marks').length === 2")
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    page.context.close()
