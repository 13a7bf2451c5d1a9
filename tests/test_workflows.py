"""The workflows are sound, pinned and least privileged, run what is run here, and are not fooled by strangers' text."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.checkout import ROOT
from stages.lib.study import places
from workflows import WORKFLOWS, Run, combinations, filled, holds, name_of, run_job, workflow

NAMES = sorted(path.name for path in WORKFLOWS.glob("*.yml"))
BIN = Path(sys.executable).parent


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name in NAMES:
        for job_name, job in workflow(name)["jobs"].items():
            yield name, job_name, job


def steps() -> list[dict[str, Any]]:
    return [step for _, _, job in jobs() for step in job["steps"]]


@pytest.mark.parametrize(
    "command", [["actionlint", "-no-color"], ["zizmor", "--offline", "--quiet", "--no-progress", ".github/workflows"]]
)
def test_linters_find_nothing(command: list[str]) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_by_its_commit_and_says_its_version() -> None:
    used = [line for name in NAMES for line in (WORKFLOWS / name).read_text().splitlines() if re.search(r"\buses:", line)]
    assert used
    pinned = [re.fullmatch(r"\s*(?:- )?uses: (actions/[\w/-]+)@([0-9a-f]{40}) # v(\d+\.\d+\.\d+)", line) for line in used]
    assert None not in pinned
    commits = {(each[1].split("/")[1], each[2], each[3]) for each in pinned if each}
    assert len(commits) == len({name for name, _, _ in commits}), "one version of each action"


def test_no_job_may_do_more_than_it_needs() -> None:
    granted = {(name, job_name): job.get("permissions") for name, job_name, job in jobs()}
    assert granted.pop(("comment.yml", "comment")) == {"actions": "read", "pull-requests": "write"}
    assert set(map(str, granted.values())) == {"{'contents': 'read'}"}
    assert all(workflow(name)["permissions"] == {} for name in NAMES)
    assert all(job.get("timeout-minutes") for _, _, job in jobs())


def test_what_may_write_runs_nothing_of_a_pull_request() -> None:
    assert all("pull_request_target" not in workflow(name)["on"] for name in NAMES)
    content = workflow("comment.yml")
    assert list(content["on"]) == ["workflow_run"]
    assert content["on"]["workflow_run"]["workflows"] == [workflow("study.yml")["name"]]
    assert not [step for step in content["jobs"]["comment"]["steps"] if "uses" in step]


def test_no_workflow_asks_for_a_secret() -> None:
    assert not [name for name in NAMES if "secrets" in (WORKFLOWS / name).read_text()]
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_a_script_takes_what_strangers_choose_from_its_environment_alone() -> None:
    assert not [step["run"] for step in steps() if "${{" in step.get("run", "")]


def test_the_make_targets_that_are_run_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    run = {target for step in steps() for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))}
    assert {"setup", "test-all", "check-lock", "repro", "review", "verify"} <= run <= targets


def test_the_weekly_run_has_every_study() -> None:
    assert combinations(workflow("weekly.yml")["jobs"]["study"]) == [
        {"study": places.name_of(study), "folder": study.as_posix(), "target": places.target_of(study, "plot")}
        for study in places.studies(ROOT)
    ]


def test_the_replicate_cache_is_named_after_what_decides_a_result() -> None:
    assert "hashFiles('stages/lib/training/*.py', 'requirements.lock')" in (WORKFLOWS / "study.yml").read_text()


def test_the_locked_packages_are_audited_and_none_is_left_out() -> None:
    commands = workflow("checks.yml")["jobs"]["audit"]["steps"][-1]["run"]
    assert re.search(r"pip-audit==\d+\.\d+\.\d+$", commands, flags=re.MULTILINE)
    assert "--strict --require-hashes --disable-pip -r requirements.lock" in commands


def test_pull_requests_are_compared_with_the_whole_history() -> None:
    checkout = workflow("study.yml")["jobs"]["reproduce"]["steps"][0]
    assert checkout["with"]["fetch-depth"] == 0


# --- the comment, against a stand-in for gh ---

GH = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
here = Path(os.environ["STAND_IN"])
method, fields, paths = "GET", {}, []
arguments = iter(sys.argv[2:])
for each in arguments:
    if each == "--method":
        method = next(arguments)
    elif each in ("-f", "-F"):
        key, _, value = next(arguments).partition("=")
        fields[key] = Path(value[1:]).read_text() if each == "-F" and value.startswith("@") else value
    elif not each.startswith("--"):
        paths.append(each)
(path,) = paths
with (here / "calls").open("a") as file:
    file.write(json.dumps([method, path, fields]) + "\\n")
if path.endswith("/zip"):
    sys.stdout.buffer.write((here / "review.zip").read_bytes())
elif method == "GET":
    print((here / (path.partition("?")[0].rpartition("/")[2] + ".json")).read_text())
"""
SHA = "a" * 40
MARK = "<!-- review of the studies -->"
Posted = list[tuple[str, str, str]]


class GitHub:
    """A folder with what gh is to answer, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        gh = folder / "bin" / "gh"
        gh.write_text(GH)
        gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
        self.answer("pulls", [{"number": 7, "head": {"sha": SHA}}])
        self.answer("artifacts", {"artifacts": [{"id": 5, "name": "review", "size_in_bytes": 900, "expired": False}]})
        self.answer("comments", [])
        self.review(b"# Review\n\nFine.\n")

    def answer(self, name: str, content: Any) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(content))

    def review(self, content: bytes, name: str = "review.md") -> None:
        with zipfile.ZipFile(self.folder / "review.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)

    def run(self) -> tuple[Run, Posted]:
        """Run the workflow, and return what it wrote: method, path and body."""
        event = {
            "event": "pull_request",
            "id": 11,
            "html_url": "https://github.com/owner/repository/actions/runs/11",
            "head_sha": SHA,
            "head_branch": "topic; rm -rf $HOME",
            "head_repository": {"full_name": "stranger/repository", "owner": {"login": "stranger"}},
        }
        github = {"repository": "owner/repository", "token": "none", "event": {"workflow_run": event}}
        environment = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "STAND_IN": str(self.folder),
        }
        (self.folder / "work").mkdir(exist_ok=True)
        done = run_job(workflow("comment.yml")["jobs"]["comment"], self.folder / "work", github, {}, environment)
        calls = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        assert ["GET", "repos/owner/repository/pulls", {"state": "open", "head": "stranger:topic; rm -rf $HOME"}] in calls
        return done, [(method, path, fields["body"]) for method, path, fields in calls if method != "GET"]


@pytest.fixture
def github(tmp_path: Path) -> GitHub:
    if missing := [tool for tool in ("iconv", "jq", "unzip") if not shutil.which(tool)]:
        pytest.skip(f"GitHub's machines have {', '.join(missing)}")
    return GitHub(tmp_path)


def test_the_first_review_is_a_new_comment(github: GitHub) -> None:
    done, ((method, path, body),) = github.run()
    assert not done.failed
    assert (method, path) == ("POST", "repos/owner/repository/issues/7/comments")
    assert body.startswith(f"{MARK}\nMade by the code of this pull request at {SHA[:10]}, in [this run](https://github.com/")
    assert body.endswith("\n\n# Review\n\nFine.\n")


def test_the_next_review_rewrites_that_comment_and_no_other(github: GitHub) -> None:
    bot, body = {"login": "github-actions[bot]"}, f"{MARK}\nold"
    others = [{"id": 1, "user": {"login": "stranger"}, "body": body}, {"id": 2, "user": bot, "body": f"Quoted: {MARK}"}]
    github.answer("comments", [*others, {"id": 3, "user": bot, "body": body}])
    done, ((method, path, _),) = github.run()
    assert not done.failed
    assert (method, path) == ("PATCH", "repos/owner/repository/issues/comments/3")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pulls", []),
        ("pulls", [{"number": 7, "head": {"sha": "b" * 40}}]),  # pushed to since
        ("artifacts", {"artifacts": []}),
        ("artifacts", {"artifacts": [{"id": 5, "name": "review", "size_in_bytes": 10**7, "expired": False}]}),
        ("artifacts", {"artifacts": [{"id": 5, "name": "review", "size_in_bytes": 900, "expired": True}]}),
        ("artifacts", {"artifacts": [{"id": 5, "name": "report", "size_in_bytes": 900, "expired": False}]}),
    ],
)
def test_without_a_review_of_the_very_commit_nothing_is_written(github: GitHub, name: str, content: Any) -> None:
    github.answer(name, content)
    done, posted = github.run()
    assert not done.failed
    assert posted == []


def long(github: GitHub) -> None:
    github.review("é".encode() * 10**6)  # a thousand times smaller when packed


def broken(github: GitHub) -> None:
    github.review(b"before \xff\xfe after @maintainer $(id) `id`")


def mentions(github: GitHub) -> None:
    github.review(b"@" * 50_000)


def elsewhere(github: GitHub) -> None:
    github.review(b"root", "../../etc/review.md")


@pytest.mark.parametrize("content", [long, broken, mentions, elsewhere])
def test_strange_text_is_cut_and_mentions_nobody(github: GitHub, content: Callable[[GitHub], None]) -> None:
    content(github)
    done, ((_, _, body),) = github.run()
    assert not done.failed
    assert len(body) < 65_536  # what a comment may hold
    assert not re.search(r"@\w", body)
    assert ("(Cut here;" in body) == (content in (long, mentions))
    if content is broken:
        assert "before  after @\u200bmaintainer $(id) `id`" in body
    if content is elsewhere:
        assert "root" not in body
    assert {path.name for path in (github.folder / "work").iterdir()} <= {
        *("pulls.json", "artifacts.json", "comments.json", "review.zip"),
        *("raw.md", "plain.md", "comment.md"),
    }


# --- the script that runs workflows here ---

CONTEXTS = {
    "github": {"event_name": "push", "event": {}, "ref": "refs/heads/it's"},
    "steps": {"lock": {"outputs": {"current": "true"}}},
}


@pytest.mark.parametrize(
    ("condition", "failed", "expected"),
    [
        (None, False, True),
        (None, True, False),
        ("always()", True, True),
        ("success() || failure()", True, True),
        ("failure()", False, False),
        ("github.event_name == 'push' || github.event.pull_request.head.repo.full_name != github.repository", False, True),
        ("github.event_name == 'pull_request'", False, False),
        ("steps.lock.outputs.current == 'true'", False, True),
        ("steps.lock.outputs.current == 'true'", True, False),
        ("${{ steps.other.outputs.current != 'true' && !failure() }}", False, True),
        ("github.ref == 'refs/heads/it''s' && (failure() || always())", True, True),
    ],
)
def test_conditions_are_those_of_github(condition: str | None, failed: bool, expected: bool) -> None:
    assert holds(condition, CONTEXTS, failed) is expected


def test_expressions_are_filled_in() -> None:
    assert (
        filled("a ${{ github.event.pull_request.head.sha || github.event_name }}, ${{ github.nothing }}", CONTEXTS)
        == "a push, "
    )
    assert filled("${{ hashFiles('a', 'b') }}", CONTEXTS) == "hash of a, b"


@pytest.mark.parametrize("text", ["secret.key", "fromJSON('1')", "1 + 1", "github.event_name push", "github['event_name']"])
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not understood|unknown context"):
        filled(f"${{{{ {text} }}}}", CONTEXTS)


def test_a_matrix_makes_a_job_of_each_combination() -> None:
    matrix = {"python": ["3.11", "3.13"], "system": ["a", "b"]}
    found = combinations({"strategy": {"matrix": matrix}})
    assert found == [{"python": version, "system": system} for version in ("3.11", "3.13") for system in ("a", "b")]
    assert combinations({"strategy": {"matrix": {"include": [{"study": "a"}]}}}) == [{"study": "a"}]
    assert combinations({}) == [{}]


def test_steps_can_be_left_out(tmp_path: Path) -> None:
    job = {"steps": [{"run": "make setup"}, {"run": "make test"}]}
    done = run_job(job, tmp_path, {}, {}, {}, skip=["make"])
    assert done.skipped == ["make setup", "make test"]


def test_every_workflow_names_the_shell_that_its_steps_run_in_here() -> None:
    """With a shell that is named, GitHub sets pipefail; without one it does not."""
    for name in NAMES:
        assert workflow(name)["defaults"] == {"run": {"shell": "bash"}}, name


def test_the_steps_of_a_job_run_as_on_github(tmp_path: Path) -> None:
    job: dict[str, Any] = {
        "env": {"STUDY": "${{ matrix.study }}"},
        "steps": [
            {"uses": "actions/checkout@v0"},
            {"id": "first", "run": 'echo "found=$STUDY" >> "$GITHUB_OUTPUT"\necho "of $STUDY" >> "$GITHUB_STEP_SUMMARY"'},
            {"name": "second", "run": "false | true\ntouch after", "if": "steps.first.outputs.found == 'fashion'"},
            {"name": "third", "run": "touch third"},
            {"name": "fourth", "run": "touch $NAME", "if": "always()", "env": {"NAME": "${{ steps.first.outputs.found }}"}},
        ],
    }
    done = run_job(job, tmp_path, {}, {"study": "fashion"}, {"PATH": os.environ["PATH"]})
    assert done.failed, "a pipe fails with any of its commands"
    assert done.ran == [name_of(job["steps"][1]), "second", "fourth"]
    assert done.skipped == ["actions/checkout@v0", "third"]
    assert done.summary == "of fashion\n"
    assert {path.name for path in tmp_path.iterdir()} == {"fashion"}
