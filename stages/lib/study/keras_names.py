"""The names that Keras knows.

They are written down because importing Keras takes seconds, which stages that only read results need not spend. A test compares
them with the installed Keras.
"""

from __future__ import annotations

from typing import Annotated, Literal

from stages.lib.study.strict_yaml import one_of

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

Activation = Annotated[str, one_of("activation", ACTIVATIONS)]
HiddenActivation = Annotated[str, one_of("activation", [*ACTIVATIONS, "maxout"])]
"""Ours has maxout too: the largest of several linear pieces."""
Initializer = Annotated[str, one_of("initializer", INITIALIZERS)]
Loss = Annotated[str, one_of("loss", LOSSES)]
Optimizer = Annotated[str, one_of("optimizer", DEFAULT_RATES)]
Backend = Literal["tensorflow", "jax", "torch"]
