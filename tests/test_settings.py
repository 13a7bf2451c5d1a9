"""Every mistake in params.yaml is refused in one readable line; valid files resolve to the recipes that they describe."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import keras
import pytest
from conftest import ROOT, SMALL, study_with
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from stages.lib.cli import UserError
from stages.lib.settings import (
    ACTIVATIONS,
    BACKENDS,
    DEFAULT_RATES,
    INITIALIZERS,
    LOSSES,
    MONITORS,
    SCALINGS,
    Study,
    load_study,
    merged,
)

VALID = """\
title: A small study
source: the tests
data:
  dataset: digits
  split:
    method: stratified
    train: 120
    validation: 40
    test: 40
    seed: 0
views:
  scaled:
    scale: max
    per: all
    invert: false
    test_noise: 0.0
  raw:
    scale: none
model:
  conv: []
  kernel_size: 3
  pool_size: 2
  hidden: [16]
  activation: relu
  output_activation: softmax
  kernel_initializer: glorot_uniform
  batch_normalization: none
  dropout: 0.0
  l2: 0.0
train:
  loss: categorical_crossentropy
  optimizer: adam
  learning_rate: 0.001
  momentum: 0.0
  batch_size: 32
  epochs: 3
  early_stopping:
    monitor: none
    patience: 2
    min_delta: 0.0
    restore_best: false
  best_checkpoint: false
  tensorboard: false
replicates:
  seeds: 3
  backend: tensorflow
  keep_models: first
  time_limit: 60
variants:
  plain:
    tip: A start.
    view: scaled
  deep:
    tip: Depth.
    extends: plain
    model:
      hidden: [8, 8]
    reported:
      test_accuracy: 0.9
  stopped:
    tip: Stop early.
    extends: deep
    train:
      early_stopping:
        monitor: val_loss
claims:
  depth_helps:
    says: Depth raises accuracy.
    compare: [plain, deep]
    metric: test_accuracy
    expect: higher
    margin: 0.01
  it_learns:
    says: It learns.
    variant: plain
    metric: test_accuracy
    expect: at_least
    threshold: 0.8
statistics:
  confidence: 0.99
"""
ROWS = "method: rows\n    train: {part: all, rows: [0, 9]}\n    validation: none\n    test: {part: all, rows: [9, 12]}\n"
STRATIFIED = "method: stratified\n    train: 120\n    validation: 40\n    test: 40\n    seed: 0\n"
DEEP_CLAIM = VALID[VALID.index("  depth_helps:") : VALID.index("  it_learns:")]
LEARNS_CLAIM = VALID[VALID.index("  it_learns:") : VALID.index("statistics:")]

Mistake = tuple[str, str, str, tuple[str, ...]]
"""What is replaced in VALID (its first occurrence), by what, the key's path in the message, and what else the message says."""

MISTAKES: dict[str, Mistake] = {
    # Unknown keys, at every level
    "key_at_top": ("title:", "titel:", "titel", ("'titel'", "did you mean 'title'", "statistics")),
    "key_in_data": ("dataset:", "data_set:", "data", ("'data_set'", "did you mean 'dataset'")),
    "key_in_split": ("seed: 0", "seeed: 0", "data.split", ("'seeed'", "did you mean 'seed'", "validation")),
    "key_in_view": ("test_noise:", "noise:", "views.scaled", ("'noise'", "scale, per, invert, test_noise")),
    "key_in_model": ("kernel_size:", "kernal_size:", "model", ("'kernal_size'", "did you mean 'kernel_size'")),
    "key_in_train": ("batch_size:", "batchsize:", "train", ("'batchsize'", "did you mean 'batch_size'")),
    "key_in_early_stopping": ("patience:", "patiense:", "train.early_stopping", ("'patiense'", "did you mean 'patience'")),
    "key_in_replicates": ("keep_models:", "keep:", "replicates", ("'keep'", "keep_models")),
    "key_in_variant": ("extends: plain", "extend: plain", "variants.deep", ("'extend'", "did you mean 'extends'")),
    "key_in_claim": ("margin:", "margn:", "claims.depth_helps", ("'margn'", "did you mean 'margin'")),
    "key_in_statistics": ("confidence:", "alpha:", "statistics", ("'alpha'", "confidence")),
    "key_of_variant_model": ("hidden: [8, 8]", "hiden: [8, 8]", "variants.deep.model", ("'hiden'", "did you mean 'hidden'")),
    "key_of_variant_early_stopping": (
        "        monitor: val_loss",
        "        monitr: val_loss",
        "variants.stopped.train.early_stopping",
        ("'monitr'", "did you mean 'monitor'"),
    ),
    # Missing keys and sections
    "no_title": ("title: A small study\n", "", "title", ("missing",)),
    "no_statistics": ("statistics:\n  confidence: 0.99\n", "", "statistics", ("missing",)),
    "no_epochs": ("  epochs: 3\n", "", "train.epochs", ("missing",)),
    "no_tip": ("    tip: Depth.\n", "", "variants.deep.tip", ("missing",)),
    "no_metric": ("    metric: test_accuracy\n", "", "claims.depth_helps.metric", ("missing",)),
    "no_split_method": ("    method: stratified\n", "", "data.split.method", ("missing", "stratified", "rows")),
    "no_split_seed": ("    seed: 0\n", "", "data.split.seed", ("missing",)),
    "section_without_content": ("statistics:\n  confidence: 0.99\n", "statistics:\n", "statistics", ("None", "mapping")),
    "section_is_a_list": ("statistics:\n  confidence: 0.99\n", "statistics: [0.99]\n", "statistics", ("[0.99]", "mapping")),
    "variant_without_content": (
        "  plain:\n    tip: A start.\n    view: scaled\n",
        "  plain:\n",
        "variants.plain",
        ("None", "mapping"),
    ),
    "no_variants": (VALID[VALID.index("variants:") : VALID.index("claims:")], "variants: {}\n", "variants", ("at least one",)),
    "no_views": (VALID[VALID.index("views:") : VALID.index("model:")], "views: {}\n", "views", ("at least one",)),
    "null_variants": (VALID[VALID.index("variants:") : VALID.index("claims:")], "variants:\n", "variants", ("mapping",)),
    # Wrong types
    "rate_is_text": ("rate: 0.001", "rate: abc", "train.learning_rate", ("'abc'", "greater than 0", "default")),
    "rate_is_quoted": ("rate: 0.001", 'rate: "0.001"', "train.learning_rate", ("'0.001'", "number")),
    "rate_is_true": ("rate: 0.001", "rate: true", "train.learning_rate", ("True", "number")),
    "batch_is_quoted": ("batch_size: 32", 'batch_size: "5"', "train.batch_size", ("'5'", "whole number")),
    "batch_is_true": ("batch_size: 32", "batch_size: true", "train.batch_size", ("True", "whole number")),
    "batch_is_a_fraction": ("batch_size: 32", "batch_size: 3.5", "train.batch_size", ("3.5", "whole number")),
    "batch_is_null": ("batch_size: 32", "batch_size:", "train.batch_size", ("None", "whole number")),
    "epochs_are_a_date": ("epochs: 3", "epochs: 2024-01-31", "train.epochs", ("2024", "whole number")),
    "epochs_are_a_list": ("epochs: 3", "epochs: [3]", "train.epochs", ("[3]", "whole number")),
    "dropout_is_text": ("dropout: 0.0", "dropout: half", "model.dropout", ("'half'", "number")),
    "title_is_a_number": ("title: A small study", "title: 5", "title", ("5", "text")),
    "flag_is_text": ("tensorboard: false", "tensorboard: no", "train.tensorboard", ("'no'", "true or false")),
    "flag_is_a_number": ("invert: false", "invert: 0", "views.scaled.invert", ("0", "true or false")),
    "hidden_is_a_number": ("hidden: [16]", "hidden: 16", "model.hidden", ("16", "list")),
    "hidden_holds_text": ("hidden: [16]", "hidden: [16, big]", "model.hidden.1", ("'big'", "whole number")),
    "activation_is_a_number": ("activation: relu", "activation: 1", "model.activation", ("1", "text")),
    "reported_is_text": ("test_accuracy: 0.9", "test_accuracy: high", "variants.deep.reported.test_accuracy", ("'high'",)),
    "says_is_a_mapping": ("says: Depth raises accuracy.", "says: {a: 1}", "claims.depth_helps.says", ("text",)),
    "long_value": ("batch_size: 32", f"batch_size: {'x' * 500}", "train.batch_size", ("xxx...", "whole number")),
    # Out of range
    "batch_of_none": ("batch_size: 32", "batch_size: 0", "train.batch_size", ("0", "greater than or equal to 1")),
    "negative_rate": ("rate: 0.001", "rate: -0.1", "train.learning_rate", ("-0.1", "greater than 0")),
    "rate_of_zero": ("rate: 0.001", "rate: 0", "train.learning_rate", ("0", "greater than 0")),
    "rate_nan": ("rate: 0.001", "rate: .nan", "train.learning_rate", ("nan", "greater than 0")),
    "rate_infinite": ("rate: 0.001", "rate: .inf", "train.learning_rate", ("inf", "greater than 0")),
    "dropout_of_everything": ("dropout: 0.0", "dropout: 1.0", "model.dropout", ("1.0", "less than 1")),
    "l2_nan": ("l2: 0.0", "l2: .nan", "model.l2", ("nan", "finite number")),
    "noise_infinite": ("test_noise: 0.0", "test_noise: .inf", "views.scaled.test_noise", ("inf", "finite number")),
    "confidence_above_one": ("confidence: 0.99", "confidence: 1.5", "statistics.confidence", ("1.5", "less than 1")),
    "confidence_in_percent": ("confidence: 0.99", "confidence: 99", "statistics.confidence", ("99", "less than 1")),
    "confidence_too_low": ("confidence: 0.99", "confidence: 0.5", "statistics.confidence", ("0.5", "greater than 0.5")),
    "negative_seed": ("seed: 0", "seed: -1", "data.split.seed", ("-1", "greater than or equal to 0")),
    "no_seeds": ("seeds: 3", "seeds: 0", "replicates.seeds", ("0", "greater than or equal to 1")),
    "no_epoch": ("epochs: 3", "epochs: 0", "train.epochs", ("0", "greater than or equal to 1")),
    "no_time": ("time_limit: 60", "time_limit: 0", "replicates.time_limit", ("0", "greater than 0")),
    "empty_layer": ("hidden: [16]", "hidden: [16, 0]", "model.hidden.1", ("0", "greater than or equal to 1")),
    "negative_patience": ("patience: 2", "patience: -1", "train.early_stopping.patience", ("-1", "or equal to 0")),
    "negative_margin": ("margin: 0.01", "margin: -0.01", "claims.depth_helps.margin", ("-0.01", "or equal to 0")),
    "threshold_nan": ("threshold: 0.8", "threshold: .nan", "claims.it_learns.threshold", ("nan", "finite")),
    "no_training_rows": ("train: 120", "train: 0", "data.split.train", ("0", "greater than or equal to 1")),
    # Names of things that do not exist: the known ones are listed
    "unknown_view": ("view: scaled", "view: scald", "variants.plain.view", ("'scald'", "'scaled'", "scaled, raw")),
    "unknown_parent": ("extends: plain", "extends: plian", "variants.deep.extends", ("'plian'", "plain, deep, stopped")),
    "unknown_variant": ("[plain, deep]", "[plain, dep]", "claims.depth_helps.compare", ("'dep'", "plain, deep, stopped")),
    "unknown_single_variant": ("variant: plain", "variant: pla", "claims.it_learns.variant", ("'pla'", "plain, deep")),
    "unknown_metric": ("metric: test_accuracy", "metric: test_acc", "claims.depth_helps.metric", ("'test_acc'", "'test_accuracy'")),
    "metric_without_its_level": (
        "metric: test_accuracy",
        "metric: epochs_to_<level>_accuracy",
        "claims.depth_helps.metric",
        ("epochs_to_<level>_accuracy", "0.95"),
    ),
    "unknown_reported_metric": (
        "      test_accuracy: 0.9",
        "      accuracy: 0.9",
        "variants.deep.reported",
        ("'accuracy'", "test_accuracy"),
    ),
    "unknown_activation": ("activation: relu", "activation: rleu", "model.activation", ("'rleu'", "'relu'", ACTIVATIONS[0])),
    "unknown_output": ("output_activation: softmax", "output_activation: max", "model.output_activation", ("'max'", "softmax")),
    "unknown_optimizer": ("optimizer: adam", "optimizer: adma", "train.optimizer", ("'adma'", "'adam'", ", ".join(DEFAULT_RATES))),
    "capital_optimizer": ("optimizer: adam", "optimizer: Adam", "train.optimizer", ("'Adam'", "'adam'", "rmsprop, ")),
    "unknown_loss": ("loss: categorical_crossentropy", "loss: rmse", "train.loss", ("'rmse'", "'mse'", "mse, ")),
    "unknown_initializer": (
        "glorot_uniform",
        "glorot",
        "model.kernel_initializer",
        ("'glorot'", ", ".join(INITIALIZERS)),
    ),
    "unknown_scaling": ("scale: max", "scale: minmax", "views.scaled.scale", ("'minmax'", "'min_max'", ", ".join(SCALINGS))),
    "unknown_per": ("per: all", "per: pixel", "views.scaled.per", ("'pixel'", "all", "feature")),
    "unknown_backend": ("backend: tensorflow", "backend: theano", "replicates.backend", ("'theano'", ", ".join(BACKENDS))),
    "unknown_monitor": ("monitor: none", "monitor: acc", "train.early_stopping.monitor", ("'acc'", ", ".join(MONITORS))),
    "unknown_keep_models": ("keep_models: first", "keep_models: last", "replicates.keep_models", ("'last'", "first", "all", "none")),
    "unknown_normalization": (
        "batch_normalization: none",
        "batch_normalization: both",
        "model.batch_normalization",
        ("'both'", "none", "before", "after"),
    ),
    "unknown_method": ("method: stratified", "method: random", "data.split.method", ("'random'", "stratified", "rows")),
    "unknown_expectation": (
        "expect: higher",
        "expect: better",
        "claims.depth_helps.expect",
        ("'better'", "higher", "lower", "same", "at_least", "at_most"),
    ),
    # extends
    "extends_itself": ("extends: plain", "extends: deep", "variants.deep.extends", ("loop", "deep -> deep")),
    "extends_two_in_a_loop": ("extends: plain", "extends: stopped", "variants.deep.extends", ("deep -> stopped -> deep",)),
    "extends_three_in_a_loop": (
        "    view: scaled\n",
        "    extends: stopped\n",
        "variants.plain.extends",
        ("plain -> stopped -> deep -> plain",),
    ),
    "no_view_in_the_chain": ("    view: scaled\n", "", "variants.plain.view", ("missing", "scaled, raw")),
    # Names
    "name_with_capital": ("  raw:", "  Raw:", "views.Raw", ("'Raw'", "small letter")),
    "name_with_dash": ("  deep:\n", "  deep-er:\n", "variants.deep-er", ("'deep-er'", "underscores")),
    "name_with_dot": ("  deep:\n", "  deep.er:\n", "variants.deep.er", ("'deep.er'", "underscores")),
    "name_with_digit_first": ("  depth_helps:", "  2_helps:", "claims.2_helps", ("'2_helps'", "small letter")),
    "name_with_newline": ("  deep:\n", '  "deep\\n":\n', "variants.deep", (r"'deep\n'", "underscores")),
    "name_empty": ("  deep:\n", '  "":\n', "variants.", ("''", "small letter")),
    "name_of_data_set": ("dataset: digits", "dataset: ../digits", "data.dataset", ("'../digits'", "small letter")),
    # Keys that YAML does not read as text
    "key_is_a_number": ("  deep:\n", "  64:\n", "variants", ("64", "int", "quote it or rename it")),
    "key_is_true": ("  deep:\n", "  true:\n", "variants", ("True", "bool")),
    "key_is_a_fraction": ("  deep:\n", "  1.5:\n", "variants", ("1.5", "float")),
    "key_is_a_date": ("  deep:\n", "  2024-01-31:\n", "variants", ("2024", "date")),
    "key_is_null": ("  deep:\n", "  null:\n", "variants", ("None",)),
    "key_is_a_number_in_a_list": ("hidden: [8, 8]", "hidden: [{8: 8}]", "variants.deep.model.hidden.0", ("8", "int")),
    # Claims
    "claim_without_variant": ("    variant: plain\n", "", "claims.it_learns", ("either variant", "or compare")),
    "claim_with_both": ("    variant: plain\n", "    variant: plain\n    compare: [plain, deep]\n", "claims.it_learns", ("either",)),
    "threshold_of_a_comparison": ("margin: 0.01", "threshold: 0.01", "claims.depth_helps", ("threshold", "at_least", "at_most")),
    "no_threshold": ("    threshold: 0.8\n", "", "claims.it_learns", ("at_least", "needs a threshold")),
    "threshold_of_two": ("    variant: plain\n", "    compare: [plain, deep]\n", "claims.it_learns", ("one variant",)),
    "direction_of_one": (
        LEARNS_CLAIM,
        LEARNS_CLAIM.replace("at_least\n    threshold: 0.8", "higher"),
        "claims.it_learns",
        ("needs compare",),
    ),
    "same_without_margin": (
        DEEP_CLAIM,
        DEEP_CLAIM.replace("higher\n    margin: 0.01", "same"),
        "claims.depth_helps",
        ("same", "margin greater than 0"),
    ),
    "compare_one": ("[plain, deep]", "[plain]", "claims.depth_helps.compare", ("two",)),
    "compare_three": ("[plain, deep]", "[plain, deep, stopped]", "claims.depth_helps.compare", ("two",)),
    "compare_equal": ("[plain, deep]", "[plain, plain]", "claims.depth_helps.compare", ("'plain' twice",)),
    "compare_is_text": ("[plain, deep]", "plain", "claims.depth_helps.compare", ("'plain'", "list")),
    # Settings that contradict each other
    "momentum_with_adam": ("momentum: 0.0", "momentum: 0.9", "train", ("momentum", "sgd and rmsprop", "adam")),
    "momentum_of_a_variant": (
        "    train:\n      early_stopping:\n        monitor: val_loss\n",
        "    train:\n      momentum: 0.9\n",
        "variants.stopped.train",
        ("momentum", "sgd and rmsprop", "adam"),
    ),
    "monitor_without_validation": (STRATIFIED, ROWS, "variants.stopped.train.early_stopping.monitor", ("val_loss", "validation")),
    "monitor_with_no_validation_rows": (
        "validation: 40",
        "validation: 0",
        "variants.stopped.train.early_stopping.monitor",
        ("val_loss", "validation"),
    ),
    # Rows
    "rows_reversed": (STRATIFIED, ROWS.replace("[0, 9]", "[9, 0]"), "data.split.train.rows", ("[9, 0]", "no row", "first < stop")),
    "rows_empty": (STRATIFIED, ROWS.replace("[9, 12]", "[9, 9]"), "data.split.test.rows", ("[9, 9]", "no row")),
    "rows_of_three": (STRATIFIED, ROWS.replace("[0, 9]", "[0, 3, 9]"), "data.split.train.rows", ("two",)),
    "rows_negative": (STRATIFIED, ROWS.replace("[0, 9]", "[-1, 9]"), "data.split.train.rows.0", ("-1", "or equal to 0")),
    "rows_as_text": (STRATIFIED, ROWS.replace("[0, 9]", "all"), "data.split.train.rows", ("'all'", "list")),
    "validation_of_neither": (STRATIFIED, ROWS.replace("validation: none", "validation: off"), "data.split.validation", ("none", "'off'")),
    "validation_without_part": (
        STRATIFIED,
        ROWS.replace("validation: none", "validation: {rows: [9, 12]}"),
        "data.split.validation.part",
        ("missing",),
    ),
    # Mistakes of a variant are reported where the variant makes them
    "variant_layer": ("hidden: [8, 8]", "hidden: [8, -8]", "variants.deep.model.hidden.1", ("-8", "or equal to 1")),
    "variant_view_of_nothing": ("    extends: plain\n    model:", "    extends: plain\n    view: 7\n    model:", "variants.deep.view", ("7", "text")),
    "variant_model_is_a_list": (
        "    model:\n      hidden: [8, 8]\n",
        "    model: [8, 8]\n",
        "variants.deep.model",
        ("[8, 8]", "mapping"),
    ),
    "variant_stopping_is_a_flag": (
        "      early_stopping:\n        monitor: val_loss\n",
        "      early_stopping: true\n",
        "variants.stopped.train.early_stopping",
        ("True", "mapping"),
    ),
    # What YAML allows, and DVC's -S does not survive
    "duplicate_key": ("  epochs: 3\n", "  epochs: 3\n  epochs: 4\n", "line", ("epochs", "twice")),
    "anchor": ("hidden: [16]", "hidden: &wide [16]", "line", ("anchors",)),
    "alias": ("hidden: [8, 8]", "hidden: *wide", "line", ("anchors",)),
    "merge_key": ("  raw:\n    scale: none", "  raw:\n    <<: {scale: none}", "line", ("merge",)),
    "unbalanced_bracket": ("hidden: [16]", "hidden: [16", "line", ("YAML",)),
    "tab": ("  dataset: digits", "\tdataset: digits", "line", ("YAML",)),
    "python_object": ("epochs: 3", "epochs: !!python/object/apply:os.system [ls]", "line", ("YAML",)),
    "two_documents": ("train:\n  loss:", "---\ntrain:\n  loss:", "line", ("document",)),
}
JARGON = (
    "Traceback Input should validation error strict tuple_type pydantic http finite_number model_type discriminator tag "
    "NoneType literal_error union"
).split()


def message_of(folder: Path, text: str | bytes) -> str:
    """What a user is told about a params.yaml, after its path."""
    path = folder / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        load_study(folder)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_in_a_line_that_says_where_and_what_is_allowed(name: str, tmp_path: Path) -> None:
    old, new, place, hints = MISTAKES[name]
    message = message_of(tmp_path, changed(VALID, old, new))
    print(f"{name:34s} {message}")
    assert message.startswith(f"{place} " if place == "line" else f"{place}: ")
    for hint in hints:
        assert hint in message
    assert len(message) < 700
    assert "\n" not in message
    assert not [word for word in JARGON if word in message]
