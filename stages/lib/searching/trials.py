"""Strategies that choose what to try next, by Optuna: asked for a batch of trials, told how these did, and asked again.

A strategy knows nothing but its seed and what it was told, in the order of its trials. So neither the number of workers nor who
finishes first matters, and a search that was interrupted is rebuilt by asking and telling again. All of it stays in memory.
"""

from __future__ import annotations

import io
import json
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.importance import get_param_importances
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from ruamel.yaml import YAML
from scipy.stats import rankdata

from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.judging import scores, verdicts
from stages.lib.study import space
from stages.lib.study.metrics import higher_is_better, needs_validation, rank_value, round_or_word
from stages.lib.study.settings import EarlyStopping, KFold, Range, Recipe, Search, Study
from stages.lib.study.strict_yaml import NAME
from stages.lib.training import views
from stages.lib.training.result import Result

SIGNIFICANT = 4
"""Digits of a number that is tried: what a table prints is what was trained."""
FEWEST_FOR_IMPORTANCE = 20
"""Trials below which the best tenth, by which Optuna tells what mattered, is a trial or two."""
TRIAL_COLUMNS = ["strategy", "seed", "trial", "state"]


@dataclass
class Trial:
    """Settings that a strategy tries with one seed.

    scores: fold -> the value of the metric, which may not be finite.
    epochs: fold -> the epochs after which training left the weights that were scored.
    """

    strategy: str
    seed: int
    number: int
    settings: dict[str, Any]
    recipe: Recipe
    scores: dict[int, float] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    pruned: bool = False

    def __str__(self) -> str:
        return f"{self.strategy} {self.seed}, trial {self.number}"

    @property
    def score(self) -> float:
        """The mean over the folds that were trained."""
        return fmean(self.scores.values())


# What a strategy may choose from


def distributions(search: Search, method: str) -> dict[str, BaseDistribution]:
    """Each range as Optuna knows it: a grid and choices by their position."""
    found: dict[str, BaseDistribution] = {}
    for name, each in search.space.items():
        if method == "grid":
            found[name] = IntDistribution(0, len(space.points(each)) - 1)
        elif each.choices:
            found[name] = CategoricalDistribution(tuple(range(len(each.choices))))
        elif each.integers:
            found[name] = IntDistribution(*each.integers)
        else:
            found[name] = FloatDistribution(*each.bounds, log=each.log_uniform is not None)
    return found


def decoded(each: Range, drawn: Any, method: str) -> Any:
    """The value that Optuna's stands for: a number with SIGNIFICANT digits, still within its range."""
    if method == "grid":
        return space.points(each)[drawn]
    if each.choices:
        return each.choices[drawn]
    if each.integers:
        return int(drawn)
    low, high = each.bounds
    return min(max(float(f"{drawn:.{SIGNIFICANT}g}"), low), high)


class _Grid(GridSampler):
    """Without the end of the search after the last point, which Optuna calls for where it runs the search itself."""

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        pass


class _Sobol(QMCSampler):
    """That knows the space from the first trial on, where Optuna draws trials at random until one of them is done."""

    def __init__(self, known: dict[str, BaseDistribution], seed: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # its interface may change: requirements.lock has the version
            super().__init__(scramble=True, seed=seed)
        self.known = known

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        return self.known


SAMPLERS: dict[str, Callable[[dict[str, BaseDistribution], int, int], BaseSampler]] = {
    "grid": lambda known, seed, _: _Grid({name: list(range(each.high + 1)) for name, each in known.items()}, seed=seed),  # type: ignore[attr-defined]
    "random": lambda _, seed, __: RandomSampler(seed=seed),
    "quasi_random": lambda known, seed, _: _Sobol(known, seed),
    "genetic": lambda _, seed, batch: NSGAIISampler(population_size=batch, seed=seed),
    "cmaes": lambda _, seed, batch: CmaEsSampler(popsize=batch, seed=seed),
    "tpe": lambda _, seed, batch: TPESampler(n_startup_trials=batch, seed=seed),
}
"""Method -> the sampler for a space, a seed and the size of a batch. What learns draws its first batch at random."""

PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "none": NopPruner,
    "median": MedianPruner,
    "successive_halving": lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
}


class Searcher:
    """One strategy, searching with one seed."""

    def __init__(self, study: Study, search: Search, strategy: str, seed: int) -> None:
        self.study, self.search, self.strategy, self.seed = study, search, strategy, seed
        self.method = search.strategies[strategy].method
        self.known = distributions(search, self.method)
        self.trials: list[Trial] = []
        self._asked: list[optuna.Trial] = []
        self._optuna = optuna.create_study(
            direction=search.direction,
            sampler=SAMPLERS[self.method](self.known, seed, search.batch),
            pruner=PRUNERS[search.pruning](),
        )

    def ask(self) -> list[Trial]:
        """The next batch; empty at the end."""
        count = min(self.search.batch, self.search.trials_of(self.strategy) - len(self.trials))
        self._asked = [self._optuna.ask(self.known) for _ in range(count)]
        batch = []
        for asked in self._asked:
            drawn = asked.params
            settings = {name: decoded(each, drawn[name], self.method) for name, each in self.search.space.items()}
            try:
                recipe = recipe_of_trial(self.study, self.search, settings)
            except ValueError as error:  # three settings that do not go together: pairs were checked before
                raise UserError(f"params.yaml: search.space: {json.dumps(settings)}: {error}") from None
            batch.append(Trial(self.strategy, self.seed, asked.number, settings, recipe))
        self.trials += batch
        return batch

    def prune(self, batch: Sequence[Trial]) -> None:
        """Mark those trials of the batch that Optuna's pruner gives up after the folds that they have."""
        going = [(asked, trial) for asked, trial in zip(self._asked, batch, strict=True) if not trial.pruned]
        for asked, trial in going:
            asked.report(rank_value(self.search.metric, trial.score), len(trial.scores))
        for asked, trial in going:
            trial.pruned = asked.should_prune()

    def tell(self, batch: Sequence[Trial]) -> None:
        """What did not end in a number is told as worse than every number."""
        for asked, trial in zip(self._asked, batch, strict=True):
            if trial.pruned:
                self._optuna.tell(asked, state=TrialState.PRUNED)
            else:
                self._optuna.tell(asked, rank_value(self.search.metric, trial.score))


# Trials and refits as replicates


def recipe_of_trial(study: Study, search: Search, settings: Mapping[str, Any]) -> Recipe:
    """The recipe that the settings make, on folds, and without what leaves files that nobody reads.

    `repeats` decides nothing of a replicate, so a search with more seeds finds the replicates of one with fewer in the cache.
    """
    recipe = space.recipe_of(study, search, settings)
    train = recipe.train.model_copy(update={"best_checkpoint": False, "tensorboard": False})
    k_fold = KFold(folds=search.folds, repeats=1, seed=0) if search.folds > 1 else None
    return recipe.model_copy(update={"train": train, "k_fold": k_fold, "diagnostics": False})


def default_trial(study: Study, search: Search, seed: int) -> Trial:
    """The variant as it is, on the same folds."""
    settings = space.values_of(search, study.recipes[search.variant])
    return Trial(space.DEFAULT, seed, 0, settings, recipe_of_trial(study, search, {}))


def replicate_seed(search: Search, seed: int, fold: int) -> int:
    """The seed of a trial's replicate, which also says which fold of which shuffle it is validated on."""
    return seed * search.folds + fold


def refit_recipe(trial: Trial) -> Recipe:
    """The trial's recipe on all rows but those of the test: where validation rows ended training, with its mean epochs."""
    train = trial.recipe.train
    changed: dict[str, Any] = {"validation_rows": 0}
    if needs_validation(train.early_stopping.monitor):
        changed["early_stopping"] = train.early_stopping.model_copy(update={"monitor": "none"})
        changed["epochs"] = max(1, round(fmean(trial.epochs.values())))
    return trial.recipe.model_copy(update={"train": train.model_copy(update=changed), "k_fold": None})


def all_rows(study: Study, prepared: Prepared) -> Prepared:
    """The same data with the validation rows among the training rows, on which every view is fitted anew."""
    known = [prepared.splits[name] for name in ("train", "validation") if name in prepared.splits]
    x, y = (np.concatenate(arrays) for arrays in zip(*known, strict=True))
    splits = {"train": (x, y), "test": prepared.splits["test"]}
    rows = {name: inputs for name, (inputs, _) in splits.items()}
    return Prepared(splits, {name: views.fit(view, rows) for name, view in study.views.items()}, prepared.facts)


def metrics_of(result: Result, labels: np.ndarray, task: str) -> dict[str, float]:
    """A replicate's metrics; `labels` are those of the test rows."""
    history = pd.read_csv(io.BytesIO(result.files["history.csv"]))
    texts = json.loads(result.files["scores.json"])
    numbers = {split: {name: float(text) for name, text in values.items()} for split, values in texts.items()}
    with np.load(io.BytesIO(result.files["predictions.npz"]), allow_pickle=False) as archive:
        predictions = {name: archive[name] for name in archive.files}
    return scores.replicate_metrics(history, numbers, predictions, {"test": labels}, task)


def epochs_kept(result: Result, stopping: EarlyStopping) -> int:
    """The epochs after which training left its weights: the best of the monitor, where early stopping goes back to it.

    Best is what Keras's EarlyStopping takes for it: an epoch that is better than the best before it by more than `min_delta`.
    """
    history = pd.read_csv(io.BytesIO(result.files["history.csv"]))
    if stopping.monitor == "none" or not stopping.restore_best:
        return len(history)
    monitored = history[stopping.monitor] * (-1 if stopping.monitor.endswith("accuracy") else 1)
    kept, best = 1, monitored[0]
    for epoch, value in enumerate(monitored, 1):
        if value + stopping.min_delta < best:  # never of NaN
            kept, best = epoch, value
    return kept


# What was found


def ranked(metric: str, value: float) -> float:
    """A number that is the smaller the better the value is."""
    value = rank_value(metric, value)
    return -value if higher_is_better(metric) else value


def best(trials: Iterable[Trial], metric: str) -> Trial:
    """The best of the trials that went on to the end; of equals, the first."""
    return min((trial for trial in trials if not trial.pruned), key=lambda trial: (ranked(metric, trial.score), trial.number))


def trials_table(search: Search, trials: Iterable[Trial]) -> pd.DataFrame:
    """One row for each trial: what it tried, by key, its score, the score of each fold, and the mean number of epochs."""
    rows = []
    for trial in trials:
        folds = {f"fold_{fold}": shown(search.metric, trial.scores.get(fold)) for fold in range(search.folds)}
        rows.append(
            {
                **dict(zip(TRIAL_COLUMNS, (trial.strategy, trial.seed, trial.number), strict=False)),
                "state": "pruned" if trial.pruned else "complete",
                **{each.key: written(trial.settings[name]) for name, each in search.space.items()},
                search.metric: shown(search.metric, trial.score),
                **folds,
                "epochs": round(fmean(trial.epochs.values()), 1),
            }
        )
    return pd.DataFrame(rows)


def written(value: Any) -> str:
    """A value that is tried, as trials.csv has it."""
    return json.dumps(value).strip('"')


def shown(metric: str, value: float | None) -> float | str:
    return "" if value is None else round_or_word(metric, value)


def winners_table(
    search: Search, winners: Sequence[Trial], tested: Sequence[Sequence[float]], confidence: float
) -> pd.DataFrame:
    """One row for each strategy and seed: its best trial, with the interval over several folds, and what its refits come to.

    tested: of each winner, the value of each refit on the test rows.
    """
    rows = []
    for trial, refits in zip(winners, tested, strict=True):
        interval = verdicts.mean_interval([trial.scores[fold] for fold in sorted(trial.scores)], confidence)
        ends = {name: getattr(interval, name) if search.folds > 1 else None for name in ("low", "high")}
        rows.append(
            {
                "strategy": trial.strategy,
                "seed": trial.seed,
                "trial": trial.number,
                search.metric: shown(search.metric, trial.score),
                **{name: shown(search.metric, value) for name, value in ends.items()},
                "epochs": refit_recipe(trial).train.epochs,
                search.judged_by: shown(search.judged_by, fmean(refits)),
                **{f"refit_{number}": shown(search.judged_by, value) for number, value in enumerate(refits)},
            }
        )
    return pd.DataFrame(rows)


def by_strategy(
    search: Search, winners: Sequence[Trial], tested: Sequence[Sequence[float]]
) -> dict[str, dict[str, list[float]]]:
    """Strategy -> metric -> the value of each seed's winner: its score, and the mean of its refits."""
    found: dict[str, dict[str, list[float]]] = {}
    for trial, refits in zip(winners, tested, strict=True):
        values = found.setdefault(trial.strategy, {search.metric: [], search.judged_by: []})
        values[search.metric].append(trial.score)
        values[search.judged_by].append(fmean(refits))
    return found


def claims_table(search: Search, found: Mapping[str, Mapping[str, Sequence[float]]], confidence: float) -> pd.DataFrame:
    """One row for each claim, with the columns of evaluate's claims.csv; a strategy's replicates are its seeds.

    found: strategy -> metric -> the value of each seed's winner.
    """
    rows = []
    for name, claim in search.claims.items():
        groups = [[rank_value(claim.metric, value) for value in found[each][claim.metric]] for each in claim.variants]
        judged = verdicts.judge(groups, claim.expect, claim.margin, claim.threshold, confidence)
        effects = {"effect": judged.effect, "low": judged.low, "high": judged.high}
        rows.append(
            {
                "claim": name,
                "verdict": judged.verdict,
                **{key: shown(claim.metric, value) for key, value in effects.items()},
                "close": judged.close,
                "replicates": min(map(len, groups)),
                "metric": claim.metric,
                "expect": claim.expect,
                "threshold": claim.threshold,
                "margin": claim.margin,
            }
        )
    columns = "claim verdict effect low high close replicates metric expect threshold margin".split()
    return pd.DataFrame(rows, columns=columns)


def importance(search: Search, trials: Iterable[Trial]) -> dict[str, float]:
    """How much each range decides whether a trial is among the best tenth, as shares of 1, by Optuna's PED-ANOVA.

    Of all strategies' trials together, each once; of their ranks, so that what diverged is just the last. Empty of few trials.
    """
    known = distributions(search, "")
    distinct = {(trial.seed, json.dumps(trial.settings)): trial for trial in trials if not trial.pruned}
    tried = [trial for trial in distinct.values() if trial.strategy != space.DEFAULT]
    if len(tried) < FEWEST_FOR_IMPORTANCE:
        return {}
    study = optuna.create_study(direction="minimize")
    for trial, rank in zip(tried, rankdata([ranked(search.metric, trial.score) for trial in tried]), strict=True):
        params = {
            name: each.choices.index(trial.settings[name]) if each.choices else trial.settings[name]
            for name, each in search.space.items()
        }
        study.add_trial(optuna.create_trial(params=params, distributions=known, value=float(rank)))
    shares = get_param_importances(study)
    return {name: round(shares[name], 4) for name in search.space}


def summary(
    search: Search, winners: pd.DataFrame, claims: pd.DataFrame, trials: Sequence[Trial], confidence: float
) -> dict[str, Any]:
    """What `dvc metrics diff` compares: what was found, how well each strategy does over its seeds, and every verdict."""
    row = winners.loc[overall(search, winners)]
    chosen = next(
        trial for trial in trials if (trial.strategy, trial.seed, trial.number) == (row["strategy"], row["seed"], row["trial"])
    )
    measured = [search.metric, search.judged_by]
    return {
        "winner": {
            **{name: row[name] for name in ("strategy", *measured, "low", "high") if row[name] != ""},
            **{name: int(row[name]) for name in ("seed", "trial")},
            "settings": chosen.settings,
        },
        "strategies": {
            str(name): {metric: over_seeds(metric, rows[metric], confidence) for metric in measured}
            for name, rows in winners.groupby("strategy", sort=False)
        },
        "claims": {each.claim: {"verdict": each.verdict, "effect": each.effect} for each in claims.itertuples()},
    }


def over_seeds(metric: str, column: pd.Series, confidence: float) -> dict[str, float | str]:
    """The mean of a strategy's winners and, of several, its interval."""
    interval = verdicts.mean_interval([number(cell) for cell in column], confidence)
    names = ("mean", "low", "high") if len(column) > 1 else ("mean",)
    return {name: shown(metric, getattr(interval, name)) for name in names}


def number(cell: object) -> float:
    """The number in a cell of a table; NaN for `diverged`."""
    return math.nan if isinstance(cell, str) and cell == "diverged" else float(cell)  # type: ignore[arg-type]


def overall(search: Search, winners: pd.DataFrame) -> Any:
    """The index of the best winner; the default is none, as nobody searched for it. Of equals, the first."""
    found = winners[winners["strategy"] != space.DEFAULT]
    return min(found.index, key=lambda index: ranked(search.metric, number(found.at[index, search.metric])))


# What was found, as a variant


def adopted(study: Study, search: Search, winner: Mapping[str, Any], name: str, path: Path) -> str:
    """The text of params.yaml with the winner of search.json as a variant after the others; every other byte stays.

    Raises UserError for a name that cannot be a variant's, or settings that are no longer those of the space.
    """
    if not re.fullmatch(NAME, name):
        raise UserError(f"--adopt: {name!r} is no name: a small letter, then small letters, digits and underscores")
    if name in study.variants:
        raise UserError(f"--adopt: {path} has a variant {name} already; choose another name")
    if set(winner["settings"]) != set(search.space):
        raise UserError(f"--adopt: {path} has another search.space than the search that was run; run `dvc repro` first")
    changed = space.changes(search, study.recipes[search.variant], winner["settings"])
    score = f"{search.metric} {winner[search.metric]}"
    tip = f"Found by the search: trial {winner['trial']} of {winner['strategy']} with seed {winner['seed']}, {score}."
    entry = {name: {"tip": tip, "extends": search.variant, **changed, "ours": True}}
    text = path.read_text(encoding="utf-8")
    content = YAML().load(text)
    lines = text.splitlines(keepends=True)
    first = content.lc.key("variants")[0]
    end = min((line for key in content if (line := content.lc.key(key)[0]) > first), default=len(lines))
    while not lines[end - 1].strip() or lines[end - 1].startswith("#"):  # these belong to what follows
        end -= 1
    lines[end - 1] = f"{lines[end - 1].rstrip()}\n"  # the last line of a file may lack it
    indent = " " * content["variants"].lc.col
    added = [f"{indent}{line}" for line in _block(entry).splitlines(keepends=True)]
    return "".join([*lines[:end], *added, *lines[end:]])


def _block(content: Mapping[str, Any]) -> str:
    """YAML as the studies write it: mappings in blocks, lists on their line, sentences on one."""
    yaml, buffer = YAML(), io.StringIO()
    yaml.width = 1000
    yaml.representer.add_representer(list, lambda dumper, each: dumper.represent_sequence("tag:yaml.org,2002:seq", each, True))
    yaml.dump(content, buffer)
    return buffer.getvalue()
