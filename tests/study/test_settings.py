"""Every mistake in params.yaml is refused in one readable line; valid files resolve to the recipes that they describe."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, get_args

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from helpers.checkout import ROOT
from helpers.study import JARGON, REGRESSION, SMALL, study_with
from stages.lib.cli import UserError
from stages.lib.study.claims import ILLUSTRATIONS
from stages.lib.study.keras_names import ACTIVATIONS, DEFAULT_RATES, INITIALIZERS, LOSSES, Backend
from stages.lib.study.load import check_task, load_study
from stages.lib.study.recipe import Monitor
from stages.lib.study.rows import Scaling
from stages.lib.study.settings import Study, merged
from stages.lib.study.strict_yaml import Printed

SCALINGS, BACKENDS, MONITORS = map(get_args, (Scaling, Backend, Monitor))
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
SHARES = "method: train_test_split\n    test: 0.25\n    test_seed: 7\n    validation: 0.25\n    validation_seed: 11\n"
ROWS = "method: rows\n    train: {part: all, rows: [0, 9]}\n    validation: none\n    test: {part: all, rows: [9, 12]}\n"
STRATIFIED = "method: stratified\n    train: 120\n    validation: 40\n    test: 40\n    seed: 0\n"
DENSE = "conv: []\n  kernel_size: 3\n  pool_size: 2\n  hidden: [16]\n  activation: relu"
K_FOLD = "    seed: 0\n  k_fold:\n    folds: 5\n    repeats: 2\n    seed: 0\n"
DEEP_CLAIM = VALID[VALID.index("  depth_helps:") : VALID.index("  it_learns:")]
LEARNS_CLAIM = VALID[VALID.index("  it_learns:") : VALID.index("statistics:")]

Mistake = tuple[str, str, str, tuple[str, ...]]
"""What is replaced in VALID (its first occurrence), by what, the key's path in the message, and what else the message says."""

MISTAKES: dict[str, Mistake] = {
    # Unknown keys, at every level
    "key_at_top": ("title:", "titel:", "top level", ("'titel'", "did you mean 'title'", "statistics")),
    "key_in_data": ("dataset:", "data_set:", "data", ("'data_set'", "did you mean 'dataset'")),
    "key_in_split": ("seed: 0", "seeed: 0", "data.split", ("'seeed'", "did you mean 'seed'", "validation")),
    "key_in_view": ("test_noise:", "noise:", "views.scaled", ("'noise'", "scale, per, fit_on, invert, test_noise, noise_seed")),
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
    "no_split_method": (
        "    method: stratified\n",
        "",
        "data.split",
        ("method is missing", "stratified, rows, train_test_split"),
    ),
    "no_split_seed": ("    seed: 0\n", "", "data.split.seed", ("missing",)),
    "section_without_content": ("statistics:\n  confidence: 0.99\n", "statistics:\n", "statistics", ("null", "mapping")),
    "section_is_a_list": ("statistics:\n  confidence: 0.99\n", "statistics: [0.99]\n", "statistics", ("[0.99]", "mapping")),
    "variant_without_content": (
        "  plain:\n    tip: A start.\n    view: scaled\n",
        "  plain:\n",
        "variants.plain",
        ("null", "mapping"),
    ),
    "no_variants": (VALID[VALID.index("variants:") : VALID.index("claims:")], "variants: {}\n", "variants", ("at least one",)),
    "no_views": (VALID[VALID.index("views:") : VALID.index("model:")], "views: {}\n", "views", ("at least one",)),
    "null_variants": (VALID[VALID.index("variants:") : VALID.index("claims:")], "variants:\n", "variants", ("mapping",)),
    # Wrong types
    "rate_is_text": ("rate: 0.001", "rate: abc", "train.learning_rate", ("'abc'", "greater than 0", "default")),
    "rate_is_quoted": ("rate: 0.001", 'rate: "0.001"', "train.learning_rate", ("'0.001'", "number")),
    "rate_is_true": ("rate: 0.001", "rate: true", "train.learning_rate", ("true", "number")),
    "batch_is_quoted": ("batch_size: 32", 'batch_size: "5"', "train.batch_size", ("'5'", "whole number")),
    "batch_is_true": ("batch_size: 32", "batch_size: true", "train.batch_size", ("true", "whole number")),
    "batch_is_a_fraction": ("batch_size: 32", "batch_size: 3.5", "train.batch_size", ("3.5", "whole number")),
    "batch_is_null": ("batch_size: 32", "batch_size:", "train.batch_size", ("null", "whole number")),
    "epochs_are_a_date": ("epochs: 3", "epochs: 2024-01-31", "train.epochs", ("2024-01-31", "whole number")),
    "epochs_are_a_list": ("epochs: 3", "epochs: [3]", "train.epochs", ("[3]", "whole number")),
    "dropout_is_text": ("dropout: 0.0", "dropout: half", "model.dropout", ("'half'", "number")),
    "title_is_a_number": ("title: A small study", "title: 5", "title", ("5", "text")),
    "flag_is_text": ("tensorboard: false", "tensorboard: no", "train.tensorboard", ("'no'", "true or false")),
    "flag_is_a_number": ("invert: false", "invert: 0", "views.scaled.invert", ("0", "true or false")),
    "hidden_is_a_number": ("hidden: [16]", "hidden: 16", "model.hidden", ("16", "list")),
    "hidden_holds_text": ("hidden: [16]", "hidden: [16, big]", "model.hidden.1", ("'big'", "whole number")),
    "hidden_holds_quotes": ("hidden: [16]", 'hidden: ["16"]', "model.hidden.0", ("'16'", "whole number")),
    "hidden_holds_true": ("hidden: [16]", "hidden: [true]", "model.hidden.0", ("true", "whole number")),
    "hidden_holds_a_fraction": ("hidden: [16]", "hidden: [16.0]", "model.hidden.0", ("16.0", "whole number")),
    "two_mistakes": ("seeds: 3\n  backend: tensorflow", "seeds: x\n  backend: 1", "replicates.seeds", ("'x'", "(and 1 more)")),
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
    "unknown_metric": (
        "metric: test_accuracy",
        "metric: test_acc",
        "claims.depth_helps.metric",
        ("'test_acc'", "'test_accuracy'"),
    ),
    "metric_without_its_level": (
        "metric: test_accuracy",
        "metric: epochs_to_<level>_accuracy",
        "claims.depth_helps.metric",
        ("epochs_to_<level>_accuracy", "0.95"),
    ),
    "unknown_reported_metric": (
        "      test_accuracy: 0.9",
        "      accuracy: 0.9",
        "variants.deep.reported.accuracy",
        ("'accuracy'", "test_accuracy"),
    ),
    "unknown_activation": ("activation: relu", "activation: rleu", "model.activation", ("'rleu'", "'relu'", ACTIVATIONS[0])),
    "unknown_output": ("output_activation: softmax", "output_activation: max", "model.output_activation", ("'max'", "softmax")),
    "unknown_optimizer": (
        "optimizer: adam",
        "optimizer: adma",
        "train.optimizer",
        ("'adma'", "did you mean 'ada", ", ".join(DEFAULT_RATES)),
    ),
    "capital_optimizer": ("optimizer: adam", "optimizer: Adam", "train.optimizer", ("'Adam'", "'adam'", "rmsprop, ")),
    "unknown_loss": (
        "loss: categorical_crossentropy",
        "loss: rmse",
        "train.loss",
        ("'rmse'", "'mse'", "known: mse, ", f" and {len(LOSSES) - 8} more"),
    ),
    "unknown_initializer": (
        "glorot_uniform",
        "glorot",
        "model.kernel_initializer",
        ("'glorot'", ", ".join(INITIALIZERS)),
    ),
    "unknown_scaling": (
        "scale: max",
        "scale: minmax",
        "views.scaled.scale",
        ("'minmax'", "'min_max'", ", ".join(SCALINGS)),
    ),
    "unknown_per": ("per: all", "per: pixel", "views.scaled.per", ("'pixel'", "all", "feature")),
    "unknown_backend": (
        "backend: tensorflow",
        "backend: theano",
        "replicates.backend",
        ("'theano'", ", ".join(BACKENDS)),
    ),
    "unknown_monitor": (
        "monitor: none",
        "monitor: acc",
        "train.early_stopping.monitor",
        ("'acc'", ", ".join(MONITORS)),
    ),
    "unknown_keep_models": (
        "keep_models: first",
        "keep_models: last",
        "replicates.keep_models",
        ("'last'", "first", "all", "none"),
    ),
    "unknown_normalization": (
        "batch_normalization: none",
        "batch_normalization: both",
        "model.batch_normalization",
        ("'both'", "none", "before", "after"),
    ),
    "unknown_method": ("method: stratified", "method: random", "data.split", ("method 'random'", "stratified, rows")),
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
    "name_with_dot": ("  deep:\n", "  deep.er:\n", "variants.'deep.er'", ("underscores",)),
    "name_with_digit_first": ("  depth_helps:", "  2_helps:", "claims.2_helps", ("'2_helps'", "small letter")),
    "name_with_newline": ("  deep:\n", '  "deep\\n":\n', r"variants.'deep\n'", ("underscores",)),
    "name_empty": ("  deep:\n", '  "":\n', "variants.''", ("small letter",)),
    "name_of_data_set": ("dataset: digits", "dataset: ../digits", "data.dataset", ("'../digits'", "small letter")),
    # Keys that YAML does not read as text
    "key_is_a_number": ("  deep:\n", "  64:\n", "variants", ("key 64", "quote it or rename it")),
    "key_is_true": ("  deep:\n", "  true:\n", "variants", ("key true", "not text")),
    "key_is_a_fraction": ("  deep:\n", "  1.5:\n", "variants", ("key 1.5", "not text")),
    "key_is_a_date": ("  deep:\n", "  2024-01-31:\n", "variants", ("key 2024-01-31", "not text")),
    "key_is_null": ("  deep:\n", "  null:\n", "variants", ("key null", "not text")),
    "key_is_a_number_in_a_list": ("hidden: [8, 8]", "hidden: [{8: 8}]", "variants.deep.model.hidden.0", ("key 8", "not text")),
    # Claims
    "claim_without_variant": ("    variant: plain\n", "", "claims.it_learns", ("either variant", "or compare")),
    "claim_with_both": (
        "    variant: plain\n",
        "    variant: plain\n    compare: [plain, deep]\n",
        "claims.it_learns",
        ("either",),
    ),
    "threshold_of_a_comparison": (
        "margin: 0.01",
        "threshold: 0.01",
        "claims.depth_helps.threshold",
        ("threshold", "at_least", "at_most"),
    ),
    "no_threshold": ("    threshold: 0.8\n", "", "claims.it_learns.expect", ("at_least", "needs a threshold")),
    "threshold_of_two": ("    variant: plain\n", "    compare: [plain, deep]\n", "claims.it_learns.expect", ("one variant",)),
    "direction_of_one": (
        LEARNS_CLAIM,
        LEARNS_CLAIM.replace("at_least\n    threshold: 0.8", "higher"),
        "claims.it_learns.expect",
        ("needs compare",),
    ),
    "same_without_margin": (
        DEEP_CLAIM,
        DEEP_CLAIM.replace("higher\n    margin: 0.01", "same"),
        "claims.depth_helps.expect",
        ("same", "margin greater than 0"),
    ),
    "compare_one": ("[plain, deep]", "[plain]", "claims.depth_helps.compare", ("two",)),
    "compare_three": ("[plain, deep]", "[plain, deep, stopped]", "claims.depth_helps.compare", ("two",)),
    "compare_equal": ("[plain, deep]", "[plain, plain]", "claims.depth_helps.compare", ("'plain' twice",)),
    "compare_is_text": ("[plain, deep]", "plain", "claims.depth_helps.compare", ("'plain'", "list")),
    # Settings that contradict each other
    "momentum_with_adam": ("momentum: 0.0", "momentum: 0.9", "train.momentum", ("0.9", "sgd and rmsprop", "adam")),
    "momentum_of_a_variant": (
        "    train:\n      early_stopping:\n        monitor: val_loss\n",
        "    train:\n      momentum: 0.9\n",
        "variants.stopped.train.momentum",
        ("0.9", "sgd and rmsprop", "adam"),
    ),
    "monitor_without_validation": (
        STRATIFIED,
        ROWS,
        "variants.stopped.train.early_stopping.monitor",
        ("val_loss", "validation"),
    ),
    "monitor_with_no_validation_rows": (
        "validation: 40",
        "validation: 0",
        "variants.stopped.train.early_stopping.monitor",
        ("val_loss", "validation"),
    ),
    # Limits
    "key_in_limits": ("statistics:", "limits:\n  row: 5\nstatistics:", "limits", ("'row'", "did you mean 'rows'", "seeds")),
    "limit_of_nothing": (
        "statistics:",
        "limits:\n  rows: 0\nstatistics:",
        "limits.rows",
        ("0", "whole number of at least 1, or none"),
    ),
    "limit_is_text": ("statistics:", "limits:\n  seeds: all\nstatistics:", "limits.seeds", ("'all'", "or none")),
    "limit_is_a_fraction": ("statistics:", "limits:\n  epochs: 0.5\nstatistics:", "limits.epochs", ("0.5", "or none")),
    "limit_is_true": ("statistics:", "limits:\n  epochs: true\nstatistics:", "limits.epochs", ("true", "or none")),
    # Layers that only some networks have
    "maxout_of_a_convolution": (
        DENSE,
        DENSE.replace("conv: []", "conv: [4]").replace("relu", "maxout"),
        "model.activation",
        ("maxout", "conv must be []"),
    ),
    "maxout_of_an_output": (
        "output_activation: softmax",
        "output_activation: maxout",
        "model.output_activation",
        ("'maxout'", "softmax"),
    ),
    "one_piece": ("l2: 0.0", "l2: 0.0\n  maxout_pieces: 1", "model.maxout_pieces", ("1", "or equal to 2")),
    "negative_slope": ("l2: 0.0", "l2: 0.0\n  negative_slope: -0.1", "model.negative_slope", ("-0.1", "or equal to 0")),
    "unknown_dropout_layers": (
        "l2: 0.0",
        "l2: 0.0\n  dropout_layers: first",
        "model.dropout_layers",
        ("'first'", "all", "last"),
    ),
    "unknown_dropout_type": ("l2: 0.0", "l2: 0.0\n  dropout_type: alpha", "model.dropout_type", ("'alpha'", "alpha_dropout")),
    "key_in_wide_deep": ("l2: 0.0", "l2: 0.0\n  wide_deep: {wid: all}", "model.wide_deep", ("'wid'", "did you mean 'wide'")),
    "unknown_api": (
        "l2: 0.0",
        "l2: 0.0\n  wide_deep: {api: sequential}",
        "model.wide_deep.api",
        ("'sequential'", "none", "functional", "subclass"),
    ),
    "wide_without_deep": (
        "l2: 0.0",
        "l2: 0.0\n  wide_deep: {api: functional, wide: [0, 2]}",
        "model.wide_deep",
        ("wide and deep", "for both", "two inputs", "neither"),
    ),
    "two_inputs_of_a_stack": (
        "l2: 0.0",
        "l2: 0.0\n  wide_deep: {wide: [0, 2], deep: [1, 3]}",
        "model.wide_deep.api",
        ("none", "functional or subclass"),
    ),
    "second_output_of_a_stack": (
        "l2: 0.0",
        "l2: 0.0\n  wide_deep: {auxiliary_output: true}",
        "model.wide_deep.api",
        ("api: none", "auxiliary_output", "functional or subclass"),
    ),
    "features_reversed": (
        "l2: 0.0",
        "l2: 0.0\n  wide_deep: {api: functional, wide: [2, 0], deep: all}",
        "model.wide_deep.wide",
        ("[2, 0]", "no feature", "first < stop", "all"),
    ),
    "wide_without_hidden": (
        "    model:\n      hidden: [8, 8]\n",
        "    model:\n      hidden: []\n      wide_deep: {api: functional}\n",
        "variants.deep.model.wide_deep",
        ("needs hidden layers",),
    ),
    "second_output_that_is_not_there": (
        "metric: test_accuracy",
        "metric: test_mse_deep",
        "claims.depth_helps.metric",
        ("test_mse_deep", "auxiliary_output", "plain has not"),
    ),
    # How replicates are trained
    "unknown_fit_on": (
        "per: all",
        "per: all\n    fit_on: test",
        "views.scaled.fit_on",
        ("'test'", "train", "each_split"),
    ),
    "negative_noise_seed": ("per: all", "per: all\n    noise_seed: -1", "views.scaled.noise_seed", ("-1", "or equal to 0")),
    "compiler_as_text": ("seeds: 3", "seeds: 3\n  jit_compile: auto", "replicates.jit_compile", ("'auto'", "true or false")),
    "diagnostics_as_number": ("seeds: 3", "seeds: 3\n  diagnostics: 1", "replicates.diagnostics", ("1", "true or false")),
    "negative_validation_rows": (
        "  tensorboard: false",
        "  tensorboard: false\n  validation_rows: -1",
        "train.validation_rows",
        ("-1", "or equal to 0"),
    ),
    "validation_twice": (
        "        monitor: val_loss",
        "        monitor: val_loss\n      validation_rows: 10",
        "variants.stopped.train.validation_rows",
        ("data.split", "already", "set 0"),
    ),
    # Folds
    "one_fold": ("    seed: 0\n", K_FOLD.replace("folds: 5", "folds: 1"), "data.k_fold.folds", ("1", "or equal to 2")),
    "no_repeat": ("    seed: 0\n", K_FOLD.replace("repeats: 2", "repeats: 0"), "data.k_fold.repeats", ("0", "or equal to 1")),
    "folds_without_seed": ("    seed: 0\n", K_FOLD.removesuffix("    seed: 0\n"), "data.k_fold.seed", ("missing",)),
    "folds_that_are_not_there": (
        "    tip: Depth.\n",
        "    tip: Depth.\n    k_fold: true\n",
        "variants.deep.k_fold",
        ("data.k_fold", "folds, repeats and seed"),
    ),
    "folds_as_number": (
        "    tip: Depth.\n",
        "    tip: Depth.\n    k_fold: 5\n",
        "variants.deep.k_fold",
        ("5", "true or false"),
    ),
    # Shares of the rows
    "share_of_everything": (STRATIFIED, SHARES.replace("test: 0.25", "test: 1.0"), "data.split.test", ("1.0", "less than 1")),
    "share_of_nothing": (
        STRATIFIED,
        SHARES.replace("validation: 0.25", "validation: 0.0"),
        "data.split.validation",
        ("0.0", "greater than 0"),
    ),
    "share_in_rows": (STRATIFIED, SHARES.replace("test: 0.25", "test: 250"), "data.split.test", ("250", "less than 1")),
    "share_without_seed": (STRATIFIED, SHARES.replace("    test_seed: 7\n", ""), "data.split.test_seed", ("missing",)),
    # Illustrations and notes
    "unknown_illustration": (
        "statistics:",
        "illustrations:\n  softmaxx:\n    says: Adds up to 1.\nstatistics:",
        "illustrations.softmaxx",
        ("'softmaxx'", "did you mean 'softmax'", ", ".join(ILLUSTRATIONS)),
    ),
    "illustration_without_words": (
        "statistics:",
        "illustrations:\n  softmax: {}\nstatistics:",
        "illustrations.softmax.says",
        ("missing",),
    ),
    "numbers_of_text": (
        "statistics:",
        "illustrations:\n  softmax:\n    says: Adds up to 1.\n    reported: {sum: [one]}\nstatistics:",
        "illustrations.softmax.reported.sum.0",
        ("'one'", "number"),
    ),
    "numbers_without_a_list": (
        "statistics:",
        "illustrations:\n  softmax:\n    says: Adds up to 1.\n    reported: {sum: 1}\nstatistics:",
        "illustrations.softmax.reported.sum",
        ("1", "list"),
    ),
    "notes_are_text": ("statistics:", "notes: One.\nstatistics:", "notes", ("'One.'", "list")),
    "note_is_a_number": ("statistics:", "notes: [1]\nstatistics:", "notes.0", ("1", "text", "a mapping of says and about")),
    "note_without_words": ("statistics:", "notes: [{about: [plain]}]\nstatistics:", "notes.0.says", ("missing",)),
    "key_of_a_note": ("statistics:", "notes: [{say: One.}]\nstatistics:", "notes.0", ("'say'", "did you mean 'says'")),
    "note_about_one_name": ("statistics:", "notes: [{says: One., about: plain}]\nstatistics:", "notes.0.about", ("a list",)),
    "note_about_nobody": (
        "statistics:",
        "notes: [One., {says: Two., about: [plain, dep]}]\nstatistics:",
        "notes.1.about",
        ("unknown claim or variant 'dep'", "did you mean 'deep'", "known: depth_helps, it_learns, plain, deep, stopped"),
    ),
    # Rows
    "rows_reversed": (
        STRATIFIED,
        ROWS.replace("[0, 9]", "[9, 0]"),
        "data.split.train.rows",
        ("[9, 0]", "no row", "first < stop"),
    ),
    "rows_empty": (STRATIFIED, ROWS.replace("[9, 12]", "[9, 9]"), "data.split.test.rows", ("[9, 9]", "no row")),
    "rows_of_three": (STRATIFIED, ROWS.replace("[0, 9]", "[0, 3, 9]"), "data.split.train.rows", ("two",)),
    "rows_negative": (STRATIFIED, ROWS.replace("[0, 9]", "[-1, 9]"), "data.split.train.rows.0", ("-1", "or equal to 0")),
    "rows_as_text": (STRATIFIED, ROWS.replace("[0, 9]", "all"), "data.split.train.rows", ("'all'", "list")),
    "validation_of_neither": (
        STRATIFIED,
        ROWS.replace("validation: none", "validation: off"),
        "data.split.validation",
        ("none", "'off'"),
    ),
    "validation_without_part": (
        STRATIFIED,
        ROWS.replace("validation: none", "validation: {rows: [9, 12]}"),
        "data.split.validation.part",
        ("missing",),
    ),
    # Mistakes of a variant are reported where the variant makes them
    "variant_layer": ("hidden: [8, 8]", "hidden: [8, -8]", "variants.deep.model.hidden.1", ("-8", "or equal to 1")),
    "variant_view_of_nothing": (
        "    extends: plain\n    model:",
        "    extends: plain\n    view: 7\n    model:",
        "variants.deep.view",
        ("7", "text"),
    ),
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
        ("true", "mapping"),
    ),
    # What YAML allows, and DVC's -S does not survive
    "duplicate_key": ("  epochs: 3\n", "  epochs: 3\n  epochs: 4\n", "line 37", ("YAML", "duplicate", "epochs")),
    "anchor": ("hidden: [16]", "hidden: &wide [16]", "line 23", ("anchors", "write the value out")),
    "alias": ("hidden: [8, 8]", "hidden: *wide", "line 57", ("aliases",)),
    "merge_key": (
        "  raw:\n    scale: none",
        "  raw:\n    <<: {scale: none}",
        "line 18",
        ("merge keys", "write the values out"),
    ),
    "unbalanced_bracket": ("hidden: [16]", "hidden: [16", "line 24", ("not valid YAML",)),
    "tab": ("  dataset: digits", "\tdataset: digits", "line 4", ("not valid YAML",)),
    "python_object": (
        "epochs: 3",
        "epochs: !!python/object/apply:os.system [ls]",
        "line 36",
        ("is a tag; write the value without it",),
    ),
    "two_documents": ("train:\n  loss:", "---\ntrain:\n  loss:", "line 30", ("document",)),
}


def message_of(folder: Path, text: str) -> str:
    """What a user is told about a params.yaml, after its path."""
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_study(folder)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def load(folder: Path, content: str | Mapping[str, Any]) -> Study:
    path = folder / "params.yaml"
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(content, file)
    return load_study(folder)


def small(changes: Mapping[str, Any]) -> dict[str, Any]:
    return merged(copy.deepcopy(SMALL), changes)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_in_one_line_that_says_where_and_what_is_allowed(name: str, tmp_path: Path) -> None:
    old, new, place, hints = MISTAKES[name]
    message = message_of(tmp_path, changed(VALID, old, new))
    assert message.startswith(f"{place}: ")
    for hint in hints:
        assert hint in message
    assert "\n" not in message
    assert len(message.partition("; known: ")[0]) < 200
    assert len(message) <= 400  # with the longest list of known names
    assert not [word for word in JARGON if word in message]


def test_the_text_that_the_mistakes_are_made_in_is_valid(tmp_path: Path) -> None:
    study = load(tmp_path, VALID)
    assert list(study.recipes) == ["plain", "deep", "stopped"]
    assert study.recipes["stopped"].model.hidden == (8, 8)


@pytest.mark.parametrize(
    ("old", "new", "place", "measure"),
    [
        ("best_checkpoint: false", "best_checkpoint: true", "variants.plain.train.best_checkpoint", "val_loss"),
        ("metric: test_accuracy", "metric: best_epoch", "claims.depth_helps.metric", "best_epoch"),
        ("metric: test_accuracy", "metric: val_loss", "claims.depth_helps.metric", "val_loss"),
        (
            "metric: test_accuracy",
            "metric: epochs_to_0.9_val_accuracy",
            "claims.depth_helps.metric",
            "epochs_to_0.9_val_accuracy",
        ),
        ("      test_accuracy: 0.9", "      val_accuracy: 0.9", "variants.deep.reported.val_accuracy", "val_accuracy"),
        ("monitor: none", "monitor: val_accuracy", "variants.plain.train.early_stopping.monitor", "val_accuracy"),
    ],
)
def test_what_needs_validation_rows_is_refused_without_them(
    old: str, new: str, place: str, measure: str, tmp_path: Path
) -> None:
    without = changed(changed(VALID, STRATIFIED, ROWS), "monitor: val_loss", "monitor: loss")
    assert load(tmp_path, without).data.split.validation == "none"
    message = message_of(tmp_path, changed(without, old, new))
    assert message == f"{place}: {measure} needs validation rows, and data.split sets none apart"


def test_what_needs_diagnostics_is_refused_without_them(tmp_path: Path) -> None:
    claim = {**study_with().claims["noise_hurts"].model_dump(exclude_none=True), "metric": "log10_gradient_ratio_at_start"}
    made = {**SMALL, "claims": {"noise_hurts": claim}}
    assert load(tmp_path, merged(made, {"replicates": {"diagnostics": True}})).claims
    message = message_of(tmp_path, json.dumps(merged(made, {"replicates": {"diagnostics": False}})))
    assert message == "claims.noise_hurts.metric: log10_gradient_ratio_at_start needs replicates.diagnostics: true"


@pytest.mark.parametrize(
    ("task", "changes", "place"),
    [
        ("regression", {}, "claims.noise_hurts.metric: test_accuracy"),
        ("regression", {"claims": {"noise_hurts": {"metric": "epochs_to_0.9_accuracy"}}}, "claims.noise_hurts.metric"),
        (
            "regression",
            {
                "claims": {"noise_hurts": {"metric": "test_loss"}},
                "variants": {"plain": {"train": {"early_stopping": {"monitor": "accuracy"}}}},
            },
            "variants.plain.train.early_stopping.monitor: accuracy",
        ),
        ("classification", {"claims": {"noise_hurts": {"metric": "test_mae"}}}, "claims.noise_hurts.metric: test_mae"),
        ("classification", {"variants": {"plain": {"reported": {"val_mae": 2.0}}}}, "variants.plain.reported.val_mae"),
    ],
)
def test_a_measure_that_the_task_does_not_have_is_refused(task: str, changes: dict[str, Any], place: str) -> None:
    with pytest.raises(UserError) as caught:
        check_task(study_with(changes), task)
    assert str(caught.value).startswith(place)
    assert str(caught.value).endswith(f"is not measured in a {task}")


def test_a_second_output_is_for_a_regression() -> None:
    study = study_with({"variants": {"plain": {"model": {"wide_deep": {"api": "functional", "auxiliary_output": True}}}}})
    with pytest.raises(UserError, match=r"variants\.plain\.model\.wide_deep\.auxiliary_output: is for a regression"):
        check_task(study, "classification")


def accepted(study: Study, task: str) -> bool:
    try:
        check_task(study, task)
    except UserError:
        return False
    return True


def test_a_measure_of_the_task_is_accepted() -> None:
    assert accepted(study_with(), "classification")
    for metric in ("test_mae", "test_loss", "generalization_gap", "best_epoch", "seconds"):
        assert accepted(study_with({**REGRESSION, "claims": {"noise_hurts": {"metric": metric}}}), "regression")


def test_a_mistake_is_reported_where_it_is_made_and_not_at_the_variants_that_inherit_it(tmp_path: Path) -> None:
    """The child comes first in the file, its parent's parent last."""
    variants = {
        "child": {"tip": "-", "extends": "parent"},
        "parent": {"tip": "-", "extends": "eldest", "model": {"hidden": [4]}},
        "eldest": {"tip": "-", "view": "scaled", "model": {"dropout": 1.5}},
    }
    content = {**small({}), "variants": variants, "claims": {}}
    with pytest.raises(UserError, match=r"variants\.eldest\.model\.dropout: 1\.5 must be less than 1"):
        load(tmp_path, content)


def test_a_change_that_clashes_with_what_is_inherited_is_the_child_s_mistake(tmp_path: Path) -> None:
    variants = {
        "pushed": {"tip": "-", "view": "scaled", "train": {"optimizer": "sgd", "momentum": 0.9}},
        "child": {"tip": "-", "extends": "pushed", "train": {"optimizer": "nadam"}},
    }
    with pytest.raises(UserError, match=r"variants\.child\.train\.momentum: 0\.9 .* not for nadam"):
        load(tmp_path, {**small({}), "variants": variants, "claims": {}})


# What a valid file means


def test_learning_rate_default_is_that_of_the_variant_s_own_optimizer() -> None:
    study = study_with(
        {
            "train": {"learning_rate": "default"},
            "variants": {
                **{name: {"tip": "-", "extends": "plain", "train": {"optimizer": name}} for name in DEFAULT_RATES},
                "pinned": {"tip": "-", "extends": "sgd", "train": {"learning_rate": 0.5}},
            },
        }
    )
    rates = {name: study.recipes[name].train.learning_rate for name in DEFAULT_RATES}
    assert rates == DEFAULT_RATES
    assert study.recipes["plain"].train.learning_rate == 0.001
    assert study.recipes["pinned"].train.learning_rate == 0.5


def test_a_variant_trains_on_its_own_view_or_its_nearest_ancestor_s() -> None:
    variants = {"child": {"tip": "-", "extends": "noisy"}, "grandchild": {"tip": "-", "extends": "child", "view": "scaled"}}
    study = study_with({"variants": variants})
    views = {name: study.view_of(name) for name in ("plain", "noisy", "child", "grandchild")}
    assert views == {"plain": "scaled", "noisy": "noisy", "child": "noisy", "grandchild": "scaled"}
    assert study.recipes["child"].view == study.views["noisy"]


def test_a_study_repeats_a_source_if_something_is_reported_or_marked_as_ours() -> None:
    claims = {"noise_hurts": {"reported": None, "ours": False}}
    own = study_with({"claims": claims, "variants": {name: {"reported": {}, "ours": False} for name in ("plain", "noisy")}})
    assert not own.repeats_a_source
    assert study_with({"claims": {"noise_hurts": {"ours": True}}}).repeats_a_source
    assert study_with({"variants": {"plain": {"reported": {"test_accuracy": 0.9}}}}).repeats_a_source


def test_looks_decide_how_often_variants_with_claims_are_trained() -> None:
    study = study_with({"statistics": {"looks": [5, 7]}})
    assert [len(study.seeds(name)) for name in ("plain", "noisy", "dropped")] == [7, 7, 3]
    assert [len(study.first_seeds(name)) for name in ("plain", "noisy", "dropped")] == [5, 5, 3]


def test_without_looks_claims_are_judged_once_by_all_replicates() -> None:
    study = study_with()
    assert study.looks == (3,)
    assert [study.seeds(name) for name in study.variants] == [study.first_seeds(name) for name in study.variants]


K_FOLDED = {"data": {"k_fold": {"folds": 4, "repeats": 3, "seed": 0}}, "variants": {"plain": {"k_fold": True}}}


def test_a_variant_with_folds_has_one_replicate_for_each_and_hands_them_down() -> None:
    study = study_with(merged(K_FOLDED, {"variants": {"dropped": {"k_fold": False}}}))
    assert [len(study.seeds(name)) for name in ("plain", "noisy", "dropped")] == [12, 12, 3]
    assert study.recipes["noisy"].k_fold == study.data.k_fold
    assert study.recipes["dropped"].k_fold is None


SHARED = {
    "method": "rows",
    "train": {"part": "all", "rows": [0, 60]},
    "validation": {"part": "all", "rows": [60, 90]},
    "test": {"part": "all", "rows": [80, 120]},
}
"""A split whose validation rows are test rows, too."""


def test_neither_folds_nor_a_search_may_use_test_rows(tmp_path: Path) -> None:
    content = small({})
    content["data"]["split"] = SHARED
    load(tmp_path, content)
    said = r"data\.split\.validation: {} uses these rows, so they must not be test rows$"
    with pytest.raises(UserError, match=said.format(r"variants\.\w+\.k_fold")):
        load(tmp_path, merged(content, K_FOLDED))
    search = {
        "variant": "plain",
        "space": {"rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1]}},
        "strategies": {"random": {"method": "random"}},
        **{"trials": 2, "batch": 1, "seeds": 1, "folds": 1, "refits": 1, "pruning": "none", "claims": {}},
        "metric": "val_loss",
    }
    with pytest.raises(UserError, match=said.format("search")):
        load(tmp_path, merged(content, {"search": search}))
    content["data"]["split"] = merged(SHARED, {"test": {"rows": [90, 120]}})
    load(tmp_path, merged(content, {"search": search}))


def test_limits_lower_and_never_raise() -> None:
    changes = merged(K_FOLDED, {"claims": {"noise_hurts": {"metric": "test_loss"}}, "variants": {"dropped": {"k_fold": False}}})
    study = study_with({**changes, "limits": {"rows": 10, "epochs": 2, "seeds": 1}})
    assert [len(study.seeds(name)) for name in study.variants] == [1, 1, 1]
    assert study.looks == (1,)
    assert {recipe.train.epochs for recipe in study.recipes.values()} == {2}
    high = study_with({**changes, "limits": {"rows": "none", "epochs": 1000, "seeds": 1000}})
    none = study_with(changes)
    assert [high.seeds(name) for name in high.variants] == [none.seeds(name) for name in none.variants]
    assert high.recipes == none.recipes


def test_held_out_training_rows_are_validation_rows_of_their_variant_alone(tmp_path: Path) -> None:
    stopping = {"validation_rows": 10, "early_stopping": {"monitor": "val_loss"}}
    train, test = {"part": "all", "rows": [0, 9]}, {"part": "all", "rows": [9, 12]}
    split = {"method": "rows", "train": train, "validation": "none", "test": test}
    content = small({"variants": {"held": {"tip": "-", "extends": "plain", "train": stopping}}})
    content["data"] = {"dataset": "blobs", "split": split}
    study = load(tmp_path, content)
    assert [name for name in study.variants if study.has_validation(name)] == ["held"]


def test_an_illustration_has_the_numbers_that_its_source_prints() -> None:
    study = study_with({"illustrations": {"softmax": {"says": "Adds up to 1.", "reported": {"sum": [1], "parts": [0.5, 0.5]}}}})
    assert study.illustrations["softmax"].reported == {"sum": (1.0,), "parts": (0.5, 0.5)}


def test_a_reported_number_keeps_the_digits_that_are_printed(tmp_path: Path) -> None:
    changes = {"variants": {"plain": {"reported": {"test_accuracy": "0.9960", "test_loss": 0.5, "epochs": 7}}}}
    reported = load(tmp_path, small(changes)).variants["plain"].reported
    assert reported == {"test_accuracy": 0.996, "test_loss": 0.5, "epochs": 7}
    texts = {name: number.text for name, number in reported.items() if isinstance(number, Printed)}
    assert texts == {"test_accuracy": "0.9960", "test_loss": "0.5", "epochs": "7"}


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        study_with().train.epochs = 7  # type: ignore[misc]


# The starter study


@pytest.fixture(scope="module")
def starter() -> Study:
    return load_study(ROOT)


def test_one_changed_default_reaches_every_variant_that_does_not_pin_its_own(starter: Study, tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert starter.train.batch_size == 64
    after = load(tmp_path, changed(text, "\n  batch_size: 64 ", "\n  batch_size: 4096 "))
    pinned = {name for name in starter.variants if starter.recipes[name].train.batch_size != 64}
    assert pinned
    assert "baseline" not in pinned
    for name, before in starter.recipes.items():
        train = before.train if name in pinned else before.train.model_copy(update={"batch_size": 4096})
        assert after.recipes[name] == before.model_copy(update={"train": train})


def test_no_two_variants_are_the_same_experiment(starter: Study) -> None:
    """In particular, every variant changes something against its parent."""
    names: dict[str, str] = {}
    for name, recipe in starter.recipes.items():
        same = names.setdefault(recipe.model_dump_json(), name)
        assert same == name
    assert len(names) == len(starter.variants) >= 20


def test_every_variant_but_the_baseline_is_the_subject_of_a_claim(starter: Study) -> None:
    judged = {variant for claim in starter.claims.values() for variant in claim.variants}
    assert judged >= set(starter.variants) - {"baseline"}


def test_the_starter_has_no_measure_that_a_classification_lacks(starter: Study) -> None:
    assert accepted(starter, "classification")


def test_rewriting_the_starter_as_dvc_does_keeps_its_settings(starter: Study, tmp_path: Path) -> None:
    """`-S` loads the file with its comments, sets a key and writes the whole file again."""
    yaml = YAML()
    content = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["train"]["epochs"] = 3
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    epochs = starter.train.model_copy(update={"epochs": 3})
    assert load_study(tmp_path) == starter.model_copy(update={"train": epochs})


# The names that Keras knows

EXCLUDED = {
    "glu": "halves the width of its layer, and needs it to be even",
    "threshold": "needs arguments",
    "constant": "needs its argument; without one it is zeros",
    "identity": "for square matrices, not for the kernel of a convolution",
    "stft": "a Fourier transform of sound, for a layer that is not trained",
    "ctc": "for sequences with a blank label",
    "circle": "for embeddings, not for classes",
    "categorical_generalized_cross_entropy": "a class; keras.losses.get does not find it by name",
    "lamb": "keras.optimizers.get does not find it by name",
    "lossscaleoptimizer": "wraps another optimizer",
    "multioptimizer": "wraps other optimizers",
    "optimizermap": "wraps other optimizers",
    "optimizer": "the base class",
}
"""What Keras has, and a recipe cannot name, and why."""
UTILITIES = {"get", "serialize", "deserialize"}
ALIASES = {"mse", "mae", "mape", "msle"}
"""Short names that keras.losses.get knows, and that its module does not list."""


def functions_of(module: Any) -> set[str]:
    return {name for name, value in vars(module).items() if name.islower() and callable(value)} - UTILITIES


@pytest.mark.parametrize(
    ("known", "module"),
    [(ACTIVATIONS, keras.activations), (INITIALIZERS, keras.initializers), (LOSSES, keras.losses)],
    ids=["activations", "initializers", "losses"],
)
def test_the_names_are_those_of_the_installed_keras(known: list[str], module: Any) -> None:
    assert len(known) == len(set(known))
    assert set(known) - ALIASES == functions_of(module) - EXCLUDED.keys()
    for name in known:
        assert module.get(name) is not None


def test_default_learning_rates_are_those_of_the_installed_keras() -> None:
    optimizers = {name.lower(): value for name, value in vars(keras.optimizers).items() if isinstance(value, type)}
    assert DEFAULT_RATES.keys() == optimizers.keys() - EXCLUDED.keys()
    for name, rate in DEFAULT_RATES.items():
        assert inspect.signature(optimizers[name]).parameters["learning_rate"].default == rate
        assert type(keras.optimizers.get(name)) is optimizers[name]


def test_momentum_is_a_setting_of_the_optimizers_that_accept_it() -> None:
    """Muon has one too, but its default is 0.95: a default of 0.0 for all would change what muon is."""
    for name in DEFAULT_RATES:
        optimizer = type(keras.optimizers.get(name))
        parameter = inspect.signature(optimizer).parameters.get("momentum")
        accepts = parameter is not None and parameter.default == 0.0
        train = {"optimizer": name, "momentum": 0.9}
        if accepts:
            assert study_with({"train": train}).recipes["plain"].train.momentum == 0.9
        else:
            with pytest.raises(ValidationError, match="momentum"):
                study_with({"train": train})


def test_every_excluded_name_exists_and_is_excluded() -> None:
    modules = (keras.activations, keras.initializers, keras.losses)
    there = set.union(*(functions_of(module) for module in modules)) | {name.lower() for name in vars(keras.optimizers)}
    assert EXCLUDED.keys() <= there
    assert not EXCLUDED.keys() & {*ACTIVATIONS, *INITIALIZERS, *LOSSES, *DEFAULT_RATES}


# Properties, by random trial

QUICK = settings(deadline=None, max_examples=60, derandomize=True)
WORDS = sorted({"adam", "default", "none", "val_loss", "stratified", "rows", "all", "plain", "scaled", "test_accuracy", "same"})
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.integers()
    | st.floats()
    | st.dates()
    | st.sampled_from(WORDS)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abz_9.", max_size=4), inner, max_size=3),
    max_leaves=6,
)


def paths_in(content: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in content.items():
        found.append((*above, key))
        if isinstance(value, Mapping):
            found += paths_in(value, (*above, key))
            found.append((*above, key, "another"))
    return found


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    result: Any = value
    for key in reversed(path):
        result = {key: result}
    return dict(result)


@settings(QUICK, max_examples=150)
@given(path=st.sampled_from(paths_in(SMALL)), value=VALUES)
def test_any_value_anywhere_is_accepted_or_refused_in_one_line(
    path: tuple[str, ...], value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = copy.deepcopy(SMALL)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    folder = tmp_path_factory.mktemp("study")
    try:
        study = load(folder, content)
    except UserError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert set(study.recipes) == set(study.variants)
        assert all(study.seeds(name) for name in study.variants)
    assert "\n" not in refusal
    assert len(refusal) < 1000


TREES = st.fixed_dictionaries(
    {},
    optional={
        "a": st.integers(),
        "b": st.lists(st.integers(), max_size=2),
        "inner": st.fixed_dictionaries({}, optional={"a": st.integers(), "c": st.text(max_size=2)}),
    },
)


@QUICK
@given(TREES, TREES, TREES)
def test_merging_is_associative_idempotent_and_has_an_identity(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    before = copy.deepcopy((a, b, c))
    assert merged(merged(a, b), c) == merged(a, merged(b, c))
    assert merged(merged(a, b), b) == merged(a, b)
    assert merged(a, {}) == merged({}, a) == a
    assert (a, b, c) == before


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "model.hidden": st.lists(st.integers(1, 9), max_size=3),
        "model.dropout": st.sampled_from([0.0, 0.25, 0.5]),
        "train.epochs": st.integers(1, 9),
        "train.learning_rate": st.sampled_from([0.125, 0.25]),
        "train.early_stopping.monitor": st.sampled_from(["none", "loss", "val_loss"]),
        "train.early_stopping.patience": st.integers(0, 9),
    },
)


@st.composite
def families(draw: st.DrawFn) -> list[tuple[int | None, dict[str, Any]]]:
    """Variants as (number of the parent, changes by dotted key); each parent comes before its children."""
    changes = draw(st.lists(CHANGES, min_size=1, max_size=7))
    return [(draw(st.integers(0, i - 1)) if i and draw(st.booleans()) else None, each) for i, each in enumerate(changes)]


@QUICK
@given(family=families(), order=st.randoms(use_true_random=False))
def test_a_chain_of_any_shape_resolves_to_its_changes_applied_by_hand(
    family: list[tuple[int | None, dict[str, Any]]], order: Random
) -> None:
    variants: dict[str, Any] = {}
    expected: dict[str, dict[str, Any]] = {}
    for number, (parent, changes) in enumerate(family):
        variant: dict[str, Any] = {"tip": "-"}
        for key, value in changes.items():
            variant = merged(variant, nested(tuple(key.split(".")), value))
        variant |= {"view": "scaled"} if parent is None else {"extends": f"v{parent}"}
        variants[f"v{number}"] = variant
        expected[f"v{number}"] = {**(expected[f"v{parent}"] if parent is not None else {}), **changes}
    names = list(variants)
    order.shuffle(names)
    study = Study.model_validate({**SMALL, "variants": {name: variants[name] for name in names}, "claims": {}})
    for name, recipe in study.recipes.items():
        for key in ("model.hidden", "model.dropout", "train.epochs", "train.early_stopping.monitor", "train.batch_size"):
            section, *rest = key.split(".")
            default: Any = SMALL[section]
            actual: Any = recipe.model_dump()[section]
            for part in rest:
                default, actual = default[part], actual[part]
            wanted = expected[name].get(key, default)
            assert actual == (tuple(wanted) if isinstance(wanted, list) else wanted)


@QUICK
@given(
    rate=st.floats(min_value=0, exclude_min=True, max_value=1e9) | st.just("default"),
    l2=st.floats(min_value=0, max_value=1e9),
    hidden=st.lists(st.integers(1, 1_000_000), max_size=3),
    text=st.text("ab1 é'\"#-", max_size=20),
    threshold=st.floats(-1e30, 1e30),
)
def test_writing_and_reading_again_keeps_the_settings(
    rate: float | str,
    l2: float,
    hidden: list[int],
    text: str,
    threshold: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    claim = {"says": text, "variant": "plain", "metric": "test_loss", "expect": "at_most", "threshold": threshold}
    content = small(
        {
            "train": {"learning_rate": rate},
            "model": {"l2": l2},
            "variants": {"dropped": {"tip": text, "model": {"hidden": hidden}}},
            "claims": {"drawn": claim},
        }
    )
    folder = tmp_path_factory.mktemp("study")
    study = load(folder, content)
    assert study == Study.model_validate(content)
    assert load(folder, study.model_dump(mode="json")) == study
