"""Networks as their settings describe them: layers and their order, numbers of weights, and what each part sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from helpers.study import study_with
from stages.lib.study.recipe import Model
from stages.lib.training import networks

FEATURES = 8
ROWS = np.random.default_rng(0).standard_normal((6, FEATURES), dtype=np.float32)
APIS = ("functional", "subclass")
TWO_INPUTS = {"wide": [0, 5], "deep": [2, 8]}
"""Features 0 and 1 are wide alone, 5 to 7 deep alone."""


def settings_with(**changes: Any) -> Model:
    return study_with({"model": {"output_activation": "linear", "hidden": [3], **changes}}).recipes["plain"].model


def wide_deep(api: str, **changes: Any) -> Model:
    """Of a Wide & Deep network; `parts` are its inputs and outputs."""
    parts = changes.pop("parts", {})
    return settings_with(wide_deep={"api": api, **parts}, **changes)


def built(settings: Model, seed: int = 0, shape: tuple[int, ...] = (FEATURES,), outputs: int = 2) -> keras.Model:
    return networks.build(settings, shape, outputs, seed)


def outputs_of(network: keras.Model, settings: Model, rows: np.ndarray, **arguments: Any) -> list[np.ndarray]:
    """Every output of the network."""
    return [ops.convert_to_numpy(each) for each in keras.tree.flatten(network(networks.inputs_of(settings, rows), **arguments))]


def only_output(settings: Model, rows: np.ndarray = ROWS) -> tuple[np.ndarray, list[np.ndarray]]:
    """The output of a fresh network, and its weights."""
    network = built(settings)
    (output,) = outputs_of(network, settings, rows)
    return output, network.get_weights()


def names(network: keras.Model) -> list[str]:
    stack = getattr(network, "stack", None)
    return [layer.name for layer in (network.layers if stack is None else stack)]


# Numbers of weights, by hand

COUNTS: list[tuple[dict[str, Any], int]] = [
    ({}, 9 * 3 + 4 * 2),
    ({"hidden": []}, 9 * 2),
    ({"hidden": [3, 5]}, 9 * 3 + 4 * 5 + 6 * 2),
    ({"dropout": 0.5, "activation": "leaky_relu"}, 9 * 3 + 4 * 2),
    ({"batch_normalization": "after"}, 9 * 3 + 4 * 3 + 4 * 2),  # scale, centre, moving mean and variance
    ({"activation": "maxout", "maxout_pieces": 4}, 9 * 12 + 4 * 2),
    ({"activation": "maxout", "hidden": [3, 5]}, 9 * 6 + 4 * 10 + 6 * 2),
    ({"activation": "maxout", "batch_normalization": "before"}, 9 * 6 + 4 * 6 + 4 * 2),
    ({"activation": "maxout", "batch_normalization": "after"}, 9 * 6 + 4 * 3 + 4 * 2),
]
WIDE_DEEP_COUNTS: list[tuple[dict[str, Any], int]] = [
    ({}, 9 * 3 + (3 + 8 + 1) * 2),
    (TWO_INPUTS, 7 * 3 + (3 + 5 + 1) * 2),
    ({"auxiliary_output": True}, 9 * 3 + (3 + 8 + 1) * 2 + 4 * 2),
    ({**TWO_INPUTS, "auxiliary_output": True}, 7 * 3 + (3 + 5 + 1) * 2 + 4 * 2),
]


@pytest.mark.parametrize(("changes", "count"), COUNTS)
def test_a_network_has_the_weights_counted_by_hand(changes: dict[str, Any], count: int) -> None:
    assert built(settings_with(**changes)).count_params() == count


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("parts", "count"), WIDE_DEEP_COUNTS)
def test_a_wide_and_deep_network_has_the_weights_counted_by_hand(api: str, parts: dict[str, Any], count: int) -> None:
    assert built(wide_deep(api, parts=parts)).count_params() == count


def test_the_wide_and_deep_network_of_the_literature() -> None:
    """A. Géron, Hands-On Machine Learning, chapter 10: 8 features, two layers of 30, one output."""
    for api in APIS:
        assert built(wide_deep(api, hidden=[30, 30]), outputs=1).count_params() == 1239


# Layers and their order


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "hidden_1 hidden_1_activation hidden_2 hidden_2_activation"),
        (
            {"batch_normalization": "before", "dropout": 0.5},
            "hidden_1 hidden_1_normalization hidden_1_activation hidden_1_dropout "
            "hidden_2 hidden_2_normalization hidden_2_activation hidden_2_dropout",
        ),
        (
            {"batch_normalization": "after", "dropout": 0.5, "dropout_layers": "last"},
            "hidden_1 hidden_1_activation hidden_1_normalization "
            "hidden_2 hidden_2_activation hidden_2_normalization hidden_2_dropout",
        ),
        ({"dropout": 0.0, "dropout_layers": "last"}, "hidden_1 hidden_1_activation hidden_2 hidden_2_activation"),
        (
            {"activation": "maxout", "batch_normalization": "after"},
            "hidden_1 hidden_1_activation_pieces hidden_1_activation hidden_1_normalization "
            "hidden_2 hidden_2_activation_pieces hidden_2_activation hidden_2_normalization",
        ),
    ],
)
def test_layers_come_in_the_order_that_the_settings_ask_for(changes: dict[str, Any], expected: str) -> None:
    assert names(built(settings_with(hidden=[3, 4], **changes))) == [*expected.split(), "outputs"]
    assert names(built(wide_deep("subclass", hidden=[3, 4], **changes))) == expected.split()


def test_dropout_follows_no_convolution() -> None:
    network = built(settings_with(conv=[2], kernel_size=2, dropout=0.5, dropout_layers="last"), shape=(6, 6))
    assert [name for name in names(network) if name.endswith("dropout")] == ["hidden_1_dropout"]


@pytest.mark.parametrize(("kind", "layer"), [("dropout", keras.layers.Dropout), ("alpha_dropout", keras.layers.AlphaDropout)])
def test_dropout_is_of_the_type_and_the_rate_that_the_settings_name(kind: str, layer: type[keras.Layer]) -> None:
    network = built(settings_with(dropout=0.25, dropout_type=kind, hidden=[3, 4]))
    found = [each for each in network.layers if each.name.endswith("dropout")]
    assert [type(each) for each in found] == [layer, layer]
    assert [each.rate for each in found] == [0.25, 0.25]
    assert found[0].seed != found[1].seed


@pytest.mark.parametrize("api", ["none", *APIS])
def test_every_kernel_has_its_penalty(api: str) -> None:
    parts = {} if api == "none" else {"auxiliary_output": True}
    network = built(wide_deep(api, parts=parts, hidden=[3, 4], l2=0.5))
    kernels = [weights for weights in network.get_weights() if weights.ndim == 2]
    assert len(network.losses) == len(kernels) == (3 if api == "none" else 4)
    assert float(sum(network.losses)) == pytest.approx(0.5 * sum(float((each**2).sum()) for each in kernels), rel=1e-5)


# What is computed, against NumPy


def test_maxout_is_the_largest_of_each_unit_s_pieces() -> None:
    settings = settings_with(activation="maxout", maxout_pieces=4)
    output, (kernel, bias, head, head_bias) = only_output(settings)
    pieces = (ROWS @ kernel + bias).reshape(len(ROWS), 3, 4)  # a unit's pieces are neighbours
    np.testing.assert_allclose(output, pieces.max(axis=2) @ head + head_bias, atol=1e-5)


@pytest.mark.parametrize("slope", [0.0, 0.2, 0.7])
def test_leaky_relu_has_the_slope_of_the_settings(slope: float) -> None:
    settings = settings_with(activation="leaky_relu", negative_slope=slope)
    output, (kernel, bias, head, head_bias) = only_output(settings)
    hidden = ROWS @ kernel + bias
    assert (hidden < 0).any()
    np.testing.assert_allclose(output, np.where(hidden < 0, slope * hidden, hidden) @ head + head_bias, atol=1e-5)
    assert settings_with(activation="leaky_relu").negative_slope == 0.2


@pytest.mark.parametrize("order", ["before", "after"])
def test_normalization_is_before_or_after_the_activation(order: str) -> None:
    """With a moving mean of 1 and variance of 4, which a fresh network does not have."""
    settings = settings_with(batch_normalization=order)
    network = built(settings)
    layer = network.get_layer("hidden_1_normalization")
    layer.moving_mean.assign(np.ones(3))
    layer.moving_variance.assign(np.full(3, 4.0))
    kernel, bias, *_, head, head_bias = network.get_weights()
    scale = 1 / np.sqrt(4 + layer.epsilon)
    hidden = ROWS @ kernel + bias
    hidden = np.maximum((hidden - 1) * scale, 0) if order == "before" else (np.maximum(hidden, 0) - 1) * scale
    np.testing.assert_allclose(outputs_of(network, settings, ROWS)[0], hidden @ head + head_bias, atol=1e-5)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("parts", [{}, TWO_INPUTS])
def test_the_head_sees_the_wide_features_beside_the_last_hidden_layer(api: str, parts: dict[str, Any]) -> None:
    output, (kernel, bias, head, head_bias) = only_output(wide_deep(api, parts=parts))
    wide, deep = (ROWS[:, :5], ROWS[:, 2:8]) if parts else (ROWS, ROWS)
    joined = np.concatenate([wide, np.maximum(deep @ kernel + bias, 0)], axis=1)
    np.testing.assert_allclose(output, joined @ head + head_bias, atol=1e-5)


@pytest.mark.parametrize("api", APIS)
def test_a_feature_moves_only_the_parts_that_see_it(api: str) -> None:
    """The head's weights on one part are set to zero, and each feature is changed by itself."""
    settings = wide_deep(api, parts={**TWO_INPUTS, "auxiliary_output": True}, activation="tanh")
    network = built(settings)
    kernel, bias, head, *rest = network.get_weights()
    seeing: dict[str, set[int]] = {}
    for part, silent in (("wide", slice(5, None)), ("deep", slice(0, 5))):
        deaf = head.copy()
        deaf[silent] = 0
        network.set_weights([kernel, bias, deaf, *rest])
        before = outputs_of(network, settings, ROWS)
        for feature in range(FEATURES):
            changed = ROWS.copy()
            changed[:, feature] += 1
            for output, old, new in zip((part, "auxiliary"), before, outputs_of(network, settings, changed), strict=True):
                if not np.array_equal(old, new):
                    seeing.setdefault(output, set()).add(feature)
    assert seeing == {"wide": {0, 1, 2, 3, 4}, "deep": {2, 3, 4, 5, 6, 7}, "auxiliary": {2, 3, 4, 5, 6, 7}}


def test_two_inputs_are_columns_and_one_input_is_all_of_them() -> None:
    wide, deep = networks.inputs_of(wide_deep("functional", parts=TWO_INPUTS), ROWS)
    np.testing.assert_array_equal(wide, ROWS[:, [0, 1, 2, 3, 4]])
    np.testing.assert_array_equal(deep, ROWS[:, [2, 3, 4, 5, 6, 7]])
    assert networks.inputs_of(wide_deep("functional"), ROWS) is ROWS
    assert networks.inputs_of(settings_with(), ROWS) is ROWS


# Functional and subclass


@pytest.mark.parametrize("parts", [{}, TWO_INPUTS, {**TWO_INPUTS, "auxiliary_output": True}])
def test_functional_and_subclass_are_the_same_network(parts: dict[str, Any]) -> None:
    changes = {"hidden": [5, 4], "dropout": 0.5, "batch_normalization": "after", "l2": 0.01, "parts": parts}
    both = [wide_deep(api, **changes) for api in APIS]
    first, second = (built(settings, seed=3) for settings in both)
    for ours, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for training in (False, True, False):  # dropout draws alike, and normalization learns alike
        pairs = zip(*(outputs_of(each, both[0], ROWS, training=training) for each in (first, second)), strict=True)
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("api", ["none", *APIS])
@pytest.mark.parametrize(
    "changes",
    [{"dropout": 0.5}, {"dropout": 0.5, "dropout_type": "alpha_dropout"}, {"batch_normalization": "before"}],
)
def test_layers_know_whether_the_network_trains(api: str, changes: dict[str, Any]) -> None:
    settings = wide_deep(api, hidden=[16], **changes)
    network = built(settings)
    at_rest = outputs_of(network, settings, ROWS, training=False)[0]
    np.testing.assert_array_equal(outputs_of(network, settings, ROWS)[0], at_rest)
    assert not np.allclose(outputs_of(network, settings, ROWS, training=True)[0], at_rest)
    unmoved = np.allclose(outputs_of(network, settings, ROWS, training=False)[0], at_rest)
    assert unmoved == ("dropout" in changes)  # normalization has learned a mean


def test_a_second_output_changes_no_weight_of_the_rest() -> None:
    one, two = (built(wide_deep("functional", parts={"auxiliary_output": second})).get_weights() for second in (False, True))
    for ours, theirs in zip(one, two[: len(one)], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(two) == len(one) + 2


@pytest.mark.parametrize("parts", [{}, {**TWO_INPUTS, "auxiliary_output": True}])
def test_a_subclass_comes_back_from_its_json_and_its_weights(parts: dict[str, Any], tmp_path: Path) -> None:
    settings = wide_deep("subclass", parts=parts, batch_normalization="after", dropout=0.5, l2=0.01)
    network = built(settings, seed=3)
    outputs_of(network, settings, ROWS, training=True)  # so that normalization has learned something
    network.save_weights(tmp_path / "model.weights.h5")
    again = keras.models.model_from_json(network.to_json())
    assert isinstance(again, networks.WideAndDeep)
    again(networks.inputs_of(settings, ops.zeros((1, FEATURES))))
    again.load_weights(tmp_path / "model.weights.h5")
    for ours, theirs in zip(outputs_of(network, settings, ROWS), outputs_of(again, settings, ROWS), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.to_json() == network.to_json()
    assert "stages" not in network.to_json()  # its bytes do not depend on where the class lies
    assert names(again) == names(network)
    assert (again.auxiliary is None) == (not parts)


@pytest.mark.parametrize("api", ["none", *APIS])
def test_equal_settings_and_seeds_give_equal_json_and_weights(api: str) -> None:
    settings = wide_deep(api, dropout=0.5)
    first, again, other = (built(settings, seed) for seed in (1, 1, 2))
    assert first.to_json() == again.to_json()
    for ours, same, different in zip(first.get_weights(), again.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, same)
        assert ours.ndim == 1 or not np.array_equal(ours, different)
