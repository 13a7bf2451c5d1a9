"""What this machine's memory cannot hold is said before anything trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.networks import own_study
from helpers.search import edited
from helpers.study import prepared_for, study_with
from stages.lib.cli import UserError
from stages.lib.engine import memory
from stages.lib.training import networks


@pytest.mark.parametrize(
    "model", [{"hidden": [16, 8]}, {"hidden": []}, {"hidden": [5], "activation": "maxout"}, {"conv": [4, 2], "hidden": [3]}]
)
def test_the_weights_are_those_of_the_network(model: dict[str, object]) -> None:
    settings = study_with({"model": model, "variants": {"plain": {"model": {"kernel_size": 2}}}}).recipes["plain"].model
    kernels = [weight for weight in networks.build(settings, (8, 8), 4, seed=0).weights if weight.name == "kernel"]
    assert memory.weights_of(settings, (8, 8), 4) == sum(int(kernel.shape.num_elements()) for kernel in kernels)


def test_a_network_that_does_not_fit_is_said_with_the_amount() -> None:
    study = study_with({"variants": {"dropped": {"model": {"hidden": [10**6, 10**6]}}}})
    with pytest.raises(UserError) as caught:
        memory.check(study, prepared_for(study), workers=1, available=16 * 10**9)
    said = "variants.dropped.model: 1e+12 weights need 1.2e+04 GB to be trained; this machine has 16 GB"
    assert str(caught.value) == said
    memory.check(study_with(), prepared_for(study_with()), workers=2)


def test_a_network_of_one_s_own_is_counted_when_it_has_been_built(tmp_path: Path) -> None:
    study = own_study(tmp_path)
    memory.check(study, prepared_for(study), workers=1, available=16 * 10**9)
    memory.check_weights(10**9, available=16 * 10**9)
    with pytest.raises(UserError, match=r"^2e\+09 weights need 24 GB to be trained; this machine has 16 GB"):
        memory.check_weights(2 * 10**9, available=16 * 10**9)


def test_inputs_that_do_not_fit_are_said_with_the_amount() -> None:
    study = study_with()
    prepared = prepared_for(study)
    needed = 200 * 64 * 4
    memory.check(study, prepared, workers=4, available=4 * needed)
    with pytest.raises(UserError, match=r"^the inputs of 5 workers need 0\.000256 GB of memory; this machine has 0\.000205 GB"):
        memory.check(study, prepared, workers=5, available=4 * needed)


def test_the_largest_network_that_a_search_may_try_is_said_with_its_settings() -> None:
    space: dict[str, Any] = {
        "units": {"key": "model.hidden.units", "integers": [1, 10**6]},
        "layers": {"key": "model.hidden.layers", "integers": [0, 2]},
        "rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1]},
    }
    study = study_with({"search": edited({"space": space})})
    assert study.search
    prepared = prepared_for(study)
    memory.check(study, prepared, workers=1, available=16 * 10**9)  # the search's are no concern of the train stage
    with pytest.raises(UserError) as caught:
        memory.check_search(study, study.search, prepared, workers=1, available=16 * 10**9)
    said = 'search.space: {"units": 1000000, "layers": 2}: 1e+12 weights need 1.2e+04 GB to be trained; this machine has 16 GB'
    assert str(caught.value) == said
    small = study_with({"search": edited({})})
    assert small.search
    memory.check_search(small, small.search, prepared, workers=4, available=10**6)
    with pytest.raises(UserError, match=r"^the inputs of 5 workers need"):
        memory.check_search(small, small.search, prepared, workers=5, available=250_000)
