"""A study: its params.yaml read, and whether all of its sections go together."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from stages.lib.cli import UserError
from stages.lib.study import space
from stages.lib.study.metrics import has_measure, needs_validation, of_two_outputs
from stages.lib.study.settings import RowsSplit, Study, chain, resolve
from stages.lib.study.strict_yaml import describe, read_yaml, unknown, validated


class Measured(NamedTuple):
    """A measure that params.yaml names: where, and of which variants."""

    place: str
    measure: str
    variants: tuple[str, ...]


def measures(study: Study) -> list[Measured]:
    """The measures that params.yaml names: what claims judge, what the source reports, what stops training."""
    found = []
    for name, recipe in study.recipes.items():
        place = f"variants.{name}.train"
        if (monitor := recipe.train.early_stopping.monitor) != "none":
            found.append(Measured(f"{place}.early_stopping.monitor", monitor, (name,)))
        if recipe.train.best_checkpoint:
            found.append(Measured(f"{place}.best_checkpoint", "val_loss", (name,)))
        found += [Measured(f"variants.{name}.reported.{each}", each, (name,)) for each in study.variants[name].reported]
    return found + [Measured(f"claims.{name}.metric", claim.metric, claim.variants) for name, claim in study.claims.items()]


def check_task(study: Study, task: str) -> None:
    """Raises UserError for what the data set's task does not have, such as the accuracy of a regression."""
    for place, measure, _ in measures(study):
        if not has_measure(task, measure):
            raise UserError(f"params.yaml: {place}: {measure} is not measured in a {task}")
    for name, recipe in study.recipes.items():
        if task == "classification" and recipe.model.wide_deep.auxiliary_output:
            raise UserError(f"params.yaml: variants.{name}.model.wide_deep.auxiliary_output: is for a regression")
    if study.search and not has_measure(task, study.search.metric):
        raise UserError(f"params.yaml: search.metric: {study.search.metric} is not measured in a {task}")


def load_study(folder: Path) -> Study:
    """The settings of the study in `folder`. Raises UserError naming the file, the key, the value and what is allowed."""
    path = folder / "params.yaml"
    content = read_yaml(path)
    study = validated(lambda: Study.model_validate(content), path)
    for kind, section in (("views", study.views), ("variants", study.variants)):
        if not section:
            raise UserError(f"{path}: {kind}: is empty; a study needs at least one")
    for name, variant in study.variants.items():
        if variant.view is not None and variant.view not in study.views:
            raise UserError(f"{path}: variants.{name}.view: {unknown('view', variant.view, study.views)}")
        if variant.extends is not None and variant.extends not in study.variants:
            raise UserError(f"{path}: variants.{name}.extends: {unknown('variant', variant.extends, study.variants)}")
    for name in study.variants:
        try:
            chain(study, name)
        except PydanticCustomError as error:
            raise UserError(f"{path}: variants.{name}.extends: {error}") from None
    for name, claim in study.claims.items():
        for variant_name in claim.variants:
            if variant_name not in study.variants:
                key = "compare" if claim.compare else "variant"
                raise UserError(f"{path}: claims.{name}.{key}: {unknown('variant', variant_name, study.variants)}")
    for position, note in enumerate(study.notes):
        for name in note.about:
            if name not in study.claims and name not in study.variants:
                known = unknown("claim or variant", name, [*study.claims, *study.variants])
                raise UserError(f"{path}: notes.{position}.about: {known}")
    for name in sorted(study.variants, key=lambda each: len(chain(study, each))):  # parents first: they own their mistakes
        try:
            resolve(study, name)
        except ValidationError as error:
            raise UserError(f"{path}: {describe(error.errors(include_url=False)[0], ('variants', name))}") from None
        except PydanticCustomError as error:
            raise UserError(f"{path}: variants.{name}.view: {error}") from None
    for place, measure, names in measures(study):
        for name in names:
            if needs_validation(measure) and not study.has_validation(name):
                raise UserError(f"{path}: {place}: {measure} needs validation rows, and data.split sets none apart")
            if of_two_outputs(measure) and not study.recipes[name].model.wide_deep.auxiliary_output:
                raise UserError(f"{path}: {place}: {measure} needs wide_deep.auxiliary_output, which {name} has not")
    _check_rows(study, path)
    if study.search:
        try:
            space.check(study, study.search)
        except PydanticCustomError as error:
            raise UserError(f"{path}: search.{error}") from None
    return study


def _check_rows(study: Study, path: Path) -> None:
    """Raises UserError for folds, or held-out rows, that the split does not allow, and choices by rows that are tested on."""
    folded = [f"variants.{name}.k_fold" for name, recipe in study.recipes.items() if recipe.k_fold]
    users, split = [*folded, *(["search"] if study.search else [])], study.data.split
    if users and isinstance(split, RowsSplit) and split.validates_on_test_rows:
        raise UserError(f"{path}: data.split.validation: {users[0]} uses these rows, so they must not be test rows")
    for name, recipe in study.recipes.items():
        asked = any(variant.k_fold for variant in chain(study, name))
        if asked and study.data.k_fold is None:
            raise UserError(f"{path}: variants.{name}.k_fold: needs data.k_fold: folds, repeats and seed")
        if recipe.train.validation_rows and study.data.split.validation not in (0, "none"):
            raise UserError(
                f"{path}: variants.{name}.train.validation_rows: data.split sets validation rows apart already; set 0"
            )
    for name, claim in study.claims.items():
        for variant in claim.variants:
            if claim.seeds and (k_fold := study.recipes[variant].k_fold):
                raise UserError(f"{path}: claims.{name}.seeds: {variant} has {k_fold.folds * k_fold.repeats} folds, no seeds")
