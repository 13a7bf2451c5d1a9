"""What more workers are worth: measured on this machine, and calculated for a cluster.

    python -m benchmarks.scale efficiency          # the starter's training by 1 and by 2 workers: 20 minutes on two idle cores
    python -m benchmarks.scale overhead            # 1,000 replicates of no work
    python -m benchmarks.scale model --overhead 10 # every study whose data/timings.json is there, at 8, 64 and 512 places

Run it at the checkout's root, in its environment. The first two need data/prepared. Each command prints a Markdown table.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import psutil
from ruamel.yaml import YAML

from stages import train
from stages.lib import markdown
from stages.lib.data.prepared import read_prepared
from stages.lib.engine import cluster, tasks
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.plan import START_SECONDS
from stages.lib.engine.source import digest_of, project_files
from stages.lib.environment import SCHEDULER
from stages.lib.study import places
from stages.lib.study.load import load_study

ROOT = Path(__file__).resolve().parent.parent
NO_WORK = b"""
from stages.lib.training.result import Result

def train_replicate(recipe, seed, splits, outputs, task):
    return Result({"scores.json": b"{}", "history.csv": bytes(1000), "predictions.npz": bytes(10_000)}, 0.001, 0.001)
"""
"""A training module that does nothing. Its trainers do not import Keras either."""
BANDWIDTH = 1e9 / 8
"""Bytes that the driver sends in a second: a network of one gigabit a second."""
THREADS = 16
"""Threads of a cluster's worker. Each worker gets a study's data once."""


def turns(processes: int) -> int:
    """Turns of a loop, in five seconds, of so many processes together. It needs no memory, so it shows what the cores give."""
    loop = "import time; end, n = time.monotonic() + 5, 0\nwhile time.monotonic() < end: n += 1\nprint(n)"
    started = [subprocess.Popen([sys.executable, "-c", loop], stdout=subprocess.PIPE) for _ in range(processes)]
    return sum(int(each.communicate()[0]) for each in started)


def trained(workers: int) -> tuple[float, float]:
    """Seconds of the starter's train stage with so many workers and an empty cache, and the sum over its replicates."""
    with tempfile.TemporaryDirectory() as name:
        study = Path(name) / "study"
        shutil.copytree(ROOT / "data" / "prepared", study / "data" / "prepared")
        shutil.copy(ROOT / "params.yaml", study)
        environment = {**os.environ, "TIPS_WORKERS": str(workers), "XDG_CACHE_HOME": str(Path(name) / "cache")}
        environment.pop(SCHEDULER, None)
        subprocess.run([sys.executable, "-m", "stages.train", str(study)], cwd=ROOT, env=environment, check=True)
        found = json.loads((study / "data" / "timings.json").read_text())
        own = sum(each["seconds"] for seeds in found["replicates"].values() for each in seeds.values())
        return float(found["stage"]["seconds"]), own


def efficiency(rounds: int) -> Iterator[tuple[str, str]]:
    """What a second worker is worth, and how much of the rest is lost because replicates slow each other down.

    One worker and two take turns, since a virtual machine is not equally fast all the time.
    """
    runs = [(*trained(1), *trained(2), turns(1), turns(2)) for _ in range(rounds)]
    one, alone, two, beside, loop, loops = (sum(column) for column in zip(*runs, strict=True))
    yield "train stage of the starter, 1 worker", ", ".join(f"{run[0]:.0f} s" for run in runs)
    yield "2 workers", ", ".join(f"{run[2]:.0f} s" for run in runs)
    yield "times as fast", f"{one / two:.2f}"
    yield "times as long that a replicate takes beside another", f"{beside / alone:.2f}"
    yield "times as fast, had none taken longer", f"{one / two * beside / alone:.2f}"
    yield "times as far that two loops of plain Python get as one", f"{loops / loop:.2f}"


@contextmanager
def trainers_without_work() -> Iterator[None]:
    """Send a training module that does nothing to the trainers, and expect it from them."""
    source = {**project_files(), "stages/lib/training/replicate.py": NO_WORK}
    digest = digest_of(text.decode() for path, text in source.items() if path.startswith("stages/lib/training/"))
    expected_report = cluster.expected_report
    with (
        mock.patch.object(tasks, "project_files", return_value=source),
        mock.patch.object(cluster, "expected_report", lambda *of: {**expected_report(*of), "source": digest}),
    ):
        yield


def overhead(replicates: int) -> Iterator[tuple[str, str]]:
    """The driver's time and memory for each replicate."""
    with tempfile.TemporaryDirectory() as name, trainers_without_work():
        folder = Path(name)
        content = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
        content["variants"] = {"baseline": content["variants"]["baseline"]}
        content["replicates"]["seeds"] = replicates
        content["claims"] = {}
        with (folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(content, file)
        study, prepared = load_study(folder), read_prepared(ROOT / "data" / "prepared")
        moments: list[float] = []
        memory: list[int] = []
        put = ReplicateCache.put

        def noted(*arguments: object) -> None:
            put(*arguments)  # type: ignore[arg-type]
            moments.append(time.perf_counter())
            memory.append(psutil.Process().memory_info().rss)

        with mock.patch.object(ReplicateCache, "put", noted):
            timings = train.train_study(study, prepared, folder / "runs", ReplicateCache(folder / "cache", 10**10))
    after = len(moments) // 10
    yield "replicates of no work, and workers", f"{replicates}, {timings['stage']['workers']}"
    yield "each, from the tenth part on", f"{1000 * (moments[-1] - moments[after]) / (len(moments) - after - 1):.1f} ms"
    for share, where in ((10, "the tenth part"), (2, "the half"), (1, "all")):
        yield f"memory of the stage after {where}", f"{memory[len(memory) // share - 1] / 1e6:.0f} MB"


def makespan(jobs: Sequence[tuple[float, float]], places: int, start: float, overhead: float) -> float:
    """Seconds until all jobs (cost, seconds) have ended. The dearest is first. Each keeps the driver busy for `overhead`."""
    free = [start] * min(places, len(jobs))
    driver = end = 0.0
    for _, seconds in sorted(jobs, reverse=True):
        driver = max(driver, heapq.heappop(free)) + overhead
        heapq.heappush(free, driver + seconds)
        end = max(end, driver + seconds)
    return end


def model(overhead: float) -> Iterator[tuple[str, ...]]:
    """A row for each study, and one for all studies in turn. Every worker gets the data before any replicate starts."""
    counts = (1, 8, 64, 512)
    yield "study", "replicates", "the longest", *(f"{count} at once" for count in counts), "times as fast at 512"
    total = [0.0] * len(counts)
    for study in places.studies(ROOT):
        folder = ROOT / study
        if not (folder / "data" / "timings.json").is_file():
            continue
        found = json.loads((folder / "data" / "timings.json").read_text())["replicates"]
        jobs = [(each["cost"], each["seconds"]) for seeds in found.values() for each in seeds.values()]
        size = sum(path.stat().st_size for path in (folder / "data" / "prepared").glob("*"))
        sending = [-(-min(count, len(jobs)) // THREADS) * size / BANDWIDTH for count in counts]
        spans = [makespan(jobs, count, START_SECONDS + sent, overhead) for count, sent in zip(counts, sending, strict=True)]
        total = [sum(each) for each in zip(total, spans, strict=True)]
        longest = max(seconds for _, seconds in jobs)
        yield (
            places.name_of(study),
            str(len(jobs)),
            f"{longest:.0f} s",
            *(f"{each:.0f} s" for each in spans),
            f"{spans[0] / spans[-1]:.0f}",
        )
    yield "all", "", "", *(f"{each:.0f} s" for each in total), f"{total[0] / total[-1]:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("efficiency", "overhead", "model"))
    parser.add_argument("--rounds", type=int, choices=range(1, 10), default=2, help="for efficiency (default: 2)")
    parser.add_argument("--replicates", type=int, default=1000, help="for overhead (default: 1000)")
    parser.add_argument("--overhead", type=float, default=20, metavar="MS", help="of a replicate, for the model (default: 20)")
    options = parser.parse_args()
    if options.what == "model":
        header, *rows = model(options.overhead / 1000)
    else:
        header = ("measured", "")
        rows = list(efficiency(options.rounds) if options.what == "efficiency" else overhead(options.replicates))
    print(markdown.table(header, rows))


if __name__ == "__main__":
    main()
