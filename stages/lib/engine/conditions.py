"""The conditions of training: variables of the trainer's environment, and what it must report about itself."""

from __future__ import annotations

from collections.abc import Mapping

from stages.lib import environment
from stages.lib.engine import trainer

MALLOC = {"MALLOC_TRIM_THRESHOLD_": "1073741824", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""Variables of glibc's allocator. Dask sets its own, which are made for data frames: they hand every freed megabyte back to the
system. Page faults then take a third of the time of a step that XLA compiled."""
SHARED_CARDS = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
"""Variables for graphics cards. With the first two, several trainers can share a card: JAX and TensorFlow else take most of its
memory each. The last is what PyTorch asks for before it multiplies matrices there deterministically."""
HARDWARE = ("processor", "gpu")
"""The facts that may be different on a cluster. Results are then cached as those of the cluster's hardware."""
MEND = "install requirements.lock there"


def training_variables(backend: str) -> dict[str, str]:
    """Environment variables of a process that trains with one thread. They must be set before it imports Keras."""
    single_thread = dict.fromkeys(
        "OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS TF_NUM_INTRAOP_THREADS TF_NUM_INTEROP_THREADS".split(),
        "1",
    )
    xla = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    flags = f"{environment.decisive().get('XLA_FLAGS', '')} {xla}".strip()
    return {**single_thread, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2", "XLA_FLAGS": flags}


def trainer_variables(backend: str) -> dict[str, str | None]:
    """What is set for a trainer, or unset (None), wherever it runs. Variables that decide a result come from this process."""
    unset = dict.fromkeys(environment.DECISIVE)
    return {**unset, **environment.decisive(), **MALLOC, **SHARED_CARDS, **training_variables(backend)}


def expected_report(backend: str, made_in: Mapping[str, object]) -> dict[str, object]:
    """What a trainer must report: this machine's software, and the hardware of the environment that trains.

    Args:
        made_in: that environment, by `cluster.training_environment`.
    """
    variables = trainer_variables(backend)
    decisive = {name: variables[name] for name in environment.DECISIVE if variables[name] is not None}
    hardware = {name: made_in[name] for name in HARDWARE if name in made_in}
    software = {name: value for name, value in trainer.report(backend).items() if name not in HARDWARE}
    return {**software, **hardware, "variables": decisive}


def differences(report: Mapping[str, object], expected: Mapping[str, object], ignore: tuple[str, ...] = ()) -> str:
    """The first fact of a trainer's report that is not as expected, and what to do. Empty if the two agree."""
    for name in dict.fromkeys([*expected, *report]):
        there = report.get(name)
        here = expected.get(name)
        if there == here or name in ignore:
            continue
        if name in HARDWARE:
            return f"its {name} is not that of the other workers ({only_one(here, there)})"
        if name in ("source", "variables"):
            return f"its {name} is not this checkout's; start the stage again"
        return f"{name} is {there} there and {here} here; {MEND}"
    return ""


def only_one(first: object, second: object) -> str:
    """The members that only one of two lists has."""
    members = [set(map(str, each)) if isinstance(each, list) else set() for each in (first, second)]
    return "only one has " + " ".join(sorted(members[0] ^ members[1]))
