"""Training on a cluster: a real scheduler, and workers without the checkout or a common folder, killed and stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from distributed import Client, LocalCluster, Security
from distributed.diagnostics import nvml

from helpers.checkout import ROOT, environment_of, stage
from helpers.dask import Dask
from helpers.networks import CUSTOM, own_study, with_own, write_networks
from helpers.processes import ENDLESS, LONGER, PATIENCE, bytes_of, entries, has_ended, start, timings, until
from helpers.search import REAL
from helpers.study import write_study
from stages.lib import environment
from stages.lib.cli import UserError
from stages.lib.engine import cluster, key, roster, scheduler, worker
from stages.lib.engine.conditions import differences, expected_report
from stages.lib.study.load import load_study
from stages.lib.study.recipe import Recipe

FEW: dict[str, Any] = {**LONGER, "limits": {"seeds": 1}}
"""Three of the replicates of the longer study."""
SEARCHING = {**REAL, "search": {**REAL["search"], "trials": 2, "batch": 1}, "train": {"epochs": 3}}
"""Two batches of a trial for each of two strategies, the second one learnt from the first, and refits on other rows."""


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A scheduler, and workers `a` and `b` on addresses of their own; `b` has two threads."""
    made = Dask(tmp_path_factory.mktemp("dask"))
    try:
        made.scheduler()
        made.worker("a", "127.0.0.1", "--nthreads", "1")
        made.worker("b", "127.0.0.2", "--nthreads", "2")
        yield made
    finally:
        for name in list(made.processes):
            made.end(name)


@pytest.fixture(scope="module")
def address(dask: Dask) -> str:
    return str(json.loads((dask.folder / "scheduler.json").read_text())["address"])


def of_few(expected: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in expected.items() if name.split("/")[1] == "0"}


def one_line(stderr: str) -> str:
    """The last line, which says why the stage ended."""
    assert "Traceback" not in stderr
    return stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_workers_that_die_stop_and_join_change_no_byte(
    dask: Dask, address: str, tmp_path: Path, expected: dict[str, str]
) -> None:
    """One is killed, one is stopped; one that joins trains all the rest, theirs included."""
    study, cache = write_study(tmp_path / "study", LONGER), tmp_path / "cache"
    sooner = "from stages.lib.engine import roster\nroster.SILENCE = 8.0"
    process = start(study, cache, first=sooner, DASK_SCHEDULER_ADDRESS=address)
    until(lambda: len(entries(cache)) >= 2 and dask.trainers("a") and dask.trainers("b"))
    orphans = dask.trainers("a")
    dask.signal("b", signal.SIGSTOP)
    for each in dask.members("a"):
        if each not in orphans:
            each.kill()
    left = len(expected) - len(entries(cache))
    dask.end("a")
    dask.worker("c", "127.0.0.3", "--nthreads", "1")
    _, errors = process.communicate(timeout=PATIENCE)
    dask.signal("b", signal.SIGCONT)
    assert process.returncode == 0, errors
    assert left > 0
    assert (dask.folder / "c" / "scratch").is_dir()
    assert bytes_of(study / "data" / "runs") == expected
    assert f"training on the cluster at {address}" in errors
    assert timings(study)["trained"] == 12
    until(lambda: all(map(has_ended, orphans)))
    until(lambda: not dask.trainers("b"))  # nobody wants what the stopped one was at


@pytest.mark.slow
def test_two_users_with_different_code_share_the_workers(
    dask: Dask, address: str, tmp_path: Path, expected: dict[str, str]
) -> None:
    """Also with workers that have trained before, with other code."""
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "stages", checkout / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        ROOT / "data", checkout / "data", ignore=lambda _, names: [each for each in names if each != "datasets.yaml"]
    )
    training = checkout / "stages" / "lib" / "training" / "replicate.py"
    training.write_text(training.read_text().replace('float_format="%.9g"', 'float_format="%.2g"'))
    studies = [write_study(tmp_path / name, FEW) for name in ("one", "other")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "stages.train", str(study)],
            cwd=folder,
            env=environment_of(tmp_path / "cache", DASK_SCHEDULER_ADDRESS=address),
            stderr=subprocess.PIPE,
            text=True,
        )
        for study, folder in zip(studies, (ROOT, checkout), strict=True)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
    ours, theirs = (bytes_of(study / "data" / "runs") for study in studies)
    assert ours == of_few(expected)
    assert {name for name in ours if ours[name] != theirs[name]} == {name for name in ours if name.endswith("history.csv")}
    assert re.search(r"^1,\d\.\d,", (studies[1] / "data/runs/plain/0/history.csv").read_text(), flags=re.MULTILINE)


@pytest.mark.slow
def test_a_killed_driver_leaves_its_workers_free(dask: Dask, address: str, tmp_path: Path, expected: dict[str, str]) -> None:
    study = write_study(tmp_path / "study", ENDLESS)
    process = start(study, tmp_path / "cache", DASK_SCHEDULER_ADDRESS=address)
    names = sorted(dask.processes.keys() - {"scheduler"})
    until(lambda: sum(len(dask.trainers(name)) for name in names) == 3)
    process.kill()
    process.communicate()
    until(lambda: not any(dask.trainers(name) for name in names))
    later = write_study(tmp_path / "later", FEW)
    done = stage("train", later, cache=tmp_path / "cache", DASK_SCHEDULER_ADDRESS=address)
    assert done.returncode == 0, done.stderr
    assert bytes_of(later / "data" / "runs") == of_few(expected)


@pytest.mark.slow
def test_a_search_writes_what_it_writes_without_a_cluster(dask: Dask, address: str, tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", SEARCHING)
    here, there = tmp_path / "here", tmp_path / "there"
    done = stage("search", study, cache=here)
    assert done.returncode == 0, done.stderr
    expected = bytes_of(study / "metrics")
    assert "search.json" in expected
    shutil.rmtree(study / "metrics")
    done = stage("search", study, cache=there, DASK_SCHEDULER_ADDRESS=address)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"training on the cluster at {address}") == 1  # all rounds share its workers
    assert bytes_of(study / "metrics") == expected
    assert len(entries(there)) == len(entries(here))


@pytest.mark.slow
def test_a_network_of_one_s_own_trains_on_workers_that_do_not_have_its_file(dask: Dask, address: str, tmp_path: Path) -> None:
    study = tmp_path / "study"
    own_study(study, with_own({"variants": {"own": {"model": {"network": "custom"}}}}), custom=CUSTOM)
    done = stage("train", study, cache=tmp_path / "here")
    assert done.returncode == 0, done.stderr
    expected = bytes_of(study / "data" / "runs")
    done = stage("train", study, cache=tmp_path / "there", DASK_SCHEDULER_ADDRESS=address)
    assert done.returncode == 0, done.stderr
    assert timings(study)["trained"] == 4
    assert bytes_of(study / "data" / "runs") == expected
    write_networks(study, custom=CUSTOM.replace("super()", "supper()"))
    line = one_line(stage("train", study, cache=tmp_path / "there", DASK_SCHEDULER_ADDRESS=address).stderr)
    assert f"own, seed 0: {study}/networks/custom.py: line 10: NameError: name 'supper' is not defined" in line


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment like this one, but with another Keras."""
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "all.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    (packages / "keras-2.9.0.dist-info").mkdir()
    (packages / "keras-2.9.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 2.9.0\n")
    return str(folder / "bin" / "python")


@pytest.mark.slow
def test_a_worker_with_other_packages_is_refused_by_name(dask: Dask, address: str, tmp_path: Path, other_python: str) -> None:
    study = write_study(tmp_path / "study", FEW)
    dask.worker("other", "127.0.0.4", "--nthreads", "1", python=other_python)
    try:
        until(lambda: "Registered to" in (dask.folder / "other" / "log").read_text())
        done = stage("train", study, cache=tmp_path / "cache", DASK_SCHEDULER_ADDRESS=address)
    finally:
        dask.end("other")
    assert done.returncode == 1
    version = key.local_environment("tensorflow")["keras"]
    assert re.fullmatch(
        rf"train: worker tcp://127\.0\.0\.4:\d+: keras is 2\.9\.0 there and {version} here; install requirements\.lock there",
        one_line(done.stderr),
    )


@pytest.mark.slow
def test_a_cluster_without_workers_is_waited_for(dask: Dask, address: str, tmp_path: Path, expected: dict[str, str]) -> None:
    """They are all killed; one that joins later trains everything."""
    study, cache = write_study(tmp_path / "study", LONGER), tmp_path / "cache"
    process = start(study, cache, DASK_SCHEDULER_ADDRESS=address)
    until(lambda: entries(cache) and any(dask.trainers(name) for name in dask.processes))
    for name in sorted(dask.processes.keys() - {"scheduler"}):
        dask.end(name)
    assert process.stderr
    said = iter(process.stderr.readline, "")
    assert any("has lost its last worker" in line for line in said)
    dask.worker("d", "127.0.0.5", "--nthreads", "2")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert bytes_of(study / "data" / "runs") == expected


@pytest.mark.slow
def test_a_scheduler_that_says_nothing_ends_the_stage(dask: Dask, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.SCHEDULER, address)
    monkeypatch.setattr(roster, "LOOK", 0.0)
    stopped = 0.0
    try:
        silent = pytest.raises(UserError, match=r"the scheduler has not answered for 1 s")
        with silent, cluster.workers(1, "tensorflow", print) as workers:
            monkeypatch.setattr(scheduler, "ANSWER_SECONDS", 1.0)
            dask.signal("scheduler", signal.SIGSTOP)
            stopped = time.monotonic()
            workers.roster.look()
        assert time.monotonic() - stopped < 10.0  # it is not asked again on the way out
    finally:
        dask.signal("scheduler", signal.SIGCONT)


@pytest.mark.slow
def test_when_the_scheduler_goes_away_the_next_run_goes_on(
    dask: Dask, address: str, tmp_path: Path, expected: dict[str, str]
) -> None:
    """The last test with this cluster."""
    study, cache = write_study(tmp_path / "study", LONGER), tmp_path / "cache"
    process = start(study, cache, DASK_SCHEDULER_ADDRESS=address)
    until(lambda: len(entries(cache)) >= 2)
    dask.end("scheduler")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert one_line(errors).startswith("train: the scheduler is gone")
    done = stage("train", study, cache=cache)
    assert done.returncode == 0, done.stderr
    assert timings(study)["cached"] >= 2
    assert bytes_of(study / "data" / "runs") == expected


@pytest.mark.slow
def test_certificates_let_a_driver_in_and_nothing_else_does(tmp_path: Path, expected: dict[str, str]) -> None:
    security, variables = Security.temporary(), {}
    for part, role in [("ca-file", None)] + [
        (part, role) for role in ("client", "scheduler", "worker") for part in ("cert", "key")
    ]:
        content = getattr(security, "tls_ca_file" if role is None else f"tls_{role}_{part}")
        path = tmp_path / f"{role}-{part}.pem"
        path.write_text(content)
        name = "CA_FILE" if role is None else f"{role}__{part}".upper()
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{name}"] = str(path)
    study, made = write_study(tmp_path / "study", FEW), Dask(tmp_path / "dask", **variables)
    made.folder.mkdir()
    try:
        address = made.scheduler("--protocol", "tls")
        assert address.startswith("tls://")
        made.worker("a", "127.0.0.2", "--nthreads", "2", "--protocol", "tls")
        refused = stage("train", study, cache=tmp_path / "cache", DASK_SCHEDULER_ADDRESS=address)
        done = stage("train", study, cache=tmp_path / "cache", DASK_SCHEDULER_ADDRESS=address, **variables)
    finally:
        for name in list(made.processes):
            made.end(name)
    assert refused.returncode == 1
    assert one_line(refused.stderr).startswith(f"train: DASK_SCHEDULER_ADDRESS: {address} does not answer as a scheduler: ")
    assert done.returncode == 0, done.stderr
    assert bytes_of(study / "data" / "runs") == of_few(expected)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tcp://127.0.0.1:9", "tcp://127.0.0.1:9 does not answer as a scheduler: "),
        ("127.0.0.1:9", "tcp://127.0.0.1:9 does not answer as a scheduler: "),
        ("ftp://127.0.0.1:9", "ftp://127.0.0.1:9 does not answer as a scheduler: unknown address scheme 'ftp'"),
        ("tcp://nowhere.invalid:9", "tcp://nowhere.invalid:9 does not answer as a scheduler: "),
        ("tcp://192.0.2.1:8786", "tcp://192.0.2.1:8786 is neither tls:// nor on this machine. "),
        ("tcp://[2001:db8::1]:8786", "tcp://[2001:db8::1]:8786 is neither tls:// nor on this machine. "),
    ],
)
def test_an_address_that_is_wrong_or_open_to_all_is_refused_in_a_line(
    monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.setenv(environment.SCHEDULER, given)
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 0.5)
    with pytest.raises(UserError) as caught, cluster.workers(1, "torch", print):
        pass
    assert str(caught.value).startswith(f"DASK_SCHEDULER_ADDRESS: {said}")
    assert "\n" not in str(caught.value)


def test_an_open_address_is_used_when_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIPS_INSECURE", "1")
    assert scheduler.checked("tcp://192.0.2.1:8786") == "tcp://192.0.2.1:8786"


def test_a_cluster_without_workers_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "WORKER_SECONDS", 0.1)
    with LocalCluster(
        n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None, silence_logs="CRITICAL"
    ) as empty:
        monkeypatch.setenv(environment.SCHEDULER, empty.scheduler_address)
        with pytest.raises(UserError, match=r"has no workers, for 0\.1 s; start some"), cluster.workers(1, "jax", print):
            pass


def test_without_a_cluster_nothing_listens_but_the_dashboards_on_loopback() -> None:
    before = {one.laddr.port for one in psutil.Process().net_connections("inet")}
    with cluster.workers(2, "tensorflow", print):
        connections = [one for one in psutil.Process().net_connections("inet") if one.laddr.port not in before]
        assert {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_dask_does_not_ask_for_the_card_that_the_user_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    def card(index: int) -> int:
        assert index >= 0, "Invalid Argument"
        return index

    one_card = {"nvmlInit": lambda: None, "nvmlDeviceGetCount": lambda: 1, "nvmlDeviceGetHandleByIndex": card}
    monkeypatch.setattr(nvml, "pynvml", SimpleNamespace(**one_card))
    monkeypatch.setenv(environment.CARDS, "-1")
    monkeypatch.setattr(nvml, "NVML_STATE", nvml.NVMLState.UNINITIALIZED)
    with cluster.workers(1, "tensorflow", print) as here:
        assert here.limit == 1


def test_a_task_that_fails_on_a_worker_is_said_with_its_reason() -> None:
    with (
        LocalCluster(n_workers=1, processes=False, protocol="inproc://", dashboard_address=None) as local,
        Client(local) as client,
    ):
        with pytest.raises(UserError, match=r"^worker inproc://\S+: FileNotFoundError: .*nowhere"):
            scheduler.answers(client, os.listdir, "/nowhere")
        (answer,) = scheduler.answers(client, os.path.basename, "/some/where").values()
        assert answer == "where"


REPORT = {"keras": "3", "numpy": "2", "processor": ["x86_64", "avx2", "fma"], "source": "s", "variables": {}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"numpy": "1"}, "numpy is 1 there and 2 here; install requirements.lock there"),
        ({"source": "other"}, "its source is not this checkout's; start the stage again"),
        ({"processor": ["x86_64", "avx2"]}, "its processor is not that of the other workers (only one has fma)"),
        ({"gpu": ["H200"]}, "its gpu is not that of the other workers (only one has H200)"),
    ],
)
def test_what_a_worker_has_that_others_have_not_is_named(changed: dict[str, object], said: str) -> None:
    assert differences({**REPORT, **changed}, REPORT) == said


def cluster_of(monkeypatch: pytest.MonkeyPatch, *reports: Mapping[str, object]) -> None:
    """Have a cluster whose workers report so."""
    monkeypatch.setenv(environment.SCHEDULER, "tcp://127.0.0.1:9")
    monkeypatch.setattr(scheduler, "connected", nullcontext)
    monkeypatch.setattr(scheduler, "wait_for_worker", lambda _: None)
    monkeypatch.setattr(scheduler, "check_versions", lambda _: None)
    answers = {f"w{number}": worker.Reported(report) for number, report in enumerate(reports)}
    monkeypatch.setattr(scheduler, "answers", lambda *_: answers)
    cluster._hardware.cache_clear()


def test_replicates_are_those_of_the_cluster_s_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """All workers have another one than this machine: results are cached as theirs; but they must agree."""
    here = expected_report("tensorflow", {})
    theirs = {**here, "processor": ["riscv"]}
    cluster_of(monkeypatch, theirs, theirs)
    assert cluster.training_environment("tensorflow") == {**key.local_environment("tensorflow"), "processor": ["riscv"]}
    assert expected_report("tensorflow", cluster.training_environment("tensorflow")) == theirs
    cluster_of(monkeypatch, theirs, {**theirs, "processor": ["riscv", "v"]})
    with pytest.raises(UserError, match=r"workers w0 and w1 have different hardware: processor, only one has v\."):
        cluster.training_environment("tensorflow")
    cluster._hardware.cache_clear()


def test_a_recipe_is_the_same_after_its_journey() -> None:
    for folder in [ROOT, *sorted(path.parent for path in ROOT.glob("studies/*/params.yaml"))]:
        for recipe in load_study(folder).recipes.values():
            assert Recipe.from_wire(json.loads(json.dumps(recipe.wire))) == recipe
