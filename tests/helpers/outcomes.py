"""The metrics of studies that were never run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from helpers.study import csv_entry
from stages.lib.data.catalogue import CATALOGUE

TUTORIAL: dict[str, Any] = {
    "title": "A tutorial",
    "source": "Somebody (2019)",
    "variants": {
        "plain": {"reported": {"test_accuracy": 0.93, "best_epoch": 7.0}},
        "dropped": {"ours": True},
    },
    "claims": {
        "noise_hurts": {"reported": "It breaks."},
        "ends_well": {"says": "It | ends well.", "variant": "plain", "metric": "test_accuracy"}
        | {"expect": "at_least", "threshold": 0.9, "ours": True},
        "is_fast": {
            "says": "An epoch is quick.",
            "variant": "plain",
            "metric": "seconds",
            "expect": "at_most",
            "threshold": 1.0,
        },
    },
    "errata": ["It forgets\n  a sign."],
    "notes": ["The rate is assumed.", {"says": "Noise is normal.", "about": ["noise_hurts"]}],
}


SUMMARY = """variant,metric,replicates,mean,sd,low,high
plain,test_loss,5,0.2,0.01,0.18,0.22
plain,test_accuracy,5,0.95,0.01,0.92,0.98
plain,best_epoch,5,8.2,0.4,7.4,9.0
noisy,test_accuracy,3,diverged,diverged,diverged,diverged
"""


CLAIMS = """claim,verdict,effect,low,high,close,replicates,metric,expect,threshold,margin
noise_hurts,supported,diverged,diverged,diverged,False,3,test_accuracy,lower,,0.0
ends_well,supported,0.95,0.92,0.98,True,5,test_accuracy,at_least,0.9,0.0
gone,refuted,0.1,0.0,0.2,False,5,test_accuracy,higher,,0.0
"""


SEARCH: dict[str, Any] = {
    "variant": "plain",
    "space": {"rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1]}},
    "strategies": {
        "tpe": {"method": "tpe"},
        "printed": {"method": "quasi_random", "trials": 4, "reported": {"val_accuracy": 0.91, "test_accuracy": 0.7}},
    },
    "trials": 8,
    "batch": 4,
    "seeds": 3,
    "folds": 2,
    "metric": "val_accuracy",
    "claims": {
        "tpe_helps": {"says": "TPE helps.", "compare": ["default", "tpe"], "metric": "test_accuracy", "expect": "higher"},
        "noise_hurts": {"says": "TPE | wins.", "compare": ["printed", "tpe"], "metric": "val_accuracy", "expect": "higher"}
        | {"reported": "It does.", "ours": True},
    },
}


WINNERS = """strategy,seed,val_accuracy,test_accuracy
default,0,0.79,0.8
default,1,0.8,0.81
default,2,0.81,0.82
tpe,0,0.8,0.83
tpe,1,diverged,0.83
tpe,2,0.8,0.83
printed,0,0.88,0.9
printed,1,0.9,0.9
printed,2,0.92,0.9
"""


SEARCH_CLAIMS = """claim,verdict,effect,low,high,close,replicates,metric,expect,threshold,margin
tpe_helps,refuted,-0.02,-0.03,-0.01,False,3,test_accuracy,higher,,0.0
noise_hurts,inconclusive,0.0123,-0.1,0.12,True,3,val_accuracy,higher,,0.0
"""


def write_catalogue(root: Path, **tasks: str) -> None:
    """Write a catalogue of data sets that nobody fetches: `blobs`, and others by name with their task."""
    entries = {name: csv_entry("0" * 64, "file:///nowhere") | {"task": task} for name, task in tasks.items()}
    entries["blobs"] = csv_entry("0" * 64, "file:///nowhere")
    (root / CATALOGUE).parent.mkdir(exist_ok=True)
    (root / CATALOGUE).write_text(json.dumps(entries))


def write_search(folder: Path) -> None:
    (folder / "metrics" / "search").mkdir(parents=True)
    (folder / "metrics" / "search" / "claims.csv").write_text(SEARCH_CLAIMS)
    (folder / "metrics" / "search" / "winners.csv").write_text(WINNERS)


def write_metrics(folder: Path, summary: str = SUMMARY, claims: str = CLAIMS) -> None:
    (folder / "metrics").mkdir(exist_ok=True)
    (folder / "metrics" / "summary.csv").write_text(summary)
    (folder / "metrics" / "claims.csv").write_text(claims)
