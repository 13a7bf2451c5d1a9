"""The whole workflow with the real DVC and Git, on the starter's data at a small size."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from helpers.checkout import Checkout, copy_tree, is_result
from helpers.processes import entries, until

pytestmark = pytest.mark.slow

VARIANTS = ("baseline", "unscaled", "batch_4096", "rate_0_1")
CLAIMS = ("scaling_helps", "huge_batch_learns_slower", "huge_batch_is_faster", "rate_0_1_hurts")


def small(params: Any) -> Any:
    """The starter with four variants, three seeds and three epochs of some rows, and a search of one trial."""
    params["train"]["epochs"] = 3
    params["replicates"] |= {"seeds": 3, "jit_compile": False}  # XLA takes longer to compile a network than that takes to train
    params["model"]["hidden"] = [64]
    params["limits"] = {"rows": 1000}
    params["variants"] = {name: params["variants"][name] for name in VARIANTS}
    params["claims"] = {name: claim for name, claim in params["claims"].items() if name in CLAIMS}
    params["statistics"]["looks"] = [3]
    params["search"] |= {"strategies": {"random": {"method": "random"}}, "trials": 1, "batch": 1, "seeds": 1, "refits": 1}
    params["search"]["claims"] = {}
    params["search"]["space"].pop("units")
    return params


def reproduce(folder: Path) -> None:
    """Make folder/clone, the small study, reproduced and committed on main; its user cache is folder/cache."""
    copy_tree(folder / "clone", lambda name: not is_result(name) and not name.startswith("studies/"))
    made = Checkout(folder / "clone", folder / "cache")
    made.write_params(small(made.params()))
    made.run("git", "init", "-q", "-b", "main")
    made.run("dvc", "repro")
    made.run("git", "add", "-A")
    made.run("git", "commit", "-q", "-m", "small")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The small study, reproduced once and committed on main."""
    folder = tmp_path_factory.mktemp("checkout")
    reproduce(folder)
    return Checkout(folder / "clone", folder / "cache")


def test_repro_makes_the_metrics_and_the_report(checkout: Checkout) -> None:
    metrics = checkout.json("metrics/metrics.json")
    assert set(metrics["variants"]) == set(VARIANTS)
    assert 0.5 < metrics["variants"]["baseline"]["test_accuracy"] < 1
    assert all(claim["verdict"] for claim in metrics["claims"].values())
    assert "huge_batch_is_faster" not in metrics["claims"]
    assert "huge_batch_is_faster" in (checkout.folder / "data/report.html").read_text()
    tracked = checkout.run("git", "ls-files")
    assert "metrics/metrics.json" in tracked
    assert "data/runs" not in tracked
    assert "data/report.html" not in tracked
    assert checkout.run("git", "status", "--porcelain") == ""


def test_a_second_repro_has_nothing_to_do(checkout: Checkout) -> None:
    assert "up to date" in checkout.run("dvc", "repro")
    assert checkout.run("git", "status", "--porcelain") == ""


def test_a_cold_run_with_two_workers_changes_only_the_durations(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("git", "clone", "-q", ".", str(tmp_path / "second"))
    second = Checkout(tmp_path / "second", tmp_path / "cache")
    second.environment["TIPS_WORKERS"] = "2"
    second.run("dvc", "repro")
    assert second.json("data/timings.json")["stage"]["cached"] == 0
    assert set(second.run("git", "diff", "--name-only").split()) <= {"dvc.lock"}

    def hashes(lock: str) -> dict[str, str]:
        stages = YAML(typ="safe", pure=True).load(lock)["stages"].values()
        return {entry["path"]: entry["md5"] for stage in stages for entry in [*stage.get("deps", []), *stage["outs"]]}

    before, after = hashes(second.run("git", "show", "HEAD:dvc.lock")), hashes((second.folder / "dvc.lock").read_text())
    assert {path for path in before if after[path] != before[path]} <= {"data/timings.json", "data/report.html"}


def test_an_experiment_changes_what_inherits_the_knob_and_trains_nothing_else(checkout: Checkout) -> None:
    """Of the stages up to evaluate. The temporary experiment runs them all."""
    before, timings = checkout.json("metrics/metrics.json"), checkout.json("data/timings.json")
    output = checkout.run("dvc", "exp", "run", "-n", "huge", "-S", "train.batch_size=4096", "evaluate")
    assert "Ran experiment" in output
    after = checkout.json("metrics/metrics.json")
    assert after["variants"]["baseline"] != before["variants"]["baseline"]
    assert after["variants"]["batch_4096"] == before["variants"]["batch_4096"]
    assert checkout.json("data/timings.json")["stage"]["cached"] >= 3

    differences = checkout.run("dvc", "metrics", "diff", "main", "--no-path")
    assert "variants.baseline.test_accuracy" in differences
    assert "variants.batch_4096" not in differences
    assert "train.batch_size" in checkout.run("dvc", "params", "diff")
    assert "huge" in checkout.run("dvc", "exp", "show", "--only-changed", "--drop", "claims|stages|data|metrics")

    checkout.run("git", "checkout", "-q", "--", ".")
    checkout.run("dvc", "repro", "evaluate")  # back to where it was: restored by DVC, or gathered from the cache
    restored = checkout.json("data/timings.json")
    assert restored == timings or restored["stage"]["trained"] == 0
    assert checkout.json("metrics/metrics.json") == before


def test_a_temporary_experiment_leaves_the_workspace_alone(checkout: Checkout) -> None:
    before = {path: path.read_bytes() for path in (checkout.folder / "metrics").rglob("*.csv")}
    output = checkout.run("dvc", "exp", "run", "--temp", "-n", "gentle", "-S", "train.learning_rate=0.0001")
    assert "Ran experiment" in output
    assert {path: path.read_bytes() for path in before} == before
    assert checkout.run("git", "status", "--porcelain") == ""
    shown = checkout.run("dvc", "exp", "show", "--json")
    assert "gentle" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.learning_rate=abc", "params.yaml: train.learning_rate: 'abc' must be a number greater than 0"),
        ("train.batch_size=0", "params.yaml: train.batch_size: 0 must be"),
        (
            "variants.baseline.view=scalled",
            "params.yaml: variants.baseline.view: unknown view 'scalled' (did you mean 'scaled'?",
        ),
    ],
)
def test_a_mistake_is_refused_before_anything_trains(checkout: Checkout, change: str, message: str) -> None:
    output = checkout.run("dvc", "exp", "run", "-S", change, fails=True)
    assert message in output
    assert "Traceback" not in output
    assert "replicates" not in output
    checkout.run("git", "checkout", "-q", "--", ".")
    checkout.run("dvc", "checkout", "dvc.yaml")


def test_a_run_whose_dvc_was_killed_goes_on(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("git", "clone", "-q", ".", str(tmp_path / "killed"))
    killed = Checkout(tmp_path / "killed", tmp_path / "cache")
    process = subprocess.Popen(["dvc", "repro", "-q"], cwd=killed.folder, env=killed.environment)
    until(lambda: len(entries(tmp_path / "cache")) >= 2)
    process.kill()
    process.wait()
    killed.run("dvc", "repro")
    assert killed.json("data/timings.json")["stage"]["cached"] >= 2
    assert set(killed.run("git", "diff", "--name-only").split()) <= {"dvc.lock"}


def test_two_repros_at_once_do_not_damage_each_other(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("git", "clone", "-q", ".", str(tmp_path / "twice"))
    twice = Checkout(tmp_path / "twice", tmp_path / "cache")
    both = [subprocess.Popen(["dvc", "repro", "-q"], cwd=twice.folder, env=twice.environment) for _ in range(2)]
    assert 0 in [process.wait() for process in both]  # DVC's own lock may refuse the other
    assert set(twice.run("git", "diff", "--name-only").split()) <= {"dvc.lock"}
    assert "up to date" in twice.run("dvc", "repro")


def test_a_clone_that_pulls_trains_nothing(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    checkout.run("dvc", "push", "dvc.yaml")
    checkout.run("git", "clone", "-q", ".", str(tmp_path / "pulled"))
    pulled = Checkout(tmp_path / "pulled", tmp_path / "cache")
    pulled.run("dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    pulled.run("dvc", "pull", "dvc.yaml")
    assert "up to date" in pulled.run("dvc", "repro")
    assert pulled.run("git", "status", "--porcelain") == ""
    assert not (tmp_path / "cache" / "tips-on-trial").exists()
