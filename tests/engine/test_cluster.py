"""Training on a cluster: a real scheduler, and workers without the checkout or a common folder, killed and stopped."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client, LocalCluster, Security
from distributed.comm import CommClosedError

from helpers.checkout import ROOT, environment_of, stage
from helpers.dask import Dask
from helpers.processes import bytes_of, entries, start, timings, until
from helpers.search import REAL
from helpers.study import prepared_for, study_with, write_study
from stages.lib.cli import UserError
from stages.lib.engine import cluster, dispatch, key, worker
from stages.lib.study.load import load_study
from stages.lib.study.recipe import Recipe

CHANGES: dict[str, Any] = {"train": {"epochs": 40}, "replicates": {"seeds": 4}}
"""Of the study: it lasts long enough for something to happen in the middle."""
FEW = {**CHANGES, "limits": {"seeds": 1}}
"""Three of its replicates."""
ENDLESS = {"train": {"epochs": 1_000_000}, "replicates": {"time_limit": 600.0}}
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


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run without a cluster writes."""
    folder = tmp_path_factory.mktemp("expected")
    study = write_study(folder / "study", CHANGES)
    done = stage("train", study, cache=folder / "cache")
    assert done.returncode == 0, done.stderr
    return bytes_of(study / "data" / "runs")


def of_few(expected: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in expected.items() if name.split("/")[1] == "0"}


def one_line(stderr: str) -> str:
    """The last line, which says why the stage ended."""
    assert "Traceback" not in stderr
    return stderr.strip().splitlines()[-1]


def test_workers_that_die_stop_and_join_change_no_byte(
    dask: Dask, address: str, tmp_path: Path, expected: dict[str, str]
) -> None:
    """One is killed, one is stopped; one that joins trains all the rest, theirs included."""
    study, cache = write_study(tmp_path / "study", CHANGES), tmp_path / "cache"
    process = start(study, cache, DASK_SCHEDULER_ADDRESS=address)
    until(lambda: len(entries(cache)) >= 2 and dask.trainers("a") and dask.trainers("b"))
    orphans = dask.trainers("a")
    dask.signal("b", signal.SIGSTOP)
    for each in dask.members("a"):
        if each not in orphans:
            each.kill()
    left = len(expected) - len(entries(cache))
    dask.end("a")
    dask.worker("c", "127.0.0.3", "--nthreads", "1")
    _, errors = process.communicate(timeout=1200)
    dask.signal("b", signal.SIGCONT)
    assert process.returncode == 0, errors
    assert left > 0
    assert (dask.folder / "c" / "scratch").is_dir()
    assert bytes_of(study / "data" / "runs") == expected
    assert f"training on the cluster at {address}" in errors
    assert timings(study)["trained"] == 12
    _, alive = psutil.wait_procs(orphans, timeout=10)
    assert not alive
    until(lambda: not dask.trainers("b"))  # nobody wants what the stopped one was at


def test_two_users_with_different_code_share_the_workers(
    dask: Dask, address: str, tmp_path: Path, expected: dict[str, str]
) -> None:
    """Also with workers that have trained before, with other code."""
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "stages", checkout / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        ROOT / "data", checkout / "data", ignore=lambda _, names: [each for each in names if each != "datasets.yaml"]
    )
    training = checkout / "stages" / "lib" / "training.py"
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
        _, errors = process.communicate(timeout=1200)
        assert process.returncode == 0, errors
    ours, theirs = (bytes_of(study / "data" / "runs") for study in studies)
    assert ours == of_few(expected)
    assert {name for name in ours if ours[name] != theirs[name]} == {name for name in ours if name.endswith("history.csv")}
    assert re.search(r"^1,\d\.\d,", (studies[1] / "data/runs/plain/0/history.csv").read_text(), flags=re.MULTILINE)


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


def test_a_worker_with_other_packages_is_refused_by_name(dask: Dask, address: str, tmp_path: Path, other_python: str) -> None:
    study = write_study(tmp_path / "study", FEW)
    dask.worker("other", "127.0.0.4", "--nthreads", "1", python=other_python)
    try:
        until(lambda: "Registered to" in (dask.folder / "other" / "log").read_text())
        done = stage("train", study, cache=tmp_path / "cache", DASK_SCHEDULER_ADDRESS=address)
    finally:
        dask.end("other")
    assert done.returncode == 1
    version = key.environment("tensorflow")["keras"]
    assert re.fullmatch(
        rf"train: worker tcp://127\.0\.0\.4:\d+: keras is 2\.9\.0 there and {version} here; install requirements\.lock there",
        one_line(done.stderr),
    )


def test_a_cluster_without_workers_is_waited_for(dask: Dask, address: str, tmp_path: Path, expected: dict[str, str]) -> None:
    """They are all killed; one that joins later trains everything."""
    study, cache = write_study(tmp_path / "study", CHANGES), tmp_path / "cache"
    process = start(study, cache, DASK_SCHEDULER_ADDRESS=address)
    until(lambda: entries(cache) and any(dask.trainers(name) for name in dask.processes))
    for name in sorted(dask.processes.keys() - {"scheduler"}):
        dask.end(name)
    assert process.stderr
    said = iter(process.stderr.readline, "")
    assert any("has lost its last worker" in line for line in said)
    dask.worker("d", "127.0.0.5", "--nthreads", "2")
    process.communicate(timeout=1200)
    assert process.returncode == 0
    assert bytes_of(study / "data" / "runs") == expected


def test_a_scheduler_that_says_nothing_ends_the_stage(dask: Dask, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cluster.VARIABLE, address)
    monkeypatch.setattr(cluster, "LOOK", 0.0)
    try:
        with cluster.workers(1, "tensorflow", print) as crew:
            monkeypatch.setattr(cluster, "PATIENCE", 1.0)
            dask.signal("scheduler", signal.SIGSTOP)
            with pytest.raises(UserError, match=r"the scheduler has not answered for 1 s"):
                crew.look()
    finally:
        dask.signal("scheduler", signal.SIGCONT)


def test_when_the_scheduler_goes_away_the_next_run_goes_on(
    dask: Dask, address: str, tmp_path: Path, expected: dict[str, str]
) -> None:
    """The last test with this cluster."""
    study, cache = write_study(tmp_path / "study", CHANGES), tmp_path / "cache"
    process = start(study, cache, DASK_SCHEDULER_ADDRESS=address)
    until(lambda: len(entries(cache)) >= 2)
    dask.end("scheduler")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert one_line(errors).startswith("train: the scheduler is gone")
    done = stage("train", study, cache=cache)
    assert done.returncode == 0, done.stderr
    assert timings(study)["cached"] >= 2
    assert bytes_of(study / "data" / "runs") == expected


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
        ("tcp://192.0.2.1:8786", "tcp://192.0.2.1:8786 is neither tls:// nor on this machine; "),
        ("tcp://[2001:db8::1]:8786", "tcp://[2001:db8::1]:8786 is neither tls:// nor on this machine; "),
    ],
)
def test_an_address_that_is_wrong_or_open_to_all_is_refused_in_a_line(
    monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.setenv(cluster.VARIABLE, given)
    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    with pytest.raises(UserError) as caught, cluster.workers(1, "torch", print):
        pass
    assert str(caught.value).startswith(f"DASK_SCHEDULER_ADDRESS: {said}")
    assert "\n" not in str(caught.value)


def test_an_open_address_is_used_when_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIPS_INSECURE", "1")
    assert cluster._checked("tcp://192.0.2.1:8786") == "tcp://192.0.2.1:8786"


def test_a_cluster_without_workers_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.1)
    with LocalCluster(
        n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None, silence_logs="CRITICAL"
    ) as empty:
        monkeypatch.setenv(cluster.VARIABLE, empty.scheduler_address)
        with pytest.raises(UserError, match=r"has no workers, for 0\.1 s; start some"), cluster.workers(1, "jax", print):
            pass


def test_a_task_that_fails_on_a_worker_is_said_with_its_reason() -> None:
    with (
        LocalCluster(n_workers=1, processes=False, protocol="inproc://", dashboard_address=None) as local,
        Client(local) as client,
    ):
        with pytest.raises(UserError, match=r"^worker inproc://\S+: FileNotFoundError: .*nowhere"):
            cluster._answers(client, os.listdir, "/nowhere")
        (answer,) = cluster._answers(client, os.path.basename, "/some/where").values()
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
    assert cluster.differences({**REPORT, **changed}, REPORT) == said


def cluster_of(monkeypatch: pytest.MonkeyPatch, *reports: Mapping[str, object]) -> None:
    """Have a cluster whose workers report so."""
    monkeypatch.setenv(cluster.VARIABLE, "tcp://127.0.0.1:9")
    monkeypatch.setattr(cluster, "_connected", lambda: open(os.devnull))  # noqa: SIM115, PTH123  # any context manager
    monkeypatch.setattr(cluster, "_wait_for_workers", lambda _: None)
    answers = {f"w{number}": ("other", report) for number, report in enumerate(reports)}
    monkeypatch.setattr(cluster, "_answers", lambda *asked: answers if isinstance(asked[1], worker.ByValue) else {})
    cluster._hardware.cache_clear()


def test_replicates_are_those_of_the_cluster_s_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """All workers have another one than this machine: results are cached as theirs; but they must agree."""
    here = cluster.expected_of("tensorflow", {})
    theirs = {**here, "processor": ["riscv"]}
    cluster_of(monkeypatch, theirs, theirs)
    assert cluster.surroundings("tensorflow") == {**key.environment("tensorflow"), "processor": ["riscv"]}
    assert cluster.expected_of("tensorflow", cluster.surroundings("tensorflow")) == theirs
    cluster_of(monkeypatch, theirs, {**theirs, "processor": ["riscv", "v"]})
    with pytest.raises(UserError, match=r"workers w0 and w1 have not the same processor \(only one has v\)"):
        cluster.surroundings("tensorflow")
    cluster._hardware.cache_clear()


class Known:
    """A client of a scheduler that knows these workers."""

    def __init__(self, **facts: dict[str, Any]) -> None:
        self.facts = {name: {"nthreads": 2, "last_seen": 100.0, "status": "running", **each} for name, each in facts.items()}
        self.tasks: dict[str, list[str]] = {}
        self.scheduler = self
        self.identity = None
        self.status = "running"

    def sync(self, function: None, n_workers: int, callback_timeout: float) -> dict[str, Any]:
        return {"workers": self.facts}

    def processing(self) -> dict[str, list[str]]:
        return self.tasks


class Gone(Known):
    """A client that has not noticed yet that its scheduler is gone."""

    def sync(self, function: None, n_workers: int, callback_timeout: float) -> dict[str, Any]:
        raise CommClosedError("Connection reset by peer")


def test_a_connection_that_breaks_is_the_scheduler_s_end_and_a_full_disk_is_not() -> None:
    study = study_with()
    job = dispatch.Job("plain", 0, study.recipes["plain"], "scaled", "key", 1.0)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for client, error, said in ((Gone(), UserError, "the scheduler is gone"), (Known(), OSError, "No space left")):
        crew = cluster.Workers(client, {}, {}, 9, print)  # type: ignore[arg-type]
        with pytest.raises(error, match=said):
            list(dispatch.run(crew, [job], prepared_for(study), 60.0, full))


def crew_of(client: Known, said: list[str] | None = None, limit: int = 9) -> cluster.Workers:
    crew = cluster.Workers(client, {}, {}, limit, (said if said is not None else []).append)  # type: ignore[arg-type]
    crew.look()
    return crew


def test_a_place_is_a_thread_that_nobody_uses() -> None:
    client = Known(a={}, b={"nthreads": 1}, paused={"status": "paused"})
    client.tasks = {"b": ["somebody-s"]}
    crew = crew_of(client)
    first, second = cluster.Place("a", 0), cluster.Place("a", 1)
    assert crew.free([]) == [first, second]
    assert crew.free([first]) == [second]
    assert crew.free([first, second]) == []
    assert crew_of(client, limit=1).free([]) == [first]
    client.tasks = {"b": [f"replicate-{crew.run}-1"]}
    crew._looked = float("-inf")
    crew.look()
    assert crew.free([first, second]) == [cluster.Place("b", 0)]


def test_a_worker_is_lost_when_it_is_gone_or_alone_in_its_silence() -> None:
    crew = crew_of(Known(a={}, b={"last_seen": 101 - cluster.SILENCE}, c={"last_seen": 99 - cluster.SILENCE}))
    assert [crew.lost(each) for each in "abcd"] == ["", "", "its worker fell silent", "its worker died"]
    assert {place.worker for place in crew.free([])} == {"a", "b"}
    assert not crew_of(Known(a={"last_seen": -1e9})).lost("a")


def test_a_worker_that_is_refused_is_named_once_and_used_no_more() -> None:
    said: list[str] = []
    crew = crew_of(Known(a={}, b={}), said)
    crew.refuse("a", "keras is 2 there")
    crew.refuse("a", "keras is 2 there")
    assert said == ["worker a: keras is 2 there; it is not used"]
    assert {place.worker for place in crew.free([])} == {"b"}
    crew.refuse("b", "as well")
    crew._looked = float("-inf")
    with pytest.raises(UserError, match=r"^worker a: keras is 2 there$"):
        crew.look()


def test_a_recipe_is_the_same_after_its_journey() -> None:
    for folder in [ROOT, *sorted(path.parent for path in ROOT.glob("studies/*/params.yaml"))]:
        for recipe in load_study(folder).recipes.values():
            assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
