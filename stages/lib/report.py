"""The report: what the page's template says, worked out from the tables, the settings and the timings."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.lib.figures import Unit, finite, numbers, ranked, unit_of
from stages.lib.illustrations import Illustrated, compared, decimals, number
from stages.lib.scores import METRICS
from stages.lib.settings import Claim, Model, Study, Train
from stages.lib.verdicts import FEWEST, FEWEST_RANKED

MARKS = {"supported": "●", "refuted": "✖", "equivalent": "■", "inconclusive": "◇"}
WORDS = {"never": "never reached", "diverged": "diverged"}
LIBRARIES = (
    "tensorflow tensorflow-cpu keras jax torch numpy pandas scipy scikit-learn optuna matplotlib dask pydantic dvc"
).split()
"""Whose versions the page names, where they are installed."""
DEEP = 3
"""Hidden layers from which on a variant's gradients are drawn."""
SMALL = 0.01
"""Share of the output layer's gradient below which the first layer's is called out."""
MIME = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True)
class Results:
    """What the figures and the page are made of.

    claims, timed: the columns of claims.csv, and `groups`, what is compared; `timed` are the claims about time.
    summary, replicates, curves, confusion, residuals, diagnostics: as `evaluate` writes them; a regression has residuals and no
    confusion, and a study that measures no gradients has no rows of diagnostics.
    durations: variant, seed, seconds, seconds_per_epoch.
    timings: the whole of timings.json.
    """

    claims: pd.DataFrame
    timed: pd.DataFrame
    summary: pd.DataFrame
    replicates: pd.DataFrame
    curves: pd.DataFrame
    confusion: pd.DataFrame | None
    residuals: pd.DataFrame | None
    diagnostics: pd.DataFrame
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
            yield f"{prefix}{key}", "all" if value is None else json.dumps(value).strip('"')


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


def measured(summary: pd.DataFrame, variant: str, metric: str) -> dict[str, Any] | None:
    """The summary's row of a metric of a variant; None where it has no such metric."""
    chosen = summary[(summary["variant"] == variant) & (summary["metric"] == metric)]
    return {str(name): value for name, value in chosen.iloc[0].items()} if len(chosen) else None


def variant_rows(study: Study, results: Results, task: str) -> list[dict[str, Any]]:
    """The variants, the best first, each with what it changes and what was measured."""
    metric = headline(task)
    columns = (metric, "train_accuracy", "test_mae", "test_rmse", "train_loss", "generalization_gap", "epochs")
    shown = [name for name in columns if name in results.replicates]
    rows = []
    for variant in ranked(results.summary, metric, task)["variant"]:
        found = {name: measured(results.summary, variant, name) for name in shown}
        first = found[metric] or {}
        rows.append(
            {
                "name": variant,
                "position": list(study.variants).index(variant),
                "variant": study.variants[variant],
                "changes": changes(study, variant),
                "replicates": first["replicates"],
                "interval": unit_of(metric, task).interval(first["low"], first["high"]),
                "means": {name: unit_of(name, task).number(row["mean"]) if row else "–" for name, row in found.items()},
            }
        )
    return rows


def reported_rows(study: Study, results: Results, task: str) -> list[dict[str, Any]]:
    """Every number that the source prints of a variant, beside what was measured.

    `inside` is yes where a number that is rounded to the printed one lies in the interval of the mean, and none where there is
    no interval; `distance` is from the mean, in standard deviations of single runs.
    """
    rows = []
    for variant, settings in study.variants.items():
        for metric, value in settings.reported.items():
            unit, ours = unit_of(metric, task), measured(results.summary, variant, metric) or {}
            mean, deviation, low, high = (finite(ours.get(name)) for name in ("mean", "sd", "low", "high"))
            half = 0.5 * 10.0 ** -decimals(value)
            places = max(decimals(value) - round(np.log10(unit.factor)), 0)
            inside = "none" if np.isnan(low) else "yes" if low - half <= value <= high + half else "no"
            single = numbers(results.replicates.loc[results.replicates["variant"] == variant, metric]) if ours else np.array([])
            rows.append(
                {
                    "variant": variant,
                    "metric": metric,
                    "reported": f"{value * unit.factor:,.{places}f} {unit.level}".replace("-", "−").strip(),
                    "measured": WORDS.get(str(ours.get("mean")), unit.value(mean)) if ours else "not measured",
                    "interval": "no interval" if np.isnan(low) else unit.interval(low, high),
                    "single": "" if np.isnan(single).any() or not len(single) else unit.interval(single.min(), single.max()),
                    "inside": inside,
                    "distance": f"{(value - mean) / deviation:+.1f}".replace("-", "−") if deviation > 0 else "",
                    "constant": deviation == 0,
                }
            )
    return rows


def deep_variants(study: Study, diagnostics: pd.DataFrame) -> dict[str, str]:
    """Variant -> activation, of those with at least DEEP hidden layers whose gradients were measured."""
    known = set(diagnostics["variant"])
    return {
        name: recipe.model.activation
        for name, recipe in study.recipes.items()
        if name in known and len(recipe.model.conv) + len(recipe.model.hidden) >= DEEP
    }


def gradient_rows(study: Study, diagnostics: pd.DataFrame) -> list[dict[str, Any]]:
    """For each deep variant the ratio of the first layer's gradient to the output layer's, and shares of idle units."""
    rows = []
    for variant, activation in deep_variants(study, diagnostics).items():
        table = diagnostics[diagnostics["variant"] == variant]
        ratios = []
        for epoch in (table["epoch"].min(), table["epoch"].max()):
            layers = table[table["epoch"] == epoch]
            outputs = layers[layers["layer"] == "outputs"] if "outputs" in set(layers["layer"]) else layers.iloc[-1:]
            first, last = numbers(layers["gradient_norm"])[0], numbers(outputs["gradient_norm"])[0]
            ratios.append(first / last if last > 0 else np.nan)
        end = table[table["epoch"] == table["epoch"].max()]
        shares = [numbers(end[name]) for name in ("zero_share", "saturated_share")]
        rows.append(
            {
                "variant": variant,
                "activation": activation,
                "layers": int((table["epoch"] == table["epoch"].min()).sum()),
                "before": ratios[0],
                "ratios": ["–" if np.isnan(ratio) else number(ratio) for ratio in ratios],
                "shares": ["–" if np.isnan(each).all() else f"{100 * np.nanmax(each):.1f} %" for each in shares],
            }
        )
    return rows


def gradients_in_words(rows: list[dict[str, Any]]) -> str:
    """Where gradients vanish before training, with the ratios."""
    known = [row for row in rows if not np.isnan(row["before"])]
    small = [row for row in known if row["before"] < SMALL]
    ratios = ", ".join(f"{row['variant']} ({row['ratios'][0]})" for row in small)
    text = f"Before training, the first layer's gradient is less than {100 * SMALL:g} % of the output layer's in"
    text += f" {len(small) or 'none'} of {len(known)} variant{'s' if len(known) != 1 else ''}" + (
        f": {ratios}." if small else "."
    )
    if known and not small:
        least = min(known, key=lambda row: float(row["before"]))
        text += f" The smallest ratio is {least['ratios'][0]}, of {least['variant']}."
    return text


def illustration_rows(study: Study, illustrated: Mapping[str, Illustrated]) -> list[dict[str, Any]]:
    """The illustrations with what the source says, its numbers beside ours at the same decimals, and which agree."""
    table = compared(study, illustrated)
    rows = []
    for name, each in illustrated.items():
        printed = []
        for key, reported in study.illustrations[name].reported.items():
            chosen = table[(table["name"] == name) & (table["key"] == key)]
            digits = max(map(decimals, reported), default=0)
            texts = [[f"{value:,.{digits}f}".replace("-", "−") for value in chosen[how]] for how in ("reported", "measured")]
            printed.append(
                {"key": key, "numbers": list(zip(*texts, chosen["agrees"], strict=True)), "all": bool(chosen["agrees"].all())}
            )
        rows.append({"name": name, "says": study.illustrations[name].says, "drawn": each, "printed": printed})
    return rows


def unlike(study: Study) -> list[tuple[str, str]]:
    """Variants whose loss is not the others', with what is different: a regression ranks by the loss."""
    found = []
    for name, recipe in study.recipes.items():
        if recipe.train.loss != study.train.loss:
            found.append((name, f"its loss is {recipe.train.loss}"))
        if recipe.model.wide_deep.auxiliary_output:
            found.append((name, "its loss is the sum of those of two outputs"))
        if recipe.model.l2:
            found.append((name, "its loss has a penalty on the weights added"))
    return found


def versions() -> dict[str, str]:
    """Library -> version, of those that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


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
    study: Study,
    folder: Path,
    facts: Mapping[str, Any],
    results: Results,
    pictures: Mapping[str, bytes],
    same_test: bool,
    illustrated: Mapping[str, Illustrated],
    search: Mapping[str, Any] | None = None,
) -> str:
    """The page as HTML.

    folder: the study's, for the commands that the page shows.
    pictures: file name -> content of every figure.
    same_test: whether the validation rows are the test rows.
    illustrated: name -> every illustration of the study, whose figures are among the pictures.
    search: what its own section says, of a study that has one.
    """
    task = str(facts["task"])
    judged = pd.concat([table for table in (results.claims, results.timed) if len(table)] or [results.claims])
    verdicts = Counter(judged["verdict"])
    reported = reported_rows(study, results, task)
    gradients = gradient_rows(study, results.diagnostics)
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
        reported=reported,
        reduced={name: limit for name, limit in study.limits.model_dump().items() if limit is not None},
        validated=[name for name in study.variants if study.has_validation(name)],
        unlike=unlike(study) if task == "regression" else [],
        gradients=gradients,
        gradients_in_words=gradients_in_words(gradients),
        illustrations=illustration_rows(study, illustrated),
        versions=versions(),
        meanings=metric_meanings(
            {claim.metric for claim in study.claims.values()}
            | {row["metric"] for row in reported}
            | ({study.search.metric, study.search.judged_by} if study.search else set())
            | {headline(task)}
        ),
        pictures={name: embedded(name, content) for name, content in pictures.items()},
        durations=duration_rows(results.durations),
        timings=results.timings,
        fingerprint=fingerprint(results.timings["environment"]),
        same_test=same_test,
        search=search,
        fewest=FEWEST,
        fewest_ranked=FEWEST_RANKED,
    )
