"""The replicate key holds everything that decides a result, and nothing else."""

from __future__ import annotations

from dataclasses import field, make_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, create_model

from helpers.networks import TINY, own_study, with_own
from helpers.study import prepared_for, study_with
from stages.lib.engine import key, source
from stages.lib.engine.key import local_environment, replicate_key
from stages.lib.study.optimizers import Optimizer, Schedule
from stages.lib.study.recipe import Augmentation, EarlyStopping, Model, Recipe, Train, WideDeep
from stages.lib.study.rows import View
from stages.lib.training.views import FittedView

FOLDS: dict[str, Any] = {
    "data": {"k_fold": {"folds": 2, "repeats": 1, "seed": 0}},
    "variants": {"plain": {"k_fold": True}},
}


def key_of(changes: dict[str, Any] | None = None) -> str:
    """The key of the first replicate of the small study, with changes of its settings."""
    view = prepared_for(study_with()).views["scaled"]
    return replicate_key(study_with(changes).recipes["plain"], view, 0, "data", local_environment("tensorflow"))


def test_everything_that_decides_a_result_is_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_with()
    prepared = prepared_for(study)
    recipe, view, surroundings = study.recipes["plain"], prepared.views["scaled"], local_environment("tensorflow")
    changes: list[dict[str, Any]] = [
        {"train": {"learning_rate": 0.02}},
        {"train": {"validation_rows": 10}},
        {"train": {"schedule": {"kind": "cosine"}}},
        {"train": {"optimizer": {"name": "adam", "weight_decay": 0.01}}},
        {"train": {"label_smoothing": 0.1}},
        {"train": {"class_weights": "balanced"}},
        {"train": {"augmentation": {"rotate": 10.0}}},
        {"model": {"negative_slope": 0.1}},
        {"model": {"wide_deep": {"api": "functional"}}},
        {"replicates": {"jit_compile": True}},
        {"replicates": {"diagnostics": True}},
        {"limits": {"epochs": 2}},
        {"views": {"scaled": {"per": "feature"}}},
        FOLDS,
        {**FOLDS, "data": {"k_fold": {"folds": 2, "repeats": 1, "seed": 1}}},
    ]
    changed = [
        replicate_key(recipe, view, 0, "data", surroundings),
        replicate_key(recipe, view, 1, "data", surroundings),
        replicate_key(recipe, view, 0, "other data", surroundings),
        replicate_key(recipe, prepared.views["noisy"], 0, "data", surroundings),
        replicate_key(recipe, replace(view, noise_seed=1), 0, "data", surroundings),
        replicate_key(recipe, replace(view, own={"test": [0.0, 1.0]}), 0, "data", surroundings),
        *map(key_of, changes),
        *(replicate_key(recipe, view, 0, "data", {**surroundings, name: "other"}) for name in surroundings),
    ]
    assert len(set(changed)) == len(changed)
    assert key_of() == changed[0]
    (tmp_path / "replicate.py").write_text("x = 1")
    monkeypatch.setattr(source, "TRAINING", tmp_path)
    assert key_of() != changed[0]


def test_what_a_network_of_one_s_own_computes_and_its_options_are_in_the_key(tmp_path: Path) -> None:
    view = prepared_for(study_with()).views["scaled"]

    def key_with(text: str, **options: Any) -> str:
        study = own_study(tmp_path, with_own({"variants": {"own": {"model": {"options": options}}}}), tiny=text)
        return replicate_key(study.recipes["own"], view, 0, "data", {})

    first = key_with(TINY)
    same = TINY.replace("def build", "# A comment.\n\n\ndef build")
    assert key_with(same) == key_with(TINY, width=4) == first
    others = [key_with(TINY, width=5), key_with(TINY.replace("relu", "tanh")), key_with(TINY.replace("= 4", "= 5"))]
    assert len({first, *others, key_with(TINY.replace("width: int", "width: float"))}) == 5


def test_a_recipe_that_says_the_same_in_another_way_has_the_same_key() -> None:
    """Defaults that are written down, limits that bind nothing, the tip, and the number of replicates decide no result."""
    changes: list[dict[str, Any]] = [
        {},
        {"limits": {"rows": 5, "epochs": 100, "seeds": 1}},
        {"variants": {"plain": {"tip": "Another."}}, "replicates": {"seeds": 9, "keep_models": "all", "time_limit": 1.0}},
        {"data": {"k_fold": {"folds": 2, "repeats": 1, "seed": 0}}},
        {"train": {"learning_rate": "default"}, "variants": {"plain": {"train": {"learning_rate": 0.01}}}},
        {"train": {"validation_rows": 0}, "model": {"negative_slope": 0.2, "wide_deep": {"api": "none", "wide": "all"}}},
        {"views": {"scaled": {"per": "all", "invert": False, "test_noise": 0.0}}},
    ]
    assert {key_of(each) for each in changes} == {key_of()}


def test_the_default_rate_is_the_number_that_it_stands_for() -> None:
    assert key_of({"train": {"learning_rate": "default"}}) == key_of({"train": {"learning_rate": 0.001}})


def test_a_new_setting_that_is_off_changes_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, view = study_with().recipes["plain"], FittedView(0, 1, 0.0, 0)
    before = replicate_key(recipe, view, 0, "data", {})
    wider: dict[str, Any] = {
        name: create_model(kind.__name__, __base__=kind, new=(bool, False))
        for name, kind in {"view": View, "model": Model, "train": Train}.items()
    }
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in wider.items()}
    later = create_model("Recipe", __base__=Recipe, **fields, new=(bool, False))
    content = recipe.model_dump()
    assert replicate_key(later.model_validate(content), view, 0, "data", {}) == before
    for name in wider:
        on = {**content, name: {**content[name], "new": True}}
        assert replicate_key(later.model_validate(on), view, 0, "data", {}) != before

    fitted = make_dataclass("Fitted", [("new", float, field(default=0.0))], bases=(FittedView,), frozen=True)
    monkeypatch.setattr(key, "_FITTED_VIEW", TypeAdapter(fitted))
    assert replicate_key(recipe, fitted(0, 1, 0.0, 0), 0, "data", {}) == before
    assert replicate_key(recipe, fitted(0, 1, 0.0, 0, new=1.0), 0, "data", {}) != before


def test_no_default_of_a_recipe_has_changed() -> None:
    """A key does not hold them: with another default, replicates of the old one would be taken for those of the new.

    A setting may be added here with its default. One that has to change needs another name.
    """
    defaults = {
        f"{kind.__name__}.{name}": each.default
        for kind in (View, Model, WideDeep, Train, Optimizer, Schedule, Augmentation, EarlyStopping, Recipe)
        for name, each in kind.model_fields.items()
        if not each.is_required() and (kind is not Optimizer or each.default is not None)
    }
    assert defaults == {
        "View.scale": "none",
        "View.per": "all",
        "View.fit_on": "train",
        "View.invert": False,
        "View.test_noise": 0.0,
        "View.noise_seed": 0,
        "View.missing": None,
        "View.missing_indicator": False,
        "View.categories": "one_hot",
        "View.rare": 0,
        "View.crosses": (),
        "Model.conv": (),
        "Model.kernel_size": 3,
        "Model.pool_size": 2,
        "Model.kernel_initializer": "glorot_uniform",
        "Model.batch_normalization": "none",
        "Model.dropout": 0.0,
        "Model.l2": 0.0,
        "Model.negative_slope": 0.2,
        "Model.maxout_pieces": 2,
        "Model.dropout_layers": "all",
        "Model.dropout_type": "dropout",
        "Model.wide_deep": WideDeep(),
        "Model.network": None,
        "Model.options": {},
        "WideDeep.api": "none",
        "WideDeep.wide": None,
        "WideDeep.deep": None,
        "WideDeep.auxiliary_output": False,
        "Train.learning_rate": "default",  # which `settled` makes a number, so that it is in every key
        "Train.schedule": Schedule(),
        "Train.label_smoothing": 0.0,
        "Train.class_weights": "none",
        "Train.augmentation": Augmentation(),
        "Schedule.kind": "constant",
        "Schedule.factor": 0.5,
        "Schedule.decay_epochs": "all",
        "Schedule.warmup_epochs": 0.0,
        "Schedule.lowest": 0.0,
        "Schedule.at": (),
        "Schedule.monitor": "val_loss",
        "Schedule.patience": 5,
        "Schedule.min_delta": 0.0,
        "Augmentation.flip": "none",
        "Augmentation.translate": 0.0,
        "Augmentation.rotate": 0.0,
        "Augmentation.zoom": 0.0,
        "Augmentation.contrast": 0.0,
        "Augmentation.fill": "nearest",
        "Train.momentum": 0.0,
        "Train.early_stopping": EarlyStopping(),
        "Train.validation_rows": 0,
        "Train.best_checkpoint": False,
        "Train.tensorboard": False,
        "EarlyStopping.monitor": "none",
        "EarlyStopping.patience": 0,
        "EarlyStopping.min_delta": 0.0,
        "EarlyStopping.restore_best": False,
    }


def test_a_variable_that_changes_arithmetic_is_part_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = local_environment("tensorflow")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert local_environment("tensorflow") != before


def test_the_fingerprint_sees_a_single_value() -> None:
    prepared = prepared_for(study_with())
    before = prepared.fingerprint()
    prepared.splits["test"][0][3, 2, 1] += 1
    assert prepared.fingerprint() != before
