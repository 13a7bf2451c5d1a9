"""Search for better settings with several strategies, and judge what each of them finds.

Reads params.yaml and data/prepared. Writes metrics/search.json, which `dvc metrics diff` compares, and to metrics/search/:

    trials.csv      every trial with its settings and scores
    winners.csv     the best trial of each strategy and seed, and its value on the test rows
    claims.csv      the claims about strategies, with their verdicts
    importance.csv  how much each setting matters

A trial is one replicate for each fold, trained and cached as in the train stage. So a search that was interrupted goes on where
it stopped. The test rows choose nothing: only the winners, trained again on all other rows, are judged on them.
"""

from __future__ import annotations

from pathlib import Path

import optuna
import pandas as pd

from stages.lib.cli import arguments, one_line_errors
from stages.lib.data.prepared import read_prepared
from stages.lib.engine import runs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.environment import check_backend
from stages.lib.files import write_json, write_text
from stages.lib.searching import results
from stages.lib.searching.rounds import Found, search_of, search_study
from stages.lib.study.load import check_task, load_study
from stages.lib.study.search import Search
from stages.lib.study.settings import Study

SECTIONS = ("data", "model", "train", "views", "replicates", "limits", "variants", "statistics", "search")
"""The sections of params.yaml that this stage depends on, as in dvc.yaml."""


def write_found(study: Study, search: Search, found: Found, metrics: Path) -> None:
    """Write the tables and search.json."""
    confidence = study.statistics.confidence
    winners = results.winners_table(search, found, confidence)
    claims = results.judge_strategies(search, results.scores_of(search, found), confidence)
    shares = results.importance(search, found.trials)
    tables = {
        "trials": results.trials_table(search, found.trials),
        "winners": winners,
        "claims": claims,
        "importance": pd.DataFrame(list(shares.items()), columns=["name", "share"]),
    }
    for name, table in tables.items():
        write_text(metrics / "search" / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    write_json(metrics / "search.json", results.search_json(search, found.winners, winners, claims, confidence))


def main() -> None:
    options = arguments(__doc__, debug=True).parse_args()
    folder: Path = options.study
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with one_line_errors("search", folder, options.debug):
        study = load_study(folder)
        search = search_of(study, folder)
        check_backend(study.replicates.backend)
        data = folder / "data"
        with runs.alone(data / ".search.lock", "search"), runs.unchanged(study, folder, SECTIONS):
            prepared = read_prepared(data / "prepared")
            check_task(study, prepared.task)
            found = search_study(study, search, prepared, ReplicateCache.of_user())
            write_found(study, search, found, folder / "metrics")


if __name__ == "__main__":
    main()
