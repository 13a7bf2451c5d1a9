"""DVC's own pages of plots, made by the commands of docs/report.md."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from helpers.checkout import ROOT, Checkout

WANTED = (
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvc/plots/variants.json",
    ".dvc/plots/variants_log.json",
    ".gitignore",
    "dvc.yaml",
    "params.yaml",
    "data/datasets.yaml",
)


def commands() -> list[str]:
    """Of the page's last section."""
    section = (ROOT / "docs" / "report.md").read_text(encoding="utf-8").partition("## DVC's plots, without a network")[2]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def plotted(folder: Path) -> str:
    """What the page's commands print, run in turn in a checkout with the starter's metrics, whose curves change."""
    for name in WANTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / "metrics", folder / "metrics")
    (folder / "stages").symlink_to(ROOT / "stages")
    checkout = Checkout(folder, folder / "cache")
    checkout.run("git", "init", "-q", "-b", "main")
    checkout.run("git", "add", "-A")
    checkout.run("git", "commit", "-q", "-m", "first")
    curves = folder / "metrics" / "curves.csv"
    curves.write_text(curves.read_text().replace("baseline,1,10,0.7", "baseline,1,10,0.8"))
    return "".join(checkout.run(*shlex.split(command)) for command in commands())
