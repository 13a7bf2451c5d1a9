"""A scheduler and workers of Dask's command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from helpers.checkout import environment_of
from helpers.processes import command_of, until


class Dask:
    """Processes of Dask's command line, each in a folder and a process group of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = environment_of(folder / "cache", **environment)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str, python: str = sys.executable) -> None:
        home = self.folder / name
        home.mkdir()
        with (home / "log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [python, "-m", "dask", *arguments],
                cwd=home,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def scheduler(self, *arguments: str) -> str:
        file = self.folder / "scheduler.json"
        dashboard = ["--dashboard-address", "127.0.0.1:0"]
        self.start(
            "scheduler",
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--scheduler-file",
            str(file),
            *dashboard,
            *arguments,
        )
        until(lambda: file.exists() and file.read_text().endswith("}"))
        return str(json.loads(file.read_text())["address"])

    def worker(self, name: str, host: str, *arguments: str, python: str = sys.executable) -> None:
        address = json.loads((self.folder / "scheduler.json").read_text())["address"]
        scratch = ["--local-directory", str(self.folder / name / "scratch"), "--no-dashboard"]
        self.start(name, "worker", address, "--host", host, *scratch, *arguments, python=python)

    def members(self, name: str) -> list[psutil.Process]:
        process = psutil.Process(self.processes[name].pid)
        return [process, *process.children(recursive=True)]

    def trainers(self, name: str) -> list[psutil.Process]:
        return [each for each in self.members(name) if "stages.lib.engine.trainer" in command_of(each)]

    def signal(self, name: str, number: signal.Signals) -> None:
        os.killpg(self.processes[name].pid, number)

    def end(self, name: str) -> None:
        process = self.processes.pop(name)
        for number in (signal.SIGKILL, signal.SIGCONT):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
        process.wait()
