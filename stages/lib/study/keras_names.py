"""The names that Keras knows.

They are written down because importing Keras takes seconds, which stages that only read results need not spend. A test compares
them with the installed Keras.
"""

from __future__ import annotations

from typing import Annotated, Literal

from stages.lib.study.strict_yaml import one_of

Argument = float | bool | None
"""The value of an optimizer's argument. Whole numbers are among them."""

ACTIVATIONS = (
    "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid "
    "log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax "
    "squareplus swish tanh tanh_shrink"
).split()
INITIALIZERS = (
    "glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform orthogonal random_normal random_uniform "
    "truncated_normal variance_scaling zeros ones"
).split()
LOSSES = (
    "categorical_crossentropy sparse_categorical_crossentropy mean_squared_error mse mean_absolute_error mae "
    "mean_absolute_percentage_error mape mean_squared_logarithmic_error msle binary_crossentropy binary_focal_crossentropy "
    "categorical_focal_crossentropy categorical_hinge cosine_similarity dice hinge huber kl_divergence log_cosh poisson "
    "squared_hinge tversky"
).split()
DEFAULT_RATES = {
    **dict.fromkeys("adadelta adafactor adagrad adam adamax adamw ftrl lion muon nadam rmsprop".split(), 0.001),
    "schedulefreeadamw": 0.0025,
    "sgd": 0.01,
}
"""Optimizer -> Keras's own learning rate, for `learning_rate: default`."""
_COMMON: dict[str, Argument] = dict.fromkeys("weight_decay clipnorm clipvalue global_clipnorm".split())
_ADAM: dict[str, Argument] = {**_COMMON, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
OPTIMIZER_ARGUMENTS: dict[str, dict[str, Argument]] = {
    "adadelta": {**_COMMON, "rho": 0.95, "epsilon": 1e-7},
    "adafactor": {
        **{**_COMMON, "beta_2_decay": -0.8, "epsilon_1": 1e-30, "epsilon_2": 1e-3},
        **{"clip_threshold": 1.0, "relative_step": True},
    },
    "adagrad": {**_COMMON, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "adam": {**_ADAM, "amsgrad": False},
    "adamax": _ADAM,
    "adamw": {**_ADAM, "weight_decay": 0.004, "amsgrad": False},
    "ftrl": {
        **{**_COMMON, "learning_rate_power": -0.5, "initial_accumulator_value": 0.1, "beta": 0.0},
        **{"l1_regularization_strength": 0.0, "l2_regularization_strength": 0.0, "l2_shrinkage_regularization_strength": 0.0},
    },
    "lion": {**_COMMON, "beta_1": 0.9, "beta_2": 0.99},
    "muon": {
        **{**_COMMON, "weight_decay": 0.004, "momentum": 0.95, "nesterov": True, "ns_steps": 5, "rms_rate": 0.2},
        **{"muon_a": 3.4445, "muon_b": -4.7750, "muon_c": 2.0315, "epsilon": 1e-7, "adam_lr_ratio": 1},
        **{"adam_beta_1": 0.9, "adam_beta_2": 0.999, "adam_weight_decay": 0.004},
    },
    "nadam": _ADAM,
    "rmsprop": {**_COMMON, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    "schedulefreeadamw": {**_ADAM, "epsilon": 1e-8, "warmup_steps": 0},
    "sgd": {**_COMMON, "momentum": 0.0, "nesterov": False},
}
"""Optimizer -> its arguments, each with Keras's own value, but for the learning rate."""
SMOOTHING_LOSSES = (
    "binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy"
).split()
"""Losses that can smooth labels."""
UNWEIGHTED_LOSSES = ("dice", "tversky")
"""Losses of a whole batch. They have no value for a row, which a weight could change."""

Activation = Annotated[str, one_of("activation", ACTIVATIONS)]
HiddenActivation = Annotated[str, one_of("activation", [*ACTIVATIONS, "maxout"])]
"""Ours has maxout too: the largest of several linear pieces."""
Initializer = Annotated[str, one_of("initializer", INITIALIZERS)]
Loss = Annotated[str, one_of("loss", LOSSES)]
OptimizerName = Annotated[str, one_of("optimizer", DEFAULT_RATES)]
Backend = Literal["tensorflow", "jax", "torch"]
