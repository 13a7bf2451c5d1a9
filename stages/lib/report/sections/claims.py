"""Claims: what was measured, whether a claim holds, which knobs differ, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from stages.lib.judging.planned import NO_END, price_of
from stages.lib.judging.price import MOST
from stages.lib.judging.units import Unit, short_number, unit_of
from stages.lib.judging.verdicts import FEWEST
from stages.lib.report.evidence import sentences, table_of
from stages.lib.report.results import Results
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import finite
from stages.lib.study.recipe import Architecture, Train
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import flattened


def knobs(view: str, model: Architecture, train: Train) -> dict[str, str]:
    """Every knob with its value, as params.yaml writes it. Arguments of an optimizer are there if they are not Keras's own."""
    given = {name: value for name, value in train.optimizer_arguments.items() if name != "momentum" or not train.momentum}
    optimizer = {"optimizer": train.optimizer_name, **{f"optimizer.{name}": value for name, value in given.items()}}
    content = {"view": view, **model.model_dump(), **train.model_dump(), **optimizer}
    return {key: json.dumps(value).strip('"') for key, value in flattened(content)}


def changed_knobs(study: Study, variant: str, other: str | None) -> list[tuple[str, str, str]]:
    """What a variant changes in another one, or in the study's defaults: the knob, its value before and after."""
    base, recipe = study.recipes[other] if other else study, study.recipes[variant]
    before = knobs(study.view_of(other) if other else "", base.model, base.train)
    after = knobs(study.view_of(variant), recipe.model, recipe.train)
    other_keys = bool(base.model.network) != bool(recipe.model.network)  # those of a network of one's own, or of layers
    changed = [knob for knob in (after if other_keys else {**after, **before}) if after.get(knob) != before.get(knob)]
    absent = "–" if other_keys else "all"
    left_out = {knob: "Keras's own" if knob.startswith("optimizer.") else absent for knob in changed}
    return [(knob, before.get(knob, left_out[knob]), after.get(knob, left_out[knob])) for knob in changed]


def why(results: Results, subject: str, variant: str, other: str | None) -> dict[str, list[Any]]:
    """What may explain the results of a variant.

    subject: the claim or the variant that notes may be about; other: what the variant is compared with.
    Returns the names of columns, rows of a label and a number for each column, sentences, and notes.
    """
    own, others = results.evidence[variant], results.evidence[other] if other else None
    said = sentences(other, others) if other and others else []
    return {
        "names": [*([other] if other else []), variant],
        "rows": table_of(*([others] if others else []), own),
        "sentences": [*said, *sentences(variant, own, other or "", others)],
        "notes": [note.says for note in results.study.notes if subject in note.about],
    }


HOLDS = {
    "supported": "It holds here: the whole interval lies where the claim expects it.",
    "refuted": "It does not hold here: the whole interval falls short of the claim.",
    "equivalent": "It does not hold here: any difference is within the margin.",
    "inconclusive": "These replicates do not decide: the interval allows both.",
}


def amount(value: float, factor: float, unit: str) -> str:
    """A number with its unit, in the singular for 1."""
    number = short_number(value * factor)
    return f"{number} {unit.removesuffix('s') if number == '1' and len(unit) > 1 else unit}".strip()


def expectation(claim: Claim, unit: Unit) -> str:
    """What the claim expects of the effect."""
    if claim.threshold is not None:
        return f"{claim.expect.replace('_', ' ')} {amount(claim.threshold, unit.factor, unit.level)}"
    margin = amount(claim.margin, unit.factor, unit.difference)
    if claim.expect == "same":
        return f"within {margin}" + (" of 0" if claim.variant else "")
    return f"{claim.expect} by more than {margin}" if claim.margin else claim.expect


def verdict_sentences(row: Mapping[Any, Any]) -> list[str]:
    """Whether the claim of this row of claims.csv holds."""
    said = [HOLDS[row["verdict"]] if row["low"] != NO_END else "These replicates are too few for an interval."]
    if int(row["replicates"]) < FEWEST:
        said = [f"Fewer than {FEWEST} replicates decide nothing."]
    if str(row["close"]) == "True":
        said.append("The verdict is close: it would change if the effect moved by two standard errors.")
    return said


def single_run_sentence(claim: Claim, row: Mapping[Any, Any]) -> str:
    """How many readers who train once would see what is claimed."""
    runs, missed = "pairs of single runs" if claim.compare else "single runs", row["missed"]
    if missed in (0, row["runs"]):
        return f"{'None' if missed else 'Each'} of the {row['runs']:,} {runs} shows what is claimed."
    return f"Of the {row['runs']:,} {runs}, {missed:,} {'does' if missed == 1 else 'do'} not show what is claimed."


def judged_claim(claim: Claim, row: Mapping[Any, Any], task: str) -> dict[str, Any]:
    """A claim with its verdict, in words.

    row: of claims.csv. With the column `missed`, single runs are spoken of too.
    Returns, beside what the row says:
        value: the effect as a number, to sort by; NaN for a word.
        holds: sentences.
    """
    unit = unit_of(claim.metric, task)
    return {
        "name": row["claim"],
        "claim": claim,
        "verdict": row["verdict"],
        "close": str(row["close"]) == "True",
        "effect": unit.change(row["effect"]) if claim.compare else unit.value(row["effect"]),
        "value": finite(row["effect"]),
        "interval": unit.interval(row["low"], row["high"]),
        "expects": expectation(claim, unit),
        "replicates": row["replicates"],
        "holds": [*verdict_sentences(row), *([single_run_sentence(claim, row)] if "missed" in row else [])],
    }


def look_sentences(results: Results, claim: Claim, row: Mapping[Any, Any], table: pd.DataFrame) -> list[str]:
    """What the verdict is about, after how many replicates it was found, or what would decide.

    table: the replicates.
    """
    said = [ABOUT[row["by"]]] if row["by"] in ABOUT else []
    if row["verdict"] != "inconclusive":
        said.append(f"It was decided at the look after {row['replicates']} replicates.")
        return [*said, *_rows_sentence(results, claim, row)]
    said.append(f"The last look was after {row['replicates']} replicates.")
    price = price_of(results.study, claim, table) or {}
    if (even := price.get(0.5)) and (likely := price.get(0.9)):
        said.append(
            f"If the truth is what was measured, a look after {even:,} replicates in all decides with an even chance,"
            f" and one after {likely:,} with a chance of 90 %."
        )
    elif price:
        said.append(f"If the truth is what was measured, {MOST:,} replicates would not decide with an even chance.")
    return said


def _rows_sentence(results: Results, claim: Claim, row: Mapping[Any, Any]) -> list[str]:
    """Whether a verdict holds on other test rows too, if that is known."""
    if row["on_other_rows"] not in HOLDS:
        return []
    interval = unit_of(claim.metric, results.task).interval(row["rows_low"], row["rows_high"])
    if row["on_other_rows"] == row["verdict"]:
        return [f"It holds for other test rows like these, too: {interval} is the interval for other seeds and other rows."]
    if row["on_other_rows"] != "inconclusive":
        weaker = f"For other test rows like these it is {row['on_other_rows']}"
        return [f"{weaker}: {interval} is the interval for other seeds and other rows."]
    return [f"It holds on these test rows: {interval}, the interval for other seeds and other rows, does not decide."]


ABOUT = {
    "median": "It is about the median of single runs, or of their differences seed by seed, since a network collapsed or"
    " diverged, a level was not reached, or all replicates agree.",
    "share": "It is about a share of runs.",
}


def judged_claims(results: Results, table: pd.DataFrame) -> list[dict[str, Any]]:
    """table: `claims` or `timed` of the results."""
    found = []
    for row in table.to_dict("records"):
        claim = results.study.claims[row["claim"]]
        replicates = results.durations if claim.about_time else results.replicates
        judged = judged_claim(claim, row, results.task)
        found.append({**judged, "holds": [*judged["holds"], *look_sentences(results, claim, row, replicates)]})
    return found
