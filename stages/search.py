"""Search for better settings, with several strategies side by side, and judge what each of them finds.

Reads data/prepared and params.yaml. Writes metrics/search/ (trials.csv, all that was tried; winners.csv, the best of each
strategy and seed; claims.csv; importance.csv) and metrics/search.json. A trial is a replicate for each fold, trained and cached
as in the train stage, so a search that was interrupted goes on where it stopped. Winners train again on all rows but those
of the test, by which they are then judged; no choice looks at these.
"""

from __future__ import annotations

from pathlib import Path

import optuna
import pandas as pd

from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.prepared import read_prepared
from stages.lib.engine import runs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.files import write_json, write_text
from stages.lib.searching import trials
from stages.lib.searching.rounds import Found, search_of, search_study
from stages.lib.study.load import check_task, load_study
from stages.lib.study.settings import Search, Study

SECTIONS = ("data", "model", "train", "views", "replicates", "limits", "variants", "statistics", "search")
"""What of params.yaml this stage depends on, by dvc.yaml."""


def write_found(study: Study, settings: Search, found: Found, metrics: Path) -> None:
    confidence = study.statistics.confidence
    winners = trials.winners_table(settings, found.winners, found.tested, confidence)
    claims = trials.claims_table(settings, trials.by_strategy(settings, found.winners, found.tested), confidence)
    shares = trials.importance(settings, found.trials)
    tables = {
        "trials": trials.trials_table(settings, found.trials),
        "winners": winners,
        "claims": claims,
        "importance": pd.DataFrame(list(shares.items()), columns=["name", "share"]),
    }
    for name, table in tables.items():
        write_text(metrics / "search" / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    write_json(metrics / "search.json", trials.summary(settings, winners, claims, found.trials, confidence))


def main() -> None:
    folder: Path = arguments(__doc__).parse_args().study
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with one_line_errors("search"):
        study = load_study(folder)
        settings = search_of(study, folder)
        runs.check_backend(study)
        data = folder / "data"
        with runs.alone(data / ".search.lock", "search"), runs.unchanged(study, folder, SECTIONS):
            prepared = read_prepared(data / "prepared")
            check_task(study, prepared.task)
            found = search_study(study, settings, prepared, ReplicateCache.of_user())
            write_found(study, settings, found, folder / "metrics")


if __name__ == "__main__":
    main()
