"""Write what is seen of all studies together, from the committed metrics: `python -m stages.tools.overview`.

Reads every study's params.yaml and metrics/ (the root's, and studies/*), with those of its search. Writes the tables of
README.md and of studies/README.md, and data/overview.html: one page that needs nothing else, to search and sort, and leads to
the reports. No stage of the pipeline, since DVC would own the READMEs. A test fails when either of these is stale.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pandas as pd

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.files import write_text
from stages.lib.judging.reported import STANDINGS, distance, standing
from stages.lib.judging.units import unit_of
from stages.lib.judging.verdicts import Verdict
from stages.lib.report.page import rendered
from stages.lib.report.words import MARKS, WORDS
from stages.lib.study.load import load_study
from stages.lib.study.metrics import finite, is_time
from stages.lib.study.settings import Claim, Search, Study
from stages.lib.study.space import DEFAULT

MARKERS = {
    name: (f"<!-- {name}: made by python -m stages.tools.overview -->", f"<!-- end of {name} -->")
    for name in ("studies", "results")
}
HEADLINES = ("test_accuracy", "test_loss")
"""The first of these that a study has is what its variants are compared by."""
PAGE = Path("data/overview.html")


class Number(NamedTuple):
    """A metric of a variant, or of a strategy: what the source reports, and the row of summary.csv, each None where missing."""

    name: str
    tip: str
    ours: bool
    metric: str
    reported: float | None
    row: Mapping[str, str] | None


@dataclass(frozen=True)
class Outcome:
    """A study, with its committed claims.csv and summary.csv, each a row by key, or None where it was not run."""

    path: str
    study: Study
    claims: Mapping[str, Mapping[str, str]] | None
    measured: Mapping[tuple[str, str], Mapping[str, str]] | None
    search: Searched | None = None

    @property
    def parts(self) -> list[Outcome]:
        """The study and, if it has one, its search."""
        return [self, self.search] if self.search else [self]

    @property
    def label(self) -> str:
        return self.name

    @property
    def said(self) -> Mapping[str, Claim]:
        return self.study.claims

    @property
    def kind(self) -> str:
        """What is compared."""
        return "variant"

    @property
    def name(self) -> str:
        return "starter" if self.path == "." else self.path.rpartition("/")[2]

    @property
    def headline(self) -> str:
        metrics = {metric for _, metric in self.measured or ()}
        return next((name for name in HEADLINES if name in metrics), HEADLINES[0])

    @property
    def numbers(self) -> list[Number]:
        """For each variant its reported numbers, or else its headline."""
        known = self.measured or {}
        return [
            Number(name, each.tip, each.ours, metric, each.reported.get(metric), known.get((name, metric)))
            for name, each in self.study.variants.items()
            for metric in each.reported or [self.headline]
        ]

    @property
    def replicates(self) -> int:
        counts = {variant: int(row["replicates"]) for (variant, _), row in (self.measured or {}).items()}
        return sum(counts[variant] for variant in self.study.variants if variant in counts)

    @property
    def reduced(self) -> str:
        limits = self.study.limits.model_dump(exclude_none=True)
        return f"reduced run: at most {', '.join(f'{number} {name}' for name, number in limits.items())}" if limits else ""


@dataclass(frozen=True)
class Searched(Outcome):
    """A study's search, told like a study: its variants are the strategies, and a replicate is one seed's winner."""

    settings: Search = field(kw_only=True)

    @property
    def label(self) -> str:
        return f"{self.name}, search"

    @property
    def said(self) -> Mapping[str, Claim]:
        return self.settings.claims

    @property
    def kind(self) -> str:
        return "strategy"

    @property
    def numbers(self) -> list[Number]:
        """Of every strategy the score that it chooses by, then its like on the test rows; the default comes first."""
        settings, known = self.settings, self.measured or {}
        tips = {DEFAULT: f"{settings.variant}, as it is"}
        tips |= {
            name: f"{each.method.replace('_', ' ')}, {settings.trials_of(name)} trials"
            for name, each in settings.strategies.items()
        }
        reported = {name: each.reported for name, each in settings.strategies.items()}
        return [
            Number(name, tip, False, metric, reported.get(name, {}).get(metric), known.get((name, metric)))
            for name, tip in tips.items()
            for metric in (settings.metric, settings.judged_by)
        ]


def read_rows(path: Path) -> list[dict[str, str]] | None:
    """A committed table as text; only an empty cell is no value: a variant may be called nan."""
    if not path.exists():
        return None
    rows = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
    return [{str(name): str(value) for name, value in row.items()} for row in rows]


def read_search(folder: Path, path: str, study: Study) -> Searched | None:
    """The search of a study, if it has one, with the means and the intervals of search.json."""
    if study.search is None:
        return None
    claims, winners = (read_rows(folder / "search" / f"{name}.csv") for name in ("claims", "winners"))
    if claims is None or winners is None or not (folder / "search.json").exists():
        return Searched(path, study, None, None, settings=study.search)
    found_by = pd.DataFrame(winners).groupby("strategy")
    strategies = json.loads((folder / "search.json").read_text(encoding="utf-8"))["strategies"]
    measured = {
        (name, metric): {"metric": metric, "replicates": str(len(found_by.get_group(name)))}
        | {"sd": str(pd.to_numeric(found_by.get_group(name)[metric], errors="coerce").std())}
        | {end: str(found.get(end, found["mean"])) for end in ("mean", "low", "high")}
        for name, scores in strategies.items()
        for metric, found in scores.items()
    }
    return Searched(path, study, {row["claim"]: row for row in claims}, measured, settings=study.search)


def read_outcome(root: Path, path: str) -> Outcome:
    study, folder = load_study(root / path), root / path / "metrics"
    search = read_search(folder, path, study)
    claims, summary = (read_rows(folder / f"{name}.csv") for name in ("claims", "summary"))
    if claims is None or summary is None:
        return Outcome(path, study, None, None, search)
    measured = {(row["variant"], row["metric"]): row for row in summary}
    return Outcome(path, study, {row["claim"]: row for row in claims}, measured, search)


def tutorials_of(root: Path) -> list[Outcome]:
    return [read_outcome(root, f"studies/{each.parent.name}") for each in sorted(root.glob("studies/*/params.yaml"))]


def cell(text: str) -> str:
    """Text that Markdown shows as it is in a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def table(header: str, rule: str, rows: Iterable[Iterable[object]]) -> str:
    return "\n".join([f"| {header} |", f"| {rule} |", *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def number(text: str | float, digits: int = 4) -> str:
    return WORDS.get(str(text)) or f"{float(text):.{digits}g}"


def standings(outcome: Outcome) -> Counter[str]:
    """How many of the reported numbers that were measured lie where, those of a search too."""
    numbers = (number for part in outcome.parts for number in part.numbers)
    return Counter(standing(each.reported, each.row) for each in numbers if each.reported is not None and each.row)


def verdicts(outcome: Outcome) -> Counter[str]:
    """What became of the claims, those about strategies too."""
    found: Counter[str] = Counter()
    for part in outcome.parts:
        if part.claims is None:
            found["not judged"] += len(part.said)
            continue
        for name, claim in part.said.items():
            row = part.claims.get(name, {"verdict": "not judged"})
            found["in the report" if claim.about_time else row["verdict"]] += 1
    return found


def tally(counts: Mapping[str, int], order: Iterable[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in order if counts.get(name)) or "none"


def studies_table(outcomes: Iterable[Outcome]) -> str:
    """A row for each study: how much was run, where the reported numbers lie, what became of the claims."""
    rows = []
    for outcome in outcomes:
        link = "#results" if outcome.path == "." else f"studies/README.md#{outcome.name}"
        row: list[object] = [f"[{outcome.name}]({link})", len(outcome.study.variants)]
        claims = tally(verdicts(outcome), [*get_args(Verdict), "in the report", "not judged"])
        if outcome.measured is None:
            rows.append([*row, "not run", "", claims])
            continue
        replicates = f"{outcome.replicates}{f' ({outcome.reduced})' if outcome.reduced else ''}"
        rows.append([*row, replicates, tally(standings(outcome), STANDINGS), claims])
    return table("study | variants | replicates | reported numbers | claims", "--- | ---: | ---: | --- | ---", rows)


def mark(ours: bool) -> str:
    return " (ours)" if ours else ""


def claims_table(*outcomes: Outcome) -> str:
    """What is said, the verdict, the effect with its interval, the replicates."""
    rows = []
    for outcome, name, claim in ((each, *item) for each in outcomes for item in each.said.items()):
        said = f"{cell(claim.says)}{f' Reported: {cell(claim.reported)}' if claim.reported else ''}{mark(claim.ours)}"
        row = (outcome.claims or {}).get(name)
        if claim.about_time or row is None:
            rows.append([said, "in the report" if claim.about_time else "not judged", "", "", ""])
            continue
        interval = "by rank" if row["low"] in WORDS else f"{number(row['low'], 3)} to {number(row['high'], 3)}"
        verdict = f"**{row['verdict']}**{' (close)' if row['close'] == 'True' else ''}"
        effect = row["effect"] if row["effect"] in WORDS else number(row["effect"], 3)
        rows.append([said, verdict, effect, interval, row["replicates"]])
    return table("claim | verdict | effect | interval | replicates", "--- | --- | ---: | :---: | ---:", rows)


def numbers_table(outcome: Outcome) -> str:
    """What was reported beside what was measured."""
    rows = []
    for name, _, ours, metric, reported, row in outcome.numbers:
        said = "" if reported is None else f"{reported:g}"
        start = [f"`{name}`{mark(ours)}", f"`{metric}`", said]
        if row is None:
            rows.append([*start, "in the report" if is_time(metric) else "not measured", "", "", "", ""])
            continue
        interval = "" if row["low"] in WORDS else f"{number(row['low'])} to {number(row['high'])}"
        lies = ["", ""] if reported is None else [standing(reported, row), distance(reported, row)[1]]
        rows.append([*start, number(row["mean"]), interval, *lies, row["replicates"]])
    header = f"{outcome.kind} | metric | reported | measured | interval | reported is | distance | replicates"
    return table(header, "--- | --- | ---: | ---: | :---: | --- | ---: | ---:", rows)


def tables_of(outcome: Outcome) -> list[str]:
    """What was measured, and what is claimed of it; nothing where nothing was."""
    if outcome.measured is None:
        return []
    return [numbers_table(outcome), *([claims_table(outcome)] if outcome.said else [])]


def search_facts(search: Searched) -> str:
    """What was searched for, in a sentence."""
    settings, best = search.settings, "highest" if search.settings.direction == "maximize" else "lowest"
    what = f"A search around `{settings.variant}` for the {best} `{settings.metric}`"
    if search.measured is None:
        return f"{what}: not run."
    return f"{what}; a replicate is the best trial of one seed, which is trained again for its `{settings.judged_by}`."


def section(outcome: Outcome) -> str:
    """The Markdown of one tutorial."""
    study = outcome.study
    facts = [f"{len(study.variants)} variants"]
    if outcome.measured is None:
        facts.append("not run")
    else:
        facts += [f"{outcome.replicates} replicates", f"{study.statistics.confidence * 100:g} % intervals"]
    facts += [f"**{outcome.reduced}**"] if outcome.reduced and outcome.measured is not None else []
    parts = [
        f"## {outcome.name}",
        f"{' '.join(study.title.split())}\\\nSource: {' '.join(study.source.split())}\\\n{', '.join(facts)}.",
    ]
    parts += tables_of(outcome)
    if outcome.search:
        parts += [search_facts(outcome.search), *tables_of(outcome.search)]
    for title, texts in (("What the source gets wrong", study.errata), ("Notes", [note.says for note in study.notes])):
        parts += [f"{title}:", "\n".join(f"* {' '.join(text.split())}" for text in texts)] if texts else []
    return "\n\n".join(parts)


def with_table(readme: str, name: str, content: str, path: str = "README.md") -> str:
    """The README with `content` between the markers of that name. Raises UserError where a marker is missing."""
    begin, end = MARKERS[name]
    before, found, rest = readme.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise UserError(f"{path}: the markers {begin!r} and {end!r} are missing")
    return f"{before}{begin}\n{content}\n{end}{after}"


def overview(root: Path) -> dict[str, str]:
    """The READMEs in `root` as they should be: path -> text."""
    starter, tutorials = read_outcome(root, "."), tutorials_of(root)
    readme = (root / "README.md").read_text(encoding="utf-8")
    readme = with_table(readme, "studies", studies_table([starter, *tutorials]))
    found = {"README.md": with_table(readme, "results", claims_table(*starter.parts))}
    path = "studies/README.md"
    if (root / path).exists():
        text = "\n\n".join(section(each) for each in tutorials) or "No study is here yet."
        found[path] = with_table((root / path).read_text(encoding="utf-8"), "results", f"\n{text}\n", path)
    elif tutorials:
        raise UserError(f"{path} is missing; `git checkout {path}` brings it back")
    return found


# The page


def report_of(root: Path, outcome: Outcome) -> str:
    """The study's report, as the page links to it; empty where there is none: it is no file in Git."""
    report = Path(outcome.path) / "data" / "report.html"
    if not (root / report).exists():
        return ""
    return report.name if outcome.path == "." else f"../{report.as_posix()}"


def measured_rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """What was reported beside what was measured, in the metric's unit."""
    task = "regression" if outcome.headline == "test_loss" else "classification"
    for each in outcome.numbers:
        unit, found = unit_of(each.metric, task), each.row or {"mean": "", "low": "", "replicates": ""}
        known = found["mean"] not in ("", *WORDS)
        off, shown = distance(each.reported, each.row) if each.row and each.reported is not None else (finite(""), "")
        yield {
            **each._asdict(),
            "said": "" if each.reported is None else f"{each.reported * unit.factor:g} {unit.level}".strip(),
            "mean": finite(found["mean"]),
            "measured": unit.value(found["mean"]) if known else WORDS.get(found["mean"], "not measured"),
            "interval": unit.interval(found["low"], found["high"]) if known else "",
            "standing": standing(each.reported, each.row) if each.row and each.reported is not None else "",
            "off": off,
            "distance": shown,
            "replicates": found["replicates"],
        }


def judged_rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """The claims with their verdicts, in the metric's unit."""
    task = "regression" if outcome.headline == "test_loss" else "classification"
    for name, claim in outcome.said.items():
        row, unit = (outcome.claims or {}).get(name), unit_of(claim.metric, task)
        found = {"name": name, "claim": claim, "verdict": "", "effect": "", "value": finite(""), "interval": "", "close": False}
        if row and not claim.about_time:
            effect = unit.change(row["effect"]) if claim.compare else unit.value(row["effect"])
            found |= {"verdict": row["verdict"], "close": row["close"] == "True", "value": finite(row["effect"])}
            found["effect"] = WORDS.get(row["effect"], effect)
            found["interval"] = "" if row["low"] in WORDS else unit.interval(row["low"], row["high"])
        yield found


def page(root: Path, outcomes: Sequence[Outcome]) -> str:
    """data/overview.html: a row for each study, for each number that is reported or measured, and for each claim."""
    parts = [part for outcome in outcomes for part in outcome.parts]
    claims = [(part, row) for part in parts for row in judged_rows(part)]
    shared: dict[tuple[str, str], list[tuple[Outcome, dict[str, Any]]]] = {}
    for part, row in claims:
        if row["verdict"]:
            shared.setdefault((part.kind, row["name"]), []).append((part, row))
    return rendered(
        "overview.html.j2",
        outcomes=outcomes,
        reports={outcome.name: report_of(root, outcome) for outcome in outcomes},
        standings={outcome.name: standings(outcome) for outcome in outcomes},
        verdicts={outcome.name: verdicts(outcome) for outcome in outcomes},
        orders=(STANDINGS, (*get_args(Verdict), "in the report", "not judged")),
        tally=tally,
        measured=[(part, row) for part in parts for row in measured_rows(part)],
        claims=claims,
        shared=[found for found in shared.values() if len(found) > 1],
        marks=MARKS,
        totals=Counter(row["verdict"] for _, row in claims),
        kinds=STANDINGS,
    )


def main() -> None:
    arguments(__doc__, study=False).parse_args()
    with one_line_errors("overview"):
        root = Path()
        for path, text in overview(root).items():
            write_text(Path(path), text)
        write_text(PAGE, page(root, [read_outcome(root, "."), *tutorials_of(root)]))
        print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
