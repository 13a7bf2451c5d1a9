"""A study: its params.yaml read, and whether all of its sections go together."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from stages.lib.cli import SettingError
from stages.lib.study import own, sense, space
from stages.lib.study.metrics import has_measure, needs_validation, of_layers, of_two_outputs
from stages.lib.study.networks import FOLDER, Networks
from stages.lib.study.rows import RowsSplit
from stages.lib.study.settings import Study, chain, resolve
from stages.lib.study.strict_yaml import at, read_yaml, unknown

MOST_REPLICATES = 20_000
"""Of all variants together. Asking the cache for each takes a tenth of a millisecond."""


class Measured(NamedTuple):
    """A metric, or the monitor of early stopping or of a schedule, that params.yaml names: where, and of which variants."""

    place: tuple[str, ...]
    measure: str
    variants: tuple[str, ...]


def measures(study: Study) -> list[Measured]:
    """What claims judge, what the source reports, and what stops training."""
    found = []
    for name, recipe in study.recipes.items():
        place = ("variants", name, "train")
        if (monitor := recipe.train.early_stopping.monitor) != "none":
            found.append(Measured((*place, "early_stopping", "monitor"), monitor, (name,)))
        if recipe.train.schedule.kind == "plateau":
            found.append(Measured((*place, "schedule", "monitor"), recipe.train.schedule.monitor, (name,)))
        if recipe.train.best_checkpoint:
            found.append(Measured((*place, "best_checkpoint"), "val_loss", (name,)))
        for metric in study.variants[name].reported:
            found.append(Measured(("variants", name, "reported", metric), metric, (name,)))
    for name, claim in study.claims.items():
        found.append(Measured(("claims", name, "metric"), claim.metric, claim.variants))
    return found


def check_task(study: Study, task: str) -> None:
    """Raises SettingError for what the task does not have, such as the accuracy of a regression, or cannot learn by."""
    for place, measure, _ in measures(study):
        if not has_measure(task, measure):
            raise SettingError(f"{measure} is not measured in a {task}", *place)
    for name, recipe in study.recipes.items():
        if task == "classification" and recipe.model.wide_deep.auxiliary_output:
            raise SettingError("is for a regression", "variants", name, "model", "wide_deep", "auxiliary_output")
        for key, off in (("label_smoothing", 0.0), ("class_weights", "none")):
            if task == "regression" and getattr(recipe.train, key) != off:
                raise SettingError(f"is for classes, and a regression has none; set {off}", "variants", name, "train", key)
    if study.search and not has_measure(task, study.search.metric):
        raise SettingError(f"{study.search.metric} is not measured in a {task}", "search", "metric")
    sense.check(study, task)


def load_study(folder: Path) -> Study:
    """The settings of the study in `folder`. Raises UserError naming the file, the key, the value and what is allowed."""
    path = folder / "params.yaml"
    content = read_yaml(path)
    with at(file=path):
        study = Study.model_validate(content).with_networks(Networks(folder / FOLDER))
        _check_names(study)
        _check_architecture(study)
        for name in sorted(study.variants, key=lambda name: len(chain(study, name))):  # parents first: they own their mistakes
            with at("variants", name):
                resolve(study, name)
        _check_measures(study)
        for place, measure, _ in measures(study):
            with at(*place):
                own.check(measure, folder)
        _check_rows(study)
        _check_size(study)
        if study.search:
            with at("search"):
                space.check(study, study.search)
    return study


def _check_names(study: Study) -> None:
    """Raises SettingError for a view, a variant or a claim that is named and does not exist."""
    for kind, section in (("views", study.views), ("variants", study.variants)):
        if not section:
            raise SettingError("is empty; a study needs at least one", kind)
    for name, variant in study.variants.items():
        with at("variants", name):
            if variant.view is not None and variant.view not in study.views:
                raise unknown("view", variant.view, study.views).below("view")
            if variant.extends is not None and variant.extends not in study.variants:
                raise unknown("variant", variant.extends, study.variants).below("extends")
    for name in study.variants:
        with at("variants", name):
            chain(study, name)
    for name, claim in study.claims.items():
        for variant_name in claim.variants:
            if variant_name not in study.variants:
                raise unknown("variant", variant_name, study.variants).below("claims", name, claim.names_key)
    for position, note in enumerate(study.notes):
        for name in note.about:
            if name not in study.claims and name not in study.variants:
                known = [*study.claims, *study.variants]
                raise unknown("claim or variant", name, known).below("notes", str(position), "about")


def _check_architecture(study: Study) -> None:
    """Raises SettingError for what `model` must say, unless every variant has a network of its own."""
    for name in study.variants:
        networks = [study.model.network, *(each.model["network"] for each in chain(study, name) if "network" in each.model)]
        for key in ("hidden", "activation", "output_activation") if networks[-1] in (None, "none") else ():
            if getattr(study.model, key) is None:
                raise SettingError("is missing", "model", key)


def _check_measures(study: Study) -> None:
    """Raises SettingError for a metric that a variant's rows, or its network, do not have."""
    for place, measure, names in measures(study):
        if of_layers(measure) and not study.replicates.diagnostics:
            raise SettingError(f"{measure} needs replicates.diagnostics: true", *place)
        for name in names:
            if needs_validation(measure) and not study.has_validation(name):
                raise SettingError(f"{measure} needs validation rows, and data.split sets none apart", *place)
            if of_two_outputs(measure) and not study.recipes[name].model.wide_deep.auxiliary_output:
                raise SettingError(f"{measure} needs wide_deep.auxiliary_output, which {name} has not", *place)


def _check_size(study: Study) -> None:
    """Raises SettingError for more replicates than anyone waits for."""
    replicates = sum(len(study.seeds(name)) for name in study.variants)
    if replicates > MOST_REPLICATES:
        wrong = f"{replicates} replicates of {len(study.variants)} variants, with what looks and folds ask for"
        raise SettingError(f"{wrong}; {MOST_REPLICATES} are the most", "replicates", "seeds")


def _check_rows(study: Study) -> None:
    """Raises SettingError for folds or held-out rows that the split does not allow, and for choices by the test rows."""
    split = study.data.split
    users = [f"variants.{name}.k_fold" for name, recipe in study.recipes.items() if recipe.k_fold]
    if study.search:
        users.append("search")
    if users and isinstance(split, RowsSplit) and split.validates_on_test_rows:
        raise SettingError(f"{users[0]} uses these rows, so they must not be test rows", "data", "split", "validation")
    for name, recipe in study.recipes.items():
        with at("variants", name):
            asked = any(variant.k_fold for variant in chain(study, name))
            if asked and study.data.k_fold is None:
                raise SettingError("needs data.k_fold: folds, repeats and seed", "k_fold")
            if recipe.train.validation_rows and study.data.sets_validation_apart:
                raise SettingError("data.split sets validation rows apart already; set 0", "train", "validation_rows")
