"""Write the results of all studies into the READMEs and into one page: `python -m stages.tools overview`.

Reads params.yaml and metrics/ of every study, and data/datasets.yaml. Writes the tables of README.md and studies/README.md, and
data/overview.html: a page to search and sort, which needs no other file and links to the reports. No stage of a pipeline does
this, because DVC would then own the READMEs. A test fails if a table is stale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import get_args

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE, load_catalogue, pick
from stages.lib.files import write_text
from stages.lib.judging.outcome import Compared, Outcome, Row, committed, of_strategies, of_variants
from stages.lib.judging.reported import STANDINGS, distance, standing
from stages.lib.judging.tables import HEADLINES
from stages.lib.judging.units import unit_of
from stages.lib.judging.verdicts import Verdict
from stages.lib.markdown import CENTRE, LEFT, RIGHT, between_markers, cell, markers, one_line, table
from stages.lib.report.document import MARKS, WORDS, document
from stages.lib.study.claims import Claim
from stages.lib.study.load import load_study
from stages.lib.study.metrics import finite, is_time
from stages.lib.study.places import FOLDER, STARTER, name_of, studies, target_of
from stages.lib.study.search import Search
from stages.lib.study.settings import Study
from stages.lib.templates import render

README = Path("README.md")
LIST = FOLDER / README
PAGE = Path("data/overview.html")
STUDIES, RESULTS = (markers(name, "python -m stages.tools overview") for name in ("studies", "results"))
IN_REPORT = "in the report"
"""Durations are not in Git."""
NOT_JUDGED, NOT_MEASURED = "not judged", "not measured"
STATES = (*get_args(Verdict), IN_REPORT, NOT_JUDGED)


@dataclass(frozen=True)
class Results:
    """The committed results of a study's variants, or of its search's strategies.

    task: of the study's data set.
    outcome: without verdicts and numbers if the study or the search was not run.
    """

    folder: Path
    study: Study
    task: str
    outcome: Outcome

    @property
    def name(self) -> str:
        return name_of(self.folder)

    @property
    def kind(self) -> str:
        return self.outcome.kind

    @property
    def label(self) -> str:
        return self.name if self.kind == "variant" else f"{self.name}, search"

    @property
    def was_run(self) -> bool:
        return bool(self.outcome.numbers)

    @property
    def replicates(self) -> int:
        """How many replicates of all variants there are."""
        counts = {name: int(row["replicates"]) for (name, _), row in self.outcome.numbers.items()}
        return sum(counts.get(name, 0) for name in self.outcome.names)

    @property
    def reduced(self) -> str:
        """The limits under which the study was run."""
        limits = self.study.limits.model_dump(exclude_none=True)
        return f"reduced run: at most {', '.join(f'{number} {name}' for name, number in limits.items())}" if limits else ""

    @cached_property
    def measured(self) -> list[Measured]:
        """What the source reports of every variant or strategy; the headline of one of which it reports nothing."""
        return [
            Measured(self, name, compared, metric, self.outcome.numbers.get((name, metric)))
            for name, compared in self.outcome.names.items()
            for metric in compared.metrics or [HEADLINES[self.task]]
        ]

    @cached_property
    def judged(self) -> list[Judged]:
        return [Judged(self, name, claim, self.outcome.verdicts.get(name)) for name, claim in self.outcome.claims.items()]


@dataclass(frozen=True)
class Measured:
    """A metric of a variant or strategy. `row` is that of summary.csv, or None if it was not measured."""

    results: Results
    name: str
    compared: Compared
    metric: str
    row: Row | None

    @property
    def reported(self) -> float | None:
        """The number that the source prints."""
        return self.compared.reported.get(self.metric)

    @property
    def standing(self) -> str:
        """Where the reported number lies; empty if there is none, or nothing to compare it with."""
        return standing(self.reported, self.row) if self.row and self.reported is not None else ""

    @property
    def off(self) -> tuple[float, str]:
        """The distance of the reported number from the mean, and its text."""
        return distance(self.reported, self.row) if self.row and self.reported is not None else (finite(""), "")

    @property
    def mean(self) -> float:
        return finite(self.row["mean"]) if self.row else finite("")

    @property
    def in_units(self) -> tuple[str, str, str]:
        """The reported number, the mean and its interval, in the metric's unit."""
        unit = unit_of(self.metric, self.results.task)
        reported = "" if self.reported is None else f"{self.reported * unit.factor:g} {unit.level}".strip()
        if self.row is None:
            return reported, NOT_MEASURED, ""
        if self.row["mean"] in WORDS:
            return reported, WORDS[self.row["mean"]], ""
        return reported, unit.value(self.row["mean"]), unit.interval(self.row["low"], self.row["high"])


@dataclass(frozen=True)
class Judged:
    """A claim. `row` is that of claims.csv, or None if the claim was not judged or is about durations."""

    results: Results
    name: str
    claim: Claim
    row: Row | None

    @property
    def state(self) -> str:
        """The verdict, or why there is none."""
        if self.row and not self.claim.about_time:
            return self.row["verdict"]
        return IN_REPORT if self.claim.about_time and self.results.was_run else NOT_JUDGED

    @property
    def verdict(self) -> str:
        return self.state if self.state in MARKS else ""

    @property
    def close(self) -> bool:
        return bool(self.row and self.row["close"] == "True")

    @property
    def value(self) -> float:
        return finite(self.row["effect"]) if self.row and self.verdict else finite("")

    @property
    def in_units(self) -> tuple[str, str]:
        """The effect and its interval, in the metric's unit."""
        if not (self.row and self.verdict):
            return "", ""
        unit = unit_of(self.claim.metric, self.results.task)
        effect, low, high = (self.row[name] for name in ("effect", "low", "high"))
        written = unit.change(effect) if self.claim.compare else unit.value(effect)
        return WORDS.get(effect, written), "" if low in WORDS else unit.interval(low, high)


def as_run(outcome: Outcome) -> Outcome:
    """The outcome; without verdicts and numbers if one of its tables is missing."""
    judged = [name for name, claim in outcome.claims.items() if not claim.about_time]
    complete = outcome.numbers and (outcome.verdicts or not judged)
    return outcome if complete else replace(outcome, verdicts={}, numbers={})


def read_results(root: Path) -> list[list[Results]]:
    """For each study the results of its variants and, if it has a search, those of the search's strategies."""
    catalogue = load_catalogue(root / CATALOGUE)
    found = []
    for folder in studies(root):
        study = load_study(root / folder)
        read = committed(root / folder / "metrics")
        task = pick(catalogue, study.data.dataset).task
        outcomes = [of_variants(study, read), *([of_strategies(study, read)] if study.search else [])]
        found.append([Results(folder, study, task, as_run(outcome)) for outcome in outcomes])
    return found


# The tables


def number(text: str, digits: int = 4) -> str:
    return WORDS.get(text) or f"{float(text):.{digits}g}"


def standings(parts: Iterable[Results]) -> Counter[str]:
    """How many of the reported numbers lie where."""
    return Counter(each.standing for part in parts for each in part.measured if each.standing)


def states(parts: Iterable[Results]) -> Counter[str]:
    """How many claims have which verdict, or none."""
    return Counter(each.state for part in parts for each in part.judged)


def tally(counts: Mapping[str, int], order: Iterable[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in order if counts.get(name)) or "none"


def ours(is_ours: bool) -> str:
    return " (ours)" if is_ours else ""


def studies_table(all_results: Iterable[Sequence[Results]]) -> str:
    """A row for each study: what was run, where the reported numbers lie, and how many claims have which verdict."""
    rows = []
    for parts in all_results:
        results = parts[0]
        replicates = f"{results.replicates}{f' ({results.reduced})' if results.reduced else ''}"
        measured = [replicates, tally(standings(parts), STANDINGS)] if results.was_run else ["not run", ""]
        start = [f"[{results.name}]({LIST.as_posix()}#{results.name})", len(results.study.variants)]
        rows.append([*start, *measured, tally(states(parts), STATES)])
    header = ("study", "variants", "replicates", "reported numbers", "claims")
    return table(header, rows, (LEFT, RIGHT, RIGHT, LEFT, LEFT))


def claims_table(parts: Iterable[Results]) -> str:
    """A row for each claim: what it says, its verdict, its effect with the interval, and the replicates."""
    rows = []
    for judged in (each for part in parts for each in part.judged):
        claim, row = judged.claim, judged.row
        reported = f" Reported: {cell(claim.reported)}" if claim.reported else ""
        says = f"{cell(claim.says)}{reported}{ours(claim.ours)}"
        if row is None or not judged.verdict:
            rows.append([says, judged.state, "", "", ""])
            continue
        interval = "by rank" if row["low"] in WORDS else f"{number(row['low'], 3)} to {number(row['high'], 3)}"
        verdict = f"**{judged.verdict}**{' (close)' if judged.close else ''}"
        effect = row["effect"] if row["effect"] in WORDS else number(row["effect"], 3)
        rows.append([says, verdict, effect, interval, row["replicates"]])
    header = ("claim", "verdict", "effect", "interval", "replicates")
    return table(header, rows, (LEFT, LEFT, RIGHT, CENTRE, RIGHT))


def numbers_table(results: Results) -> str:
    """A row for each number: what the source reports, and what was measured."""
    rows = []
    for each in results.measured:
        reported = "" if each.reported is None else f"{each.reported:g}"
        start = [f"`{each.name}`{ours(each.compared.ours)}", f"`{each.metric}`", reported]
        if each.row is None:
            rows.append([*start, IN_REPORT if is_time(each.metric) else NOT_MEASURED, "", "", "", ""])
            continue
        row = each.row
        interval = "" if row["low"] in WORDS else f"{number(row['low'])} to {number(row['high'])}"
        rows.append([*start, number(row["mean"]), interval, each.standing, each.off[1], row["replicates"]])
    header = (results.kind, "metric", "reported", "measured", "interval", "reported is", "distance", "replicates")
    return table(header, rows, (LEFT, LEFT, RIGHT, RIGHT, CENTRE, LEFT, RIGHT, RIGHT))


def facts(results: Results) -> list[str]:
    """How much of a study was run."""
    variants = f"{len(results.study.variants)} variants"
    if not results.was_run:
        return [variants, "not run"]
    intervals = f"{results.study.statistics.confidence * 100:g} % intervals"
    reduced = [f"**{results.reduced}**"] if results.reduced else []
    return [variants, f"{results.replicates} replicates", intervals, *reduced]


def search_facts(results: Results, search: Search) -> str:
    """What a search looked for, in a sentence."""
    best = "highest" if search.direction == "maximize" else "lowest"
    goal = f"A search around `{search.variant}` for the {best} `{search.metric}`"
    if not results.was_run:
        return f"{goal}: not run."
    return f"{goal}; a replicate is the best trial of one seed, which is trained again for its `{search.judged_by}`."


def section(parts: Sequence[Results]) -> str:
    """The Markdown of one study."""
    study = parts[0].study
    text = render(
        Path(__file__).with_name("study.md.j2"),
        parts=parts,
        study=study,
        facts=facts,
        search_facts=search_facts,
        numbers_table=numbers_table,
        claims_table=claims_table,
        lists={"What the source gets wrong": study.errata, "Notes": [note.says for note in study.notes]},
        one_line=one_line,
    )
    return text.rstrip()


def readmes(root: Path, found: Sequence[Sequence[Results]]) -> dict[Path, str]:
    """The READMEs in `root` as they should be: path -> text. Raises UserError for one that is missing or lacks its markers."""
    texts = {}
    for path, marks, content in (
        (README, STUDIES, studies_table(found)),
        (LIST, RESULTS, "\n" + "\n\n".join(section(parts) for parts in found) + "\n"),
    ):
        if not (root / path).exists():
            raise UserError(f"{path} is missing; `git checkout {path}` brings it back")
        texts[path] = between_markers((root / path).read_text(encoding="utf-8"), marks, content, str(path))
    return texts


# The page


def report_of(root: Path, folder: Path) -> str:
    """A study's report, as the page links to it; empty if the report was not made here. It is not in Git."""
    report = folder / "data" / "report.html"
    if not (root / report).exists():
        return ""
    return report.name if folder == STARTER else f"../{report.as_posix()}"


def shared_claims(judged: Iterable[Judged]) -> Iterator[list[Judged]]:
    """The claims that several studies judged under one name."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for each in judged:
        if each.verdict:
            groups.setdefault((each.results.kind, each.name), []).append(each)
    return (group for group in groups.values() if len(group) > 1)


def page(root: Path, found: Sequence[Sequence[Results]]) -> str:
    """The page: a row for each study, for each number that is reported or measured, and for each claim."""
    judged = [each for parts in found for part in parts for each in part.judged]
    return document(
        "overview.html.j2",
        studies=found,
        reports={parts[0].name: report_of(root, parts[0].folder) for parts in found},
        standings={parts[0].name: tally(standings(parts), STANDINGS) for parts in found},
        states={parts[0].name: tally(states(parts), STATES) for parts in found},
        measured=[each for parts in found for part in parts for each in part.measured],
        judged=judged,
        shared=list(shared_claims(judged)),
        marks=MARKS,
        totals=Counter(each.verdict for each in judged),
        kinds=STANDINGS,
        target_of=target_of,
    )


def main() -> None:
    arguments(__doc__, study=False).parse_args()
    with one_line_errors("overview"):
        found = read_results(Path())
        for path, text in {**readmes(Path(), found), PAGE: page(Path(), found)}.items():
            write_text(path, text)
        print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
