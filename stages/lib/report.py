"""The report: what the page's template says, worked out from the tables, the settings and the timings."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.lib.figures import Unit, finite, ranked, unit_of
from stages.lib.scores import METRICS
from stages.lib.settings import Claim, Model, Study, Train
from stages.lib.verdicts import FEWEST, FEWEST_RANKED

MARKS = {"supported": "●", "refuted": "✖", "equivalent": "■", "inconclusive": "◇"}
WORDS = {"never": "never reached", "diverged": "diverged"}
MIME = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True)
class Results:
    """What the figures and the page are made of.

    claims, timed: the columns of claims.csv, and `groups`, what is compared; `timed` are the claims about time.
    summary, replicates, curves, confusion: as `evaluate` writes them; a regression has no confusion.
    durations: variant, seed, seconds, seconds_per_epoch.
    timings: the whole of timings.json.
    """

    claims: pd.DataFrame
    timed: pd.DataFrame
    summary: pd.DataFrame
    replicates: pd.DataFrame
    curves: pd.DataFrame
    confusion: pd.DataFrame | None
    durations: pd.DataFrame
    timings: Mapping[str, Any]


def headline(task: str) -> str:
    """The metric that variants are ranked by."""
    return "test_accuracy" if task == "classification" else "test_loss"


def flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every knob of a section with its value, as in params.yaml."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value).strip('"')


def changes(study: Study, variant: str) -> list[tuple[str, str, str]]:
    """What a variant changes against the one that it extends, or against the study's defaults: knob, before, after."""

    def knobs(view: str, model: Model, train: Train) -> dict[str, str]:
        return {"view": view, **dict(flat(model.model_dump())), **dict(flat(train.model_dump()))}

    parent, recipe = study.variants[variant].extends, study.recipes[variant]
    base = study.recipes[parent] if parent else study
    before = knobs(study.view_of(parent) if parent else "", base.model, base.train)
    after = knobs(study.view_of(variant), recipe.model, recipe.train)
    return [(knob, before[knob], after[knob]) for knob in after if after[knob] != before[knob]]


def amount(value: float, factor: float, unit: str) -> str:
    number = f"{value * factor:g}".replace("-", "−")
    return f"{number} {unit.removesuffix('s') if number == '1' and len(unit) > 1 else unit}".strip()


def expectation(claim: Claim, unit: Unit) -> str:
    if claim.threshold is not None:
        return f"{claim.expect.replace('_', ' ')} {amount(claim.threshold, unit.factor, unit.level)}"
    margin = amount(claim.margin, unit.factor, unit.difference)
    if claim.expect == "same":
        return f"within {margin}" + (" of 0" if claim.variant else "")
    return f"{claim.expect} by more than {margin}" if claim.margin else claim.expect


def claim_rows(study: Study, table: pd.DataFrame, task: str) -> list[dict[str, Any]]:
    rows = []
    for row in table.to_dict("records"):
        claim, unit = study.claims[row["claim"]], unit_of(row["metric"], task)
        by_rank = np.isnan(finite(row["low"]))
        effect = unit.change(row["effect"]) if claim.compare else unit.value(row["effect"])
        rows.append(
            {
                "name": row["claim"],
                "claim": claim,
                "verdict": row["verdict"],
                "close": bool(row["close"]),
                "mark": MARKS[row["verdict"]],
                "effect": WORDS.get(row["effect"], effect),
                "interval": "no interval" if by_rank else unit.interval(row["low"], row["high"]),
                "expects": expectation(claim, unit),
                "replicates": row["replicates"],
            }
        )
    return rows


def measured(summary: pd.DataFrame, variant: str, metric: str) -> dict[str, Any]:
    chosen = summary[(summary["variant"] == variant) & (summary["metric"] == metric)]
    return {str(name): value for name, value in chosen.iloc[0].items()}


def variant_rows(study: Study, results: Results, task: str) -> list[dict[str, Any]]:
    """The variants, the best first, each with what it changes, what was measured and what the source reports."""
    metric = headline(task)
    columns = (metric, "train_accuracy", "test_mae", "train_loss", "generalization_gap", "epochs")
    shown = [name for name in columns if name in results.replicates]
    rows = []
    for variant in ranked(results.summary, metric, task)["variant"]:
        numbers = {name: measured(results.summary, variant, name) for name in shown}
        reported = []
        for name, value in study.variants[variant].reported.items():
            unit, ours = unit_of(name, task), measured(results.summary, variant, name)
            group = results.replicates.loc[results.replicates["variant"] == variant, name]
            single = [unit.number(group.min()), unit.number(group.max())] if not np.isnan(finite(ours["mean"])) else None
            reported.append((name, unit.value(value), WORDS.get(ours["mean"], unit.value(ours["mean"])), single))
        rows.append(
            {
                "name": variant,
                "position": list(study.variants).index(variant),
                "variant": study.variants[variant],
                "changes": changes(study, variant),
                "reported": reported,
                "replicates": numbers[metric]["replicates"],
                "interval": unit_of(metric, task).interval(numbers[metric]["low"], numbers[metric]["high"]),
                "means": {name: unit_of(name, task).number(row["mean"]) for name, row in numbers.items()},
            }
        )
    return rows


def metric_meanings(names: set[str]) -> dict[str, str]:
    def general(name: str) -> str:
        return re.sub(r"epoch_\d+$", "epoch_<n>", re.sub(r"_(0\.\d+|1\.0)_", "_<level>_", name))

    return {name: METRICS[general(name)] for name in sorted(names)}


def duration_rows(durations: pd.DataFrame) -> list[dict[str, Any]]:
    groups = durations.groupby("variant", sort=False)
    means = groups[["seconds", "seconds_per_epoch"]].mean().join(groups.size().rename("replicates"))
    return [{str(name): value for name, value in row.items()} for row in means.reset_index().to_dict("records")]


def fingerprint(environment: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:12]


def embedded(name: str, content: bytes) -> str:
    """A data URI: the page needs no other file."""
    return f"data:{MIME[Path(name).suffix]};base64,{base64.b64encode(content).decode()}"


def claims_in_words(table: pd.DataFrame) -> str:
    counts = Counter(table["verdict"])
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in MARKS if counts[verdict])


def page(
    study: Study, folder: Path, facts: Mapping[str, Any], results: Results, pictures: Mapping[str, bytes], same_test: bool
) -> str:
    """The page as HTML.

    folder: the study's, for the commands that the page shows.
    pictures: file name -> content of every figure.
    same_test: whether the validation rows are the test rows.
    """
    task = str(facts["task"])
    judged = pd.concat([table for table in (results.claims, results.timed) if len(table)] or [results.claims])
    verdicts = Counter(judged["verdict"])
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        study=study,
        command=f"python -m stages.train {'' if folder == Path() else f'{folder.as_posix()} '}--show",
        facts=facts,
        task=task,
        metric=headline(task),
        verdicts={verdict: (MARKS[verdict], verdicts[verdict]) for verdict in MARKS},
        claims=claim_rows(study, results.claims, task),
        timed=claim_rows(study, results.timed, task),
        expected_false=round(len(judged) * (1 - study.statistics.confidence), 4),
        claims_in_words=claims_in_words(results.claims),
        variants=variant_rows(study, results, task),
        reporting=any(variant.reported for variant in study.variants.values()),
        meanings=metric_meanings({claim.metric for claim in study.claims.values()} | {headline(task)}),
        pictures={name: embedded(name, content) for name, content in pictures.items()},
        durations=duration_rows(results.durations),
        timings=results.timings,
        fingerprint=fingerprint(results.timings["environment"]),
        same_test=same_test,
        fewest=FEWEST,
        fewest_ranked=FEWEST_RANKED,
    )
