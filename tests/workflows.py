"""Run the steps of a workflow here: `python tests/workflows.py checks.yml`, or `make workflows ARGS=checks.yml`.

Each job runs in a fresh clone of the working tree, what is not committed included, with an empty replicate cache and the
environment that GitHub would give it; every `run:` step in its own bash, as there. `uses:` steps are skipped and said to be so:
the clone stands for actions/checkout, and nothing is restored, saved or uploaded. Knows as much of GitHub's expressions as the
workflows here need, and refuses the rest. Of a matrix, the first job runs, or all of them with --all; --skip leaves steps out.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / ".github" / "workflows"
REPOSITORY = "owner/repository"
BRANCH = "change"
"""The branch that holds the working tree, and that a pull request asks to merge into main."""
TOKEN = re.compile(r"\s*('(?:[^']|'')*'|==|!=|&&|\|\||!|\(|\)|,|[A-Za-z_][\w.-]*|-?\d+(?:\.\d+)?)")


@functools.cache
def workflow(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((WORKFLOWS / name).read_text(encoding="utf-8"))


class Expression:
    """What stands between `${{` and `}}`: names, strings, numbers, comparisons, `&&`, `||`, `!` and a few functions."""

    def __init__(self, text: str, contexts: Mapping[str, Any], failed: bool) -> None:
        self.contexts, self.failed, self.asked = contexts, failed, False
        self.tokens = TOKEN.findall(text)
        if "".join(self.tokens) != re.sub(r"\s+(?=(?:[^']*'[^']*')*[^']*$)", "", text):
            raise ValueError(f"not understood: {text}")

    def value(self) -> Any:
        found = self._either()
        if self.tokens:
            raise ValueError(f"not understood: {' '.join(self.tokens)}")
        return found

    def _taken(self, *wanted: str) -> str | None:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else None

    def _either(self) -> Any:
        left = self._both()
        while self._taken("||"):
            right = self._both()
            left = left or right
        return left

    def _both(self) -> Any:
        left = self._compared()
        while self._taken("&&"):
            right = self._compared()
            left = left and right
        return left

    def _compared(self) -> Any:
        left = self._single()
        if operator := self._taken("==", "!="):
            return (left == self._single()) == (operator == "==")
        return left

    def _single(self) -> Any:
        part = self.tokens.pop(0)
        if part == "!":
            return not self._single()
        if part == "(":
            found = self._either()
            self.tokens.remove(")")
            return found
        if part.startswith("'"):
            return part[1:-1].replace("''", "'")
        if re.fullmatch(r"-?\d+(?:\.\d+)?", part):
            return float(part)
        if self._taken("("):
            arguments = []
            while not self._taken(")"):
                arguments.append(self._either())
                self._taken(",")
            return self._called(part, arguments)
        return self._named(part)

    def _called(self, name: str, arguments: list[Any]) -> Any:
        status = {"always": True, "success": not self.failed, "failure": self.failed, "cancelled": False}
        if name in status:
            self.asked = True
            return status[name]
        if name == "hashFiles":
            return f"hash of {', '.join(arguments)}"
        raise ValueError(f"not understood: {name}()")

    def _named(self, name: str) -> Any:
        found: Any = {"true": True, "false": False, "null": None, **self.contexts}
        first, *others = name.split(".")
        if first not in found:
            raise ValueError(f"unknown context: {name}")
        found = found[first]
        for part in others:
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


def filled(text: str, contexts: Mapping[str, Any], failed: bool = False) -> str:
    """The text with every `${{ }}` replaced by its value."""

    def value(found: re.Match[str]) -> str:
        each = Expression(found[1].strip(), contexts, failed).value()
        return "" if each is None else str(each).lower() if isinstance(each, bool) else str(each)

    return re.sub(r"\$\{\{(.*?)\}\}", value, text)


def holds(condition: Any, contexts: Mapping[str, Any], failed: bool) -> bool:
    """Whether an `if:` lets a step run; one that asks for no status wants success."""
    if condition is None:
        return not failed
    expression = Expression(re.sub(r"^\s*\$\{\{(.*)\}\}\s*$", r"\1", str(condition)).strip(), contexts, failed)
    found = bool(expression.value())
    return found and (expression.asked or not failed)


def combinations(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs of a matrix; one empty combination where there is none."""
    matrix = dict(job.get("strategy", {}).get("matrix", {}))
    included = matrix.pop("include", [])
    found = [dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())] if matrix else []
    return [*found, *included] or [{}]


@dataclass
class Run:
    """What became of a job: the steps that ran, those that were skipped, and whether one failed."""

    ran: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: bool = False
    summary: str = ""


def name_of(step: Mapping[str, Any]) -> str:
    return str(step.get("name") or step.get("uses") or str(step["run"]).strip().splitlines()[0])


def outputs_of(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


def run_job(
    job: Mapping[str, Any],
    folder: Path,
    github: Mapping[str, Any],
    matrix: Mapping[str, Any],
    environment: Mapping[str, str],
    skip: Sequence[str] = (),
) -> Run:
    """Run a job's steps in `folder`, which is its checkout, and print what happens."""
    result = Run()
    temporary = Path(tempfile.mkdtemp(prefix="runner-"))
    contexts: dict[str, Any] = {"github": github, "matrix": matrix, "steps": {}, "runner": {"os": "Linux", "temp": temporary}}
    contexts["env"] = {name: filled(str(value), contexts) for name, value in job.get("env", {}).items()}
    if not holds(job.get("if"), contexts, failed=False):
        print("    its condition does not hold")
        return result
    for number, step in enumerate(job["steps"]):
        name = filled(name_of(step), contexts)
        if not holds(step.get("if"), contexts, result.failed):
            result.skipped.append(name)
            print(f"  - {name}: its condition does not hold")
            continue
        if any(text in name for text in skip):
            result.skipped.append(name)
            print(f"  - {name}: left out")
            continue
        if "uses" in step:
            result.skipped.append(name)
            print(f"  - {name}: skipped, as it needs GitHub")
            continue
        print(f"  > {name}", flush=True)
        output, script = temporary / f"output{number}", temporary / f"step{number}.sh"
        output.touch()
        script.write_text(filled(step["run"], contexts))
        own = {key: filled(str(value), contexts) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=folder,
            env={
                **environment,
                **contexts["env"],
                **own,
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(temporary / "summary.md"),
                "RUNNER_TEMP": str(temporary),
            },
            check=False,
        )
        contexts["steps"][step.get("id", f"step {number}")] = {"outputs": outputs_of(output)}
        result.ran.append(name)
        if done.returncode:
            print(f"    failed with exit status {done.returncode}", flush=True)
            result.failed = True
    summary = temporary / "summary.md"
    result.summary = summary.read_text() if summary.exists() else ""
    shutil.rmtree(temporary)
    return result


def git(folder: Path, *arguments: str) -> str:
    identity = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **identity}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def origin_of(root: Path, folder: Path) -> Path:
    """A repository with main as it is committed, and a branch with the working tree, what is not committed included."""
    git(root, "clone", "--quiet", "--no-hardlinks", str(root), str(folder))
    git(folder, "checkout", "--quiet", "-B", "main")
    git(folder, "checkout", "--quiet", "-b", BRANCH)
    for name in git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        source, target = root / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        elif name:
            target.unlink(missing_ok=True)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "The working tree")
    return folder


def event_of(name: str, origin: Path) -> dict[str, Any]:
    """The `github` context of a job."""
    head = git(origin, "rev-parse", BRANCH)
    pull = {"number": 1, "head": {"sha": head, "ref": BRANCH, "repo": {"full_name": REPOSITORY}}}
    base = "main" if name == "pull_request" else ""
    return {
        "event_name": name,
        "sha": head,
        "ref": f"refs/heads/{BRANCH}",
        "base_ref": base,
        "repository": REPOSITORY,
        "server_url": "https://github.com",
        "run_id": 1,
        "run_attempt": 1,
        "event": {"pull_request": pull} if name == "pull_request" else {},
    }


def environment_of(github: Mapping[str, Any], cache: Path) -> dict[str, str]:
    """The variables that a runner sets, and of this machine's what names its tools, its packages and a mirror of the data."""
    kept = re.compile(r"HOME|LANG|TMPDIR|DATA_MIRROR|(?:UV|PIP)_\w+|\w*_proxy|\w*_PROXY|SSL_\w+|REQUESTS_CA_BUNDLE")
    own = Path(sys.prefix) / "bin"
    path = [each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != own]
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return {
        "UV_CACHE_DIR": str(caches / "uv"),
        "PIP_CACHE_DIR": str(caches / "pip"),
        **{name: value for name, value in os.environ.items() if kept.fullmatch(name)},
        "PATH": os.pathsep.join(path),
        "XDG_CACHE_HOME": str(cache),
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": str(github["server_url"]),
        "GITHUB_REPOSITORY": str(github["repository"]),
        "GITHUB_SHA": str(github["sha"]),
        "GITHUB_EVENT_NAME": str(github["event_name"]),
    }


def runs(name: str, event: str | None, every: bool, skip: Sequence[str]) -> Iterator[tuple[str, Run]]:
    """Run a workflow's jobs, each in a clone of its own."""
    content = workflow(name)
    triggers = list(content["on"])
    if "workflow_run" in triggers:
        raise SystemExit(
            f"{name}: answers an event of GitHub, and talks to it; tests/test_workflows.py runs it against a stand-in"
        )
    event = event or ("pull_request" if name == "study.yml" else triggers[0])
    if event not in triggers:
        raise SystemExit(f"{name}: is not run on {event}; on {', '.join(triggers)}")
    for job_name, job in content["jobs"].items():
        for matrix in combinations(job) if every else combinations(job)[:1]:
            with tempfile.TemporaryDirectory(prefix="workflow-") as folder:
                origin, checkout = origin_of(ROOT, Path(folder) / "origin"), Path(folder) / "checkout"
                git(Path(folder), "clone", "--quiet", str(origin), str(checkout))
                github = event_of(event, origin)
                label = f"{name}: {job_name} {json.dumps(matrix) if matrix else ''}".rstrip()
                print(f"{label}, on {event}", flush=True)
                yield label, run_job(job, checkout, github, matrix, environment_of(github, Path(folder) / "cache"), skip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workflow", nargs="*", default=["checks.yml"], help="files of .github/workflows (default: checks.yml)")
    parser.add_argument("--event", help="what starts it (default: the first of its events; of study.yml, pull_request)")
    parser.add_argument("--all", action="store_true", help="every job of a matrix, not just the first")
    parser.add_argument("--skip", action="append", default=[], metavar="TEXT", help="leave out steps whose name has this in it")
    options = parser.parse_args()
    failed = []
    for name in options.workflow:
        for label, result in runs(name, options.event, options.all, options.skip):
            if result.summary:
                print(f"--- summary ---\n{result.summary}---")
            failed += [label] if result.failed else []
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
