"""The report: what the page's template says, worked out from the tables, the settings and the timings."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.lib.judging.reported import STANDINGS, decimals, distance, standing
from stages.lib.judging.tables import HEADLINES
from stages.lib.judging.units import Unit, finite_column, short_number, significant, unit_of, with_minus
from stages.lib.judging.verdicts import FEWEST, FEWEST_RANKED, difference_interval
from stages.lib.report import evidence
from stages.lib.report.evidence import Evidence, deep_variants
from stages.lib.report.figures.claims import claim_strips
from stages.lib.report.figures.curves import comparison, curve_panels, measures
from stages.lib.report.figures.leaderboard import leaderboard_strips as leaderboard_figures
from stages.lib.report.figures.leaderboard import ranked
from stages.lib.report.figures.output import inline
from stages.lib.report.figures.style import WIDTH
from stages.lib.report.illustrations.comparison import compared, printed_decimals
from stages.lib.report.illustrations.illustrated import Illustrated, file_of
from stages.lib.report.results import Results
from stages.lib.report.words import MARKS, WORDS
from stages.lib.study.metrics import METRICS, finite
from stages.lib.study.places import is_place, target_of
from stages.lib.study.settings import Claim, Model, Study, Train

LIBRARIES = (
    "tensorflow tensorflow-cpu keras jax torch numpy pandas scipy scikit-learn optuna matplotlib dask pydantic dvc"
).split()
"""Whose versions the page names, where they are installed."""
MIME = {".svg": "image/svg+xml", ".png": "image/png"}


def flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every knob of a section with its value, as in params.yaml."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "all" if value is None else json.dumps(value).strip('"')


def knobs(view: str, model: Model, train: Train) -> dict[str, str]:
    return {"view": view, **dict(flat(model.model_dump())), **dict(flat(train.model_dump()))}


def changes(study: Study, variant: str, other: str | None) -> list[tuple[str, str, str]]:
    """What a variant changes against another one, or against the study's defaults: knob, there, here."""
    base, recipe = study.recipes[other] if other else study, study.recipes[variant]
    before = knobs(study.view_of(other) if other else "", base.model, base.train)
    after = knobs(study.view_of(variant), recipe.model, recipe.train)
    return [(knob, before[knob], after[knob]) for knob in after if after[knob] != before[knob]]


def amount(value: float, factor: float, unit: str) -> str:
    number = short_number(value * factor)
    return f"{number} {unit.removesuffix('s') if number == '1' and len(unit) > 1 else unit}".strip()


def expectation(claim: Claim, unit: Unit) -> str:
    if claim.threshold is not None:
        return f"{claim.expect.replace('_', ' ')} {amount(claim.threshold, unit.factor, unit.level)}"
    margin = amount(claim.margin, unit.factor, unit.difference)
    if claim.expect == "same":
        return f"within {margin}" + (" of 0" if claim.variant else "")
    return f"{claim.expect} by more than {margin}" if claim.margin else claim.expect


def verdict_row(claim: Claim, row: Mapping[Any, Any], task: str) -> dict[str, Any]:
    """A claim and its row of claims.csv, in words."""
    unit = unit_of(row["metric"], task)
    effect = unit.change(row["effect"]) if claim.compare else unit.value(row["effect"])
    return {
        "name": row["claim"],
        "claim": claim,
        "verdict": row["verdict"],
        "close": bool(row["close"]),
        "mark": MARKS[row["verdict"]],
        "effect": WORDS.get(row["effect"], effect),
        "value": finite(row["effect"]),
        "interval": "no interval" if np.isnan(finite(row["low"])) else unit.interval(row["low"], row["high"]),
        "expects": expectation(claim, unit),
        "replicates": row["replicates"],
    }


def claim_rows(
    study: Study, folder: Path, table: pd.DataFrame, task: str, known: Mapping[str, Evidence]
) -> list[dict[str, Any]]:
    """The claims with their verdicts, and what there is to know of them: what differs, why, whether it always holds."""
    strips = claim_strips(table, task)
    rows = []
    for row in table.to_dict("records"):
        name, claim = row["claim"], study.claims[row["claim"]]
        judged = claim.variants[-1]
        other = claim.compare[0] if claim.compare else study.variants[judged].extends
        both = [name for name in (other, judged) if name]
        rows.append(
            {
                **verdict_row(claim, row, task),
                "strip": Markup(inline(strips[name], f"{name}-")),  # noqa: S704  # drawn here
                "judged": judged,
                "other": other,
                "differs": changes(study, judged, other),
                "names": both,
                "evidence": evidence.table_of(*(known[each] for each in both)),
                "words": evidence_in_words(known, judged, other),
                "notes": notes_about(study, name),
                "holds": holds(claim, row),
                "commands": claim_commands(study, name, folder),
            }
        )
    return rows


def notes_about(study: Study, name: str) -> list[str]:
    """What the notes say of a claim or a variant."""
    return [note.says for note in study.notes if name in note.about]


def evidence_in_words(known: Mapping[str, Evidence], variant: str, other: str | None) -> list[str]:
    """What stands out of the other variant, then of this one."""
    first = evidence.words(other, known[other]) if other else []
    return first + evidence.words(variant, known[variant], other or "", known[other] if other else None)


HOLDS = {
    "supported": "It holds here: the whole interval is where the claim expects it.",
    "refuted": "It does not hold here: the whole interval falls short of what is claimed.",
    "equivalent": "It does not hold here: whatever difference there is, it is within the margin.",
    "inconclusive": "These replicates do not decide: the interval allows for both.",
}
RANKED = {
    "supported": "It holds here: every replicate of one group is on the expected side of every one of the other.",
    "refuted": "It does not hold here: every replicate of one group is on the wrong side of every one of the other.",
    "inconclusive": "These replicates do not decide: some are not finite, and the groups overlap or are small.",
}


def verdict_in_words(row: Mapping[Any, Any]) -> list[str]:
    """Whether a claim holds, of a row of claims.csv."""
    said = [(RANKED if np.isnan(finite(row["low"])) else HOLDS)[row["verdict"]]]
    if row["replicates"] < FEWEST:
        said = [f"Fewer than {FEWEST} replicates decide nothing."]
    if row["close"]:
        said.append("The verdict is close: it would be another, had the effect moved by two standard errors.")
    return said


def holds(claim: Claim, row: Mapping[Any, Any]) -> list[str]:
    """Whether a claim holds, and for how many single runs it does not: what a reader with one run might see."""
    said = verdict_in_words(row)
    runs, missed = "pairs of single runs" if claim.compare else "single runs", row["missed"]
    if missed in (0, row["runs"]):
        said.append(f"{'None' if missed else 'Each'} of the {row['runs']:,} {runs} shows it.")
    else:
        said.append(f"Of the {row['runs']:,} {runs}, {missed:,} {'does' if missed == 1 else 'do'} not show it.")
    return said


def claim_commands(study: Study, name: str, folder: Path) -> list[tuple[str, str]]:
    """What to type, and what for: to train the replicates of a claim anew, and to judge it by more of them."""
    claim = study.claims[name]
    place = "" if folder == Path() else f"{folder.as_posix()} "
    found = []
    if not claim.about_time:
        found.append(
            (
                "train its replicates again, and compare each with these numbers",
                f"python -m stages.tools.verify {place}--claim {name}",
            )
        )
    target = stage_of(folder, "plot")
    if target is None:
        return [*found, ("judge it again", f"python -m stages.evaluate {place.strip()}")]
    if claim.about_time:
        again = stage_of(folder, "train")
        found.append(
            ("time it again, past the replicate cache", f"XDG_CACHE_HOME=$(mktemp -d) dvc repro --force --single-item {again}")
        )
    seeds = 2 * study.claim_seeds(claim)
    return [
        *found,
        ("judge it, and draw this page", f"dvc repro {target}"),
        (f"judge it by {seeds} replicates, leaving the workspace alone", trial_of(folder, "replicates.seeds", seeds, target)),
    ]


def trial_of(folder: Path, key: str, value: int, target: str) -> str:
    """The command that runs a stage with another value of a key of the study's params.yaml, in a copy of the checkout."""
    params = "" if folder == Path() else f"{(folder / 'params.yaml').as_posix()}:"
    return f"dvc exp run --temp -S {params}{key}={value} {target}"


def stage_of(folder: Path, stage: str) -> str | None:
    """What `dvc repro` calls a stage of the study; None where no dvc.yaml has it."""
    return target_of(folder, stage) if is_place(folder) else None


def measured(summary: pd.DataFrame, variant: str, metric: str) -> dict[str, Any] | None:
    """The summary's row of a metric of a variant; None where it has no such metric."""
    chosen = summary[(summary["variant"] == variant) & (summary["metric"] == metric)]
    return {str(name): value for name, value in chosen.iloc[0].items()} if len(chosen) else None


def leaderboard_strips(study: Study, results: Results, task: str) -> tuple[Markup, dict[str, Markup]]:
    """The axis, and variant -> picture of its mean, interval and replicates, each with a tool tip."""
    metric = HEADLINES[task]
    unit, replicates = unit_of(metric, task), results.replicates
    reported = {name: each.reported[metric] for name, each in study.variants.items() if metric in each.reported}
    head, strips = leaderboard_figures(results.summary, replicates, reported, metric, task)
    found = {}
    for variant, strip in strips.items():
        rows = replicates[replicates["variant"] == variant]
        marks = {
            f"seed {seed}": {"title": f"seed {seed}: {unit.value(value)}"}
            for seed, value in zip(rows["seed"], rows[metric], strict=True)
        }
        if variant in reported:
            marks["reported"] = {"title": f"reported by the source: {unit.value(reported[variant])}"}
        found[variant] = Markup(inline(strip, f"{variant}-", marks))  # noqa: S704  # drawn here
    return Markup(inline(head, "leaderboard-")), found  # noqa: S704  # drawn here


def against_parent(study: Study, results: Results, task: str, variant: str) -> str:
    """The difference of the headline metric to the variant that it extends, with Welch's interval; empty without one."""
    parent, metric = study.variants[variant].extends, HEADLINES[task]
    if not parent:
        return ""
    table = results.replicates
    before, after = (list(finite_column(table.loc[table["variant"] == name, metric])) for name in (parent, variant))
    unit, interval = unit_of(metric, task), difference_interval(before, after, study.statistics.confidence)
    if np.isnan(interval.mean) or min(len(before), len(after)) < 2:
        return ""
    return f"{unit.change(interval.mean)} {unit.interval(interval.low, interval.high)}"


def variant_rows(
    study: Study,
    results: Results,
    task: str,
    known: Mapping[str, Evidence],
    verdicts: Mapping[str, str],
    strips: Mapping[str, Markup],
) -> list[dict[str, Any]]:
    """The variants, the best first, each with what it changes, what was measured, and what is claimed of it.

    verdicts: claim -> verdict; strips: variant -> its row of the leaderboard.
    """
    metric = HEADLINES[task]
    columns = (metric, "train_accuracy", "test_mae", "test_rmse", "train_loss", "generalization_gap", "epochs")
    shown = [name for name in columns if name in results.replicates]
    rows = []
    for variant in ranked(results.summary, metric, task)["variant"]:
        found = {name: measured(results.summary, variant, name) for name in shown}
        first, parent = found[metric] or {}, study.variants[variant].extends
        both = [name for name in (parent, variant) if name]
        own = results.replicates[results.replicates["variant"] == variant]
        rows.append(
            {
                "name": variant,
                "position": list(study.variants).index(variant),
                "variant": study.variants[variant],
                "changes": changes(study, variant, parent),
                "strip": strips[variant],
                "seeds": "; ".join(
                    f"seed {seed}: {unit_of(metric, task).value(value)}"
                    for seed, value in zip(own["seed"], own[metric], strict=True)
                ),
                "names": both,
                "evidence": evidence.table_of(*(known[each] for each in both)),
                "words": evidence_in_words(known, variant, parent),
                "notes": notes_about(study, variant),
                "against": against_parent(study, results, task, variant),
                "claims": [(name, each, verdicts[name]) for name, each in study.claims.items() if variant in each.variants],
                "replicates": first["replicates"],
                "interval": unit_of(metric, task).interval(first["low"], first["high"]),
                "values": {name: finite(row["mean"]) if row else np.nan for name, row in found.items()},
                "means": {name: unit_of(name, task).bare(row["mean"]) if row else "–" for name, row in found.items()},
            }
        )
    return rows


def reported_rows(study: Study, results: Results, task: str) -> list[dict[str, Any]]:
    """Every number that the source prints of a variant, beside what was measured."""
    rows = []
    for variant, settings in study.variants.items():
        for metric, value in settings.reported.items():
            unit, ours = unit_of(metric, task), measured(results.summary, variant, metric) or {}
            mean, low, high = (finite(ours.get(name)) for name in ("mean", "low", "high"))
            places = max(decimals(value) - round(np.log10(unit.factor)), 0)
            own = results.replicates[results.replicates["variant"] == variant]
            single = finite_column(own[metric]) if ours else np.array([])
            off, shown = distance(value, ours)
            rows.append(
                {
                    "variant": variant,
                    "metric": metric,
                    "value": value,
                    "mean": mean,
                    "off": off,
                    "reported": with_minus(f"{value * unit.factor:,.{places}f} {unit.level}").strip(),
                    "measured": WORDS.get(str(ours.get("mean")), unit.value(mean)) if ours else "not measured",
                    "interval": "no interval" if np.isnan(low) else unit.interval(low, high),
                    "single": "" if np.isnan(single).any() or not len(single) else unit.interval(single.min(), single.max()),
                    "standing": standing(value, ours) if ours else "",
                    "distance": shown,
                }
            )
    return rows


def gradient_rows(study: Study, diagnostics: pd.DataFrame, known: Mapping[str, Evidence]) -> list[dict[str, Any]]:
    """For each deep variant the ratio of the first layer's gradient to the output layer's, and shares of idle units."""
    rows = []
    for variant, activation in deep_variants(study, diagnostics).items():
        layers = diagnostics.loc[diagnostics["variant"] == variant, "layer"]
        found = known[variant]
        ratios, shares = (found.before, found.after), (found.zero, found.saturated)
        rows.append(
            {
                "variant": variant,
                "activation": activation,
                "layers": layers.nunique(),
                "before": found.before,
                "values": (*ratios, *shares),
                "ratios": ["–" if np.isnan(ratio) else significant(ratio) for ratio in ratios],
                "shares": ["–" if np.isnan(share) else f"{100 * share:.1f} %" for share in shares],
            }
        )
    return rows


def gradients_in_words(rows: list[dict[str, Any]]) -> str:
    """Where gradients vanish before training, with the ratios."""
    known = [row for row in rows if not np.isnan(row["before"])]
    small = [row for row in known if row["before"] < evidence.SMALL]
    ratios = ", ".join(f"{row['variant']} ({row['ratios'][0]})" for row in small)
    text = f"Before training, the first layer's gradient is less than {100 * evidence.SMALL:g} % of the output layer's in"
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
            digits = printed_decimals(reported)
            texts = [[with_minus(f"{value:,.{digits}f}") for value in chosen[how]] for how in ("reported", "measured")]
            printed.append(
                {"key": key, "numbers": list(zip(*texts, chosen["agrees"], strict=True)), "all": bool(chosen["agrees"].all())}
            )
        rows.append(
            {
                "name": name,
                "file": file_of(name, each),
                "says": study.illustrations[name].says,
                "drawn": each,
                "printed": printed,
            }
        )
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


def curve_pictures(study: Study, curves: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Measure -> the picture in which variants are compared, and the panel of each variant."""
    parents = {name: each.extends for name, each in study.variants.items()}
    found = {}
    for measure in measures(curves):
        marks = {
            f"{kind}{part} {variant}": {"class": f"curve{part}", "data-variant": variant, "data-kind": kind, "title": variant}
            for variant in study.variants
            for kind in (measure, f"val_{measure}")
            for part in ("", "-band")
        }
        panels, drawn = curve_panels(curves, parents, measure), comparison(curves, measure)
        found[measure] = {
            "kinds": [kind for kind in (measure, f"val_{measure}") if f"{kind}_mean" in curves],
            "comparison": Markup(inline(drawn, f"{measure}-", marks)),  # noqa: S704  # drawn here
            "axis": [72 * WIDTH * edge for edge in drawn.axes[0].get_position().intervalx] + list(drawn.axes[0].get_xlim()),
            "panels": {
                name: Markup(inline(panel, f"{measure}-{name}-"))  # noqa: S704  # drawn here
                for name, panel in panels.items()
            },
            "ends": {
                name: unit_of(measure, "classification" if measure == "accuracy" else "regression").value(
                    finite(group[f"{measure}_mean"].iloc[-1])
                )
                for name, group in curves.groupby("variant", sort=False)
            },
        }
    return found


def curve_values(curves: pd.DataFrame) -> dict[str, Any]:
    """What the page's script tells of a curve: measure -> variant -> epochs and, of each kind, three lists: mean, low, high."""
    found: dict[str, Any] = {}
    for measure in measures(curves):
        kinds = [kind for kind in (measure, f"val_{measure}") if f"{kind}_mean" in curves]
        found[measure] = {
            variant: {
                "epochs": len(group),
                **{
                    kind: [
                        [None if np.isnan(value) else float(f"{value:.5g}") for value in finite_column(group[f"{kind}_{how}"])]
                        for how in ("mean", "min", "max")
                    ]
                    for kind in kinds
                    if not np.isnan(finite_column(group[f"{kind}_min"])).all()
                },
            }
            for variant, group in curves.groupby("variant", sort=False)
        }
    return found


def rendered(template: str, **content: Any) -> str:
    """A page made of a template of this folder, with the style sheet and the script that all pages share.

    The policy in the page lets a browser run that script and load nothing from anywhere.
    """
    folder = Path(__file__).parent / "templates"
    script = (folder / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),  # noqa: S704  # our own
        script=Markup(script),  # noqa: S704  # our own
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        **content,
    )


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
    verdicts = Counter([*judged["verdict"], *(row["verdict"] for row in (search or {}).get("claims", ()))])
    reported = reported_rows(study, results, task)
    rows = {split: each["shape"][0] for split, each in facts["splits"].items()}
    known = {name: evidence.evidence_of(study, name, results.replicates, results.diagnostics, rows) for name in study.variants}
    gradients = gradient_rows(study, results.diagnostics, known)
    axis, strips = leaderboard_strips(study, results, task)
    return rendered(
        "report.html.j2",
        study=study,
        command=f"python -m stages.train {'' if folder == Path() else f'{folder.as_posix()} '}--show",
        facts=facts,
        task=task,
        metric=HEADLINES[task],
        verdicts={verdict: (MARKS[verdict], verdicts[verdict]) for verdict in MARKS},
        claims=claim_rows(study, folder, results.claims, task, known),
        timed=claim_rows(study, folder, results.timed, task, known),
        judged=verdicts.total(),
        expected_false=round(verdicts.total() * (1 - study.statistics.confidence), 4),
        claims_in_words=claims_in_words(results.claims),
        variants=variant_rows(study, results, task, known, dict(zip(judged["claim"], judged["verdict"], strict=True)), strips),
        axis=axis,
        curves=curve_pictures(study, results.curves),
        longest=int(results.curves["epoch"].max()),
        values=curve_values(results.curves),
        reported=reported,
        standings={name: sum(row["standing"] == name for row in reported) for name in STANDINGS},
        marks=MARKS,
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
            | {HEADLINES[task]}
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
