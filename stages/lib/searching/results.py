"""The tables of a search: every trial, the winners, the verdicts, and which settings matter."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pandas as pd
from optuna.importance import get_param_importances
from scipy.stats import rankdata

from stages.lib.cli import UserError
from stages.lib.judging import claims, verdicts
from stages.lib.judging.replicates import COLLAPSED
from stages.lib.searching.rounds import Found
from stages.lib.searching.strategies import distributions
from stages.lib.searching.trials import Trial, badness, refit_recipe, trial_recipe
from stages.lib.study import space
from stages.lib.study.metrics import finite, rank_value, round_or_word
from stages.lib.study.search import Search
from stages.lib.study.settings import Study

FEWEST_FOR_IMPORTANCE = 20
"""With fewer trials, the best tenth, by which Optuna judges importance, is a trial or two."""

Scores = Mapping[str, Mapping[str, Sequence[float]]]
"""Strategy -> metric, or COLLAPSED -> the value of each seed's winner."""


def trials_table(search: Search, trials: Iterable[Trial]) -> pd.DataFrame:
    """One row for each trial: its settings by key, its score, the score of each fold, and the mean number of epochs."""
    rows = []
    for trial in trials:
        settings = {each.key: setting_text(trial.settings[name]) for name, each in search.space.items()}
        scores = {fold: round_or_word(search.metric, score) for fold, score in trial.scores.items()}
        rows.append(
            {
                "strategy": trial.strategy,
                "seed": trial.seed,
                "trial": trial.number,
                "state": "pruned" if trial.pruned else "complete",
                **settings,
                search.metric: round_or_word(search.metric, trial.score),
                **{f"fold_{fold}": scores.get(fold, "") for fold in range(search.folds)},
                "epochs": round(fmean(trial.epochs.values()), 1),
            }
        )
    return pd.DataFrame(rows)


def setting_text(value: Any) -> str:
    """A setting as trials.csv has it."""
    return json.dumps(value).strip('"')


def read_trials(study: Study, search: Search, path: Path) -> list[Trial]:
    """The trials of trials.csv that have a score on every fold; none if there is no file.

    Raises UserError for the trials of a search with other ranges or folds.
    """
    if not path.is_file():
        return []
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    folds = [f"fold_{fold}" for fold in range(search.folds)]
    needed = {"strategy", "seed", "trial", "state", *(each.key for each in search.space.values()), *folds}
    if not needed <= set(table):
        raise UserError(f"{path}: has no {', '.join(sorted(needed - set(table)))}; `dvc repro` first")
    trials = []
    for row in table.to_dict("records"):
        if row["state"] == "complete" and not any(math.isnan(finite(row[fold])) for fold in folds):
            settings = _settings_of(search, row)
            scores = {number: float(row[fold]) for number, fold in enumerate(folds)}
            recipe = trial_recipe(study, search, row["strategy"], settings)
            trials.append(Trial(row["strategy"], int(row["seed"]), int(row["trial"]), settings, recipe, scores))
    return trials


def _settings_of(search: Search, row: Mapping[Hashable, str]) -> dict[str, Any]:
    """The settings in a row of trials.csv, by the names of the ranges; empty for the default."""
    if row["strategy"] == space.DEFAULT:
        return {}
    found = {}
    for name, each in search.space.items():
        choices = {setting_text(value): value for value in each.choices or ()}
        found[name] = choices[row[each.key]] if choices else json.loads(row[each.key])
    return found


def winners_table(search: Search, found: Found, confidence: float) -> pd.DataFrame:
    """One row for each strategy and seed: its best trial, the interval of its score over the folds, and its refits."""
    rows = []
    for trial, refits, collapsed in zip(found.winners, found.tested, found.collapsed, strict=True):
        interval = verdicts.mean_interval([trial.scores[fold] for fold in sorted(trial.scores)], confidence)
        ends = (interval.low, interval.high)
        low, high = (round_or_word(search.metric, end) if search.folds > 1 else "" for end in ends)
        rows.append(
            {
                "strategy": trial.strategy,
                "seed": trial.seed,
                "trial": trial.number,
                search.metric: round_or_word(search.metric, trial.score),
                "low": low,
                "high": high,
                "epochs": refit_recipe(trial).train.epochs,
                search.judged_by: round_or_word(search.judged_by, fmean(refits)),
                **{f"refit_{number}": round_or_word(search.judged_by, value) for number, value in enumerate(refits)},
                COLLAPSED: int(collapsed),
            }
        )
    return pd.DataFrame(rows)


def scores_of(search: Search, found: Found) -> Scores:
    """What claims about strategies are judged by: each winner's score, the mean of its refits, and whether one collapsed."""
    scores: dict[str, dict[str, list[float]]] = {}
    for trial, refits, collapsed in zip(found.winners, found.tested, found.collapsed, strict=True):
        values = scores.setdefault(trial.strategy, {search.metric: [], search.judged_by: [], COLLAPSED: []})
        values[search.metric].append(trial.score)
        values[search.judged_by].append(fmean(refits))
        values[COLLAPSED].append(float(collapsed))
    return scores


def judge_strategies(search: Search, scores: Scores, confidence: float) -> pd.DataFrame:
    """One row for each claim, as in evaluate's claims.csv; the replicates of a strategy are its seeds."""
    groups = {
        name: [[rank_value(claim.metric, value) for value in scores[each][claim.metric]] for each in claim.variants]
        for name, claim in search.claims.items()
    }
    collapsed = {
        name: [[mark == 1 for mark in scores[each].get(COLLAPSED, ())] for each in claim.variants]
        if claim.metric == search.judged_by  # which is of the refits
        else []
        for name, claim in search.claims.items()
    }
    return claims.judge_once(search.claims, groups, collapsed, confidence)


def importance(search: Search, trials: Iterable[Trial]) -> dict[str, float]:
    """How much each range decides whether a trial is among the best tenth, as shares of 1, by Optuna's PED-ANOVA.

    It takes the trials of all strategies, equal ones once, and their ranks, so that a diverged trial is no more than the last.
    Empty for few trials.
    """
    distinct = {
        (search.variant_of(trial.strategy), trial.seed, json.dumps(trial.settings)): trial
        for trial in trials
        if not trial.pruned
    }
    tried = [trial for trial in distinct.values() if trial.strategy != space.DEFAULT]
    if len(tried) < FEWEST_FOR_IMPORTANCE:
        return {}
    known = distributions(search, "")
    study = optuna.create_study(direction="minimize")
    for trial, rank in zip(tried, rankdata([badness(search.metric, trial.score) for trial in tried]), strict=True):
        params = {
            name: each.choices.index(trial.settings[name]) if each.choices else trial.settings[name]
            for name, each in search.space.items()
        }
        study.add_trial(optuna.create_trial(params=params, distributions=known, value=float(rank)))
    shares = get_param_importances(study)
    return {name: round(shares[name], 4) for name in search.space}


def search_json(
    search: Search, winners: Sequence[Trial], table: pd.DataFrame, judged: pd.DataFrame, confidence: float
) -> dict[str, Any]:
    """What `dvc metrics diff` compares: the best winner, each strategy's scores over its seeds, and every verdict.

    table: that of the winners. The best one is the first of equal ones; nobody searched for the default, so it cannot win.
    """
    searched = [index for index, winner in enumerate(winners) if winner.strategy != space.DEFAULT]
    best = min(searched, key=lambda index: badness(search.metric, finite(table.at[index, search.metric])))
    winner, row = winners[best], table.loc[best]
    measured = [search.metric, search.judged_by]
    return {
        "winner": {
            "strategy": winner.strategy,
            "seed": winner.seed,
            "trial": winner.number,
            "settings": winner.settings,
            **{name: row[name] for name in (*measured, "low", "high") if row[name] != ""},
        },
        "strategies": {
            str(name): {metric: _over_seeds(metric, rows[metric], confidence) for metric in measured}
            for name, rows in table.groupby("strategy", sort=False)
        },
        "claims": {each.claim: {"verdict": each.verdict, "effect": each.effect} for each in judged.itertuples()},
    }


def _over_seeds(metric: str, column: pd.Series, confidence: float) -> dict[str, float | str]:
    """The mean of a strategy's winners; with several seeds, also its interval."""
    interval = verdicts.mean_interval([finite(cell) for cell in column], confidence)
    names = ("mean", "low", "high") if len(column) > 1 else ("mean",)
    return {name: round_or_word(metric, getattr(interval, name)) for name in names}
