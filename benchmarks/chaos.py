"""Random kills and random damage: whether a run ends in the same bytes, and whether mistakes end in one line.

    python -m benchmarks.chaos --kills 100 --mutations 1000 --seed 0

Run it at the checkout's root, in its environment. It prints a Markdown table of what was tried and what failed. Failures are on
standard error.

Kills happen in a temporary copy of the checkout, with a study that trains for seconds. `dvc repro` starts with empty caches.
SIGKILL hits DVC, the stage, the training process or all of them at a random moment. After that nothing may go on running, and
the next `dvc repro` must end in the same metrics and leave no temporary file. `python -m stages.tools restore` comes before it,
as in `make repro`. Mutations (benchmarks/mutations.py) happen in this process.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
from ruamel.yaml import YAML

from benchmarks.mutations import KINDS
from stages.lib import markdown
from stages.lib.cli import arguments
from stages.lib.study.settings import merged
from stages.lib.study.strict_yaml import read_yaml

ROOT = Path(__file__).resolve().parent.parent
STUDY = Path("studies/digits_workflow")
"""A study without a search."""
PATIENCE = 120.0
"""Seconds in which the processes of a killed run must have ended."""
LONGEST = 20
"""Seconds for one mutation. Any more is a hang."""
TARGETS = {"dvc": "/dvc repro", "stage": "stages.", "trainer": "stages.lib.engine.trainer", "group": ""}
"""What is killed -> what its command line holds."""


class Copy:
    """A temporary copy of the checkout: a tiny study of a generated table, reproduced once and committed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.cache = folder / "cache"
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file() and not re.match(r"studies/(?!digits_workflow)|(.*/)?(metrics/|dvc\.lock)|tests/", name):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.folder / name)
        self.mark = folder.name
        who = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"XDG_CACHE_HOME": str(self.cache), "DVC_SITE_CACHE_DIR": str(folder / "dvc"), "CHAOS": self.mark}
        self.environment = {**kept, **who, **own, "PATH": path, "TIPS_WORKERS": "1", "DVC_NO_ANALYTICS": "1"}
        self.write_study()
        self.git("init", "-q")
        started = time.monotonic()
        if failure := self.repro():
            raise RuntimeError(f"the study does not run: {failure}")
        self.seconds = time.monotonic() - started
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "run")
        self.expected = self.digests()

    def write_study(self) -> None:
        rows = "".join(f"{row % 7},{row % 5},{row % 3}\n" for row in range(210))
        (self.folder / "rows.csv").write_text(rows)
        file = {"name": "rows.csv", "sources": [f"file://{self.folder}/rows.csv"]}
        file["sha256"] = hashlib.sha256(rows.encode()).hexdigest()
        entry = {"title": "-", "task": "classification", "reader": {"kind": "csv"}, "licence": "-", "citation": "-"}
        catalogue = {"rows": {**entry, "files": {"all": file}}}
        (self.folder / "data" / "datasets.yaml").write_text(json.dumps(catalogue))
        content = read_yaml(self.folder / STUDY / "params.yaml")
        split = {"method": "stratified", "train": 120, "validation": 40, "test": 40, "seed": 0}
        small: dict[str, Any] = {
            "data": {"dataset": "rows", "split": split},
            "views": {"scaled": {"scale": "max"}},
            "replicates": {"seeds": 2, "jit_compile": False, "diagnostics": False},
            "claims": {},
            "illustrations": {},
            "notes": [],
            "errata": [],
        }
        content = merged({**content, "data": {}, "views": {}, "claims": {}, "illustrations": {}}, small)
        content["variants"] = {
            "first": {"tip": "-", "view": "scaled", "model": {"hidden": [8], "conv": []}, "train": {"epochs": 3}},
            "second": {"tip": "-", "extends": "first", "model": {"hidden": [8, 8]}},
        }
        with (self.folder / STUDY / "params.yaml").open("w", encoding="utf-8") as target:
            YAML(typ="safe", pure=True).dump(content, target)

    def git(self, *command: str) -> None:
        subprocess.run(["git", *command], cwd=self.folder, env=self.environment, check=True)

    def start(self) -> subprocess.Popen[str]:
        command = ["dvc", "repro", f"{(STUDY / 'dvc.yaml').as_posix()}:evaluate"]
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **options)

    def repro(self) -> str:
        """Run to the end. Returns what was said if that failed."""
        process = self.start()
        output, _ = process.communicate()
        return output if process.returncode else ""

    def digests(self) -> dict[str, str]:
        """File of metrics -> the SHA-256 of its content."""
        files = sorted((self.folder / STUDY / "metrics").rglob("*"))
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}

    def processes(self) -> list[psutil.Process]:
        """Every process of a run that has not ended."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("CHAOS") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def leftovers(self) -> list[str]:
        """Temporary files that stayed in the study's folder."""
        return [path.name for path in (self.folder / STUDY).rglob(".*") if re.fullmatch(r"\..+\.\w{8}", path.name)]

    def forget(self) -> None:
        """Empty the replicate cache and remove results, so that all is done anew."""
        shutil.rmtree(self.cache / "tips-on-trial" / "replicates", ignore_errors=True)
        shutil.rmtree(self.folder / ".dvc" / "cache", ignore_errors=True)
        shutil.rmtree(self.folder / STUDY / "data", ignore_errors=True)
        shutil.rmtree(self.folder / STUDY / "metrics", ignore_errors=True)
        (self.folder / STUDY / "dvc.lock").unlink(missing_ok=True)


def kill(copy: Copy, target: str, draw: Random) -> str:
    """Kill the target at a random moment of a run, and let the next run end. Returns what went wrong."""
    copy.forget()
    process = copy.start()
    moment = time.monotonic() + draw.uniform(0, copy.seconds)
    killed = False
    while not killed and process.poll() is None:
        time.sleep(0.02)
        if time.monotonic() < moment:
            continue
        if target == "group":
            os.killpg(process.pid, signal.SIGKILL)
            killed = True
        for each in copy.processes():
            with suppress(psutil.Error):
                if target != "group" and TARGETS[target] in " ".join(each.cmdline()):
                    each.kill()
                    killed = True
                    break
    process.communicate()
    deadline = time.monotonic() + PATIENCE
    while (running := copy.processes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    if running:
        for each in running:
            each.kill()
        return f"still running: {running[0].name()}"
    subprocess.run([sys.executable, "-m", "stages.tools", "restore"], cwd=copy.folder, env=copy.environment, check=True)
    if output := copy.repro():
        return f"the next run failed: {output[-300:]}"
    if copy.digests() != copy.expected:
        return "the next run ended in other bytes"
    return f"left: {', '.join(left)}" if (left := copy.leftovers()) else ""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def ended(*_: object) -> None:
        raise TimeoutError(f"no answer in {seconds} s")

    previous = signal.signal(signal.SIGALRM, ended)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def mutate(kind: str, draw: Random) -> str:
    """Damage something of this kind. Returns what went wrong: a traceback, a hang, or more than one line of 400 characters."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with time_limit(LONGEST):
                said = KINDS[kind](draw, Path(folder)).replace(folder, "")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a failure
            return f"{type(error).__name__}: {error}"
    return f"{len(said)} characters: {said[:200]!r}" if len(said) > 400 or "\n" in said else ""


def main() -> None:
    parser = arguments(__doc__, study=False)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()

    def note(what: str, number: int, wrong: str) -> None:
        tried[what] += 1
        failed[what] += bool(wrong)
        if wrong:
            print(f"{what}, number {number}: {wrong}", file=sys.stderr, flush=True)

    for number in range(options.mutations):
        kind = list(KINDS)[number % len(KINDS)]
        note(f"damage to {kind}", number, mutate(kind, Random(f"{options.seed} {number}")))
    if options.kills:
        with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
            copy = Copy(Path(folder))
            for number in range(options.kills):
                target = list(TARGETS)[number % len(TARGETS)]
                note(f"SIGKILL of {target}", number, kill(copy, target, Random(f"{options.seed} {number}")))
                if number % 10 == 9:
                    print(f"{number + 1} of {options.kills} kills", file=sys.stderr, flush=True)
    print(markdown.table(["what", "tried", "failed"], [(what, tried[what], failed[what]) for what in tried]))


if __name__ == "__main__":
    main()
