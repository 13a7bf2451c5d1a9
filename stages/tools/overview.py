"""Write the results of all studies into the READMEs and into one page: `python -m stages.tools overview`.

Reads params.yaml and metrics/ of every study, and data/datasets.yaml. Writes the tables of README.md and studies/README.md, and
data/overview.html: a page to search and sort, which needs no other file and links to the reports. No stage of a pipeline does
this, because DVC would then own the READMEs. A test fails if a table is stale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.data.catalogue import CATALOGUE, load_catalogue, pick
from stages.lib.files import write_text
from stages.lib.judging.multiplicity import Together, chance_of, together
from stages.lib.judging.outcome import Outcome, of_strategies, of_variants
from stages.lib.judging.planned import price_of
from stages.lib.judging.price import MOST
from stages.lib.judging.reported import STANDINGS, Comparison, collapsed_of
from stages.lib.judging.tables import HEADLINES
from stages.lib.judging.tuned import Twice, judged_twice
from stages.lib.judging.units import WORDS, unit_of
from stages.lib.judging.verdicts import Verdict
from stages.lib.markdown import LEFT, RIGHT, between_markers, cell, markers, one_line, table
from stages.lib.report.document import MARKS, document
from stages.lib.report.sections.claims import judged_claim
from stages.lib.study.load import load_study
from stages.lib.study.metrics import is_time
from stages.lib.study.places import FOLDER, STARTER, name_of, studies, target_of
from stages.lib.study.settings import Study
from stages.lib.templates import render

README = Path("README.md")
LIST = FOLDER / README
PAGE = Path("data/overview.html")
STUDIES, TUNED, RESULTS = (markers(name, "python -m stages.tools overview") for name in ("studies", "tuned", "results"))
IN_REPORT, NOT_JUDGED = "in the report", "not judged"
"""Durations are not in Git."""
STATES = (*get_args(Verdict), IN_REPORT, NOT_JUDGED)


@dataclass(frozen=True)
class Results:
    """The committed results of a study's variants, or of its search's strategies.

    task: of the study's data set.
    """

    folder: Path
    study: Study
    task: str
    outcome: Outcome

    @property
    def name(self) -> str:
        return name_of(self.folder)

    @property
    def label(self) -> str:
        return self.name if self.outcome.kind == "variant" else f"{self.name}, search"

    @property
    def was_run(self) -> bool:
        """Whether both of its tables are there: the numbers, and the verdicts if something is judged."""
        judged = [name for name, claim in self.outcome.claims.items() if not claim.about_time]
        return bool(self.outcome.numbers and (self.outcome.verdicts or not judged))

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
    def measured(self) -> list[Comparison]:
        """What the source reports of every variant or strategy; the headline of one of which it reports nothing."""
        numbers = self.outcome.numbers if self.was_run else {}
        found = []
        for name, compared in self.outcome.names.items():
            for metric in compared.metrics or [HEADLINES[self.task]]:
                singles = self.outcome.values(name, metric) or ()
                collapsed = collapsed_of(self.outcome.rows_of(name)) if singles else ()
                row, reported = numbers.get((name, metric)), compared.reported.get(metric)
                asked = (name, metric, unit_of(metric, self.task), reported, row, singles, collapsed)
                found.append(Comparison(*asked, self.study.statistics.confidence))
        return found

    @cached_property
    def verdicts(self) -> dict[str, Mapping[str, str]]:
        """The rows of claims.csv, of the claims that the study still has."""
        rows = self.outcome.verdicts if self.was_run else {}
        claims = self.outcome.claims.items()
        return {name: rows[name] for name, claim in claims if name in rows and not claim.about_time}

    def price(self, name: str) -> str:
        """How many replicates of each variant would probably decide an inconclusive claim."""
        if self.outcome.kind != "variant" or self.state(name) != "inconclusive":
            return ""
        replicates = self.outcome.replicates.rename(columns={"name": "variant"})
        price = price_of(self.study, self.outcome.claims[name], replicates)
        if not price:
            return ""
        even, likely = price[0.5], price[0.9]
        if not even:
            return f"; not even {MOST:,} would decide"
        return f"; an even chance at {even}, 90 % at {likely or f'more than {MOST:,}'}"

    def state(self, name: str) -> str:
        """The verdict of a claim, or why there is none."""
        if name in self.verdicts:
            return self.verdicts[name]["verdict"]
        return IN_REPORT if self.outcome.claims[name].about_time and self.was_run else NOT_JUDGED


def read_results(root: Path) -> list[list[Results]]:
    """For each study the results of its variants and, if it has a search, those of the search's strategies."""
    catalogue = load_catalogue(root / CATALOGUE)
    found = []
    for folder in studies(root):
        study = load_study(root / folder)
        metrics = root / folder / "metrics"
        task = pick(catalogue, study.data.dataset).task
        outcomes = [of_variants(study, metrics), *([of_strategies(study, metrics)] if study.search else [])]
        found.append([Results(folder, study, task, outcome) for outcome in outcomes])
    return found


# The tables


def number(text: object, digits: int = 4) -> str:
    return str(text) if text in WORDS else f"{float(str(text)):.{digits}g}"


def standings(parts: Iterable[Results]) -> Counter[str]:
    """How many of the reported numbers lie where."""
    return Counter(each.standing for part in parts for each in part.measured if each.standing)


def states(parts: Iterable[Results]) -> Counter[str]:
    """How many claims have which verdict, or none."""
    return Counter(part.state(name) for part in parts for name in part.outcome.claims)


def tally(counts: Mapping[str, int], order: Iterable[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in order if counts.get(name)) or "none"


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


def tuned_claims(parts: Sequence[Results]) -> list[Twice]:
    """The claims that a study judges as given, and once more with both sides tuned."""
    if len(parts) < 2 or not parts[1].was_run:
        return []
    return judged_twice(parts[0].study, parts[0].outcome, parts[1].outcome, parts[0].task)


def tuned_table(parts: Sequence[Results]) -> str:
    """A row for each claim that is judged twice: both verdicts, and the settings that each side found."""
    rows = []
    for each in tuned_claims(parts):
        verdicts = [f"**{row['verdict']}**, {each.unit.change(row['effect'])}" for row in (each.given, each.tuned)]
        sides = " against ".join(f"`{name}` {found.most_common(1)[0][0]}" for name, found in reversed(each.sides))
        rows.append([cell(each.claim.says), *verdicts, sides])
    return table(("claim", "as given", "both sides tuned", "found most often"), rows, (LEFT, LEFT, LEFT, LEFT))


def section(parts: Sequence[Results]) -> str:
    """The Markdown of one study."""
    text = render(
        Path(__file__).with_name("study.md.j2"),
        parts=parts,
        study=parts[0].study,
        words=WORDS,
        number=number,
        is_time=is_time,
        cell=cell,
        one_line=one_line,
    )
    return text.rstrip()


def readmes(root: Path, found: Sequence[Sequence[Results]]) -> dict[Path, str]:
    """The READMEs in `root` as they should be: path -> text. Raises UserError for one that is missing or lacks its markers."""
    texts: dict[Path, str] = {}
    for path, marks, content in (
        (README, STUDIES, studies_table(found)),
        (README, TUNED, "\n".join(tuned_table(parts) for parts in found if tuned_claims(parts))),
        (LIST, RESULTS, "\n" + "\n\n".join(section(parts) for parts in found) + "\n"),
    ):
        if not (root / path).exists():
            raise UserError(f"{path} is missing; `git checkout {path}` brings it back")
        text = texts.get(path) or (root / path).read_text(encoding="utf-8")
        texts[path] = between_markers(text, marks, content, str(path))
    return texts


# The page


def report_of(root: Path, folder: Path) -> str:
    """A study's report, as the page links to it; empty if the report was not made here. It is not in Git."""
    report = folder / "data" / "report.html"
    if not (root / report).exists():
        return ""
    return report.name if folder == STARTER else f"../{report.as_posix()}"


def shared_claims(parts: Iterable[Results]) -> Iterator[list[tuple[Results, str]]]:
    """The claims that several studies judged under one name: the results, and the name."""
    groups: dict[tuple[str, str], list[tuple[Results, str]]] = {}
    for part in parts:
        for name in part.verdicts:
            groups.setdefault((part.outcome.kind, name), []).append((part, name))
    return (group for group in groups.values() if len(group) > 1)


def judged_together(parts: Iterable[Results]) -> Together:
    """What stands of the claims about variants, of all studies, if they are judged together."""
    chances = {}
    for part in parts:
        if part.outcome.kind != "variant":
            continue
        replicates = part.outcome.replicates.rename(columns={"name": "variant"})
        for name in part.verdicts:
            claim = part.outcome.claims[name]
            if any(part.outcome.values(variant, claim.metric) is None for variant in claim.variants):
                continue  # its replicates are not there
            chances[f"{part.name}: {name}"] = chance_of(part.study, claim, replicates)
    return together(chances)


def page(root: Path, found: Sequence[Sequence[Results]]) -> str:
    """The page: a row for each study, for each number that is reported or measured, and for each claim."""
    parts = [part for each in found for part in each]
    return document(
        "overview.html.j2",
        studies=found,
        parts=parts,
        reports={part.name: report_of(root, part.folder) for part in parts},
        standings={each[0].name: tally(standings(each), STANDINGS) for each in found},
        states={each[0].name: tally(states(each), STATES) for each in found},
        judged_claim=judged_claim,
        shared=list(shared_claims(parts)),
        together=judged_together(parts),
        tuned=[(each[0], tuned_claims(each)) for each in found if tuned_claims(each)],
        marks=MARKS,
        totals=states(parts),
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
