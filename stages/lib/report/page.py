"""The report of a study: one page that needs no other file."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from stages.lib.judging.verdicts import FEWEST
from stages.lib.report import commands
from stages.lib.report.document import MARKS, document
from stages.lib.report.figures.claims import claim_strips
from stages.lib.report.figures.style import inline
from stages.lib.report.illustrations.illustrated import Illustrated, compare_printed, file_of, printed_numbers
from stages.lib.report.results import Results
from stages.lib.report.sections import claims, variants
from stages.lib.study import own
from stages.lib.study.metrics import metric_of
from stages.lib.study.settings import Study

MIME = {".svg": "image/svg+xml", ".png": "image/png"}
LIBRARIES = (
    "tensorflow tensorflow-cpu keras jax torch numpy pandas scipy scikit-learn optuna matplotlib dask pydantic dvc"
).split()


def versions() -> dict[str, str]:
    """Library -> version, as far as it is installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def metric_meanings(study: Study, folder: Path, headline: str) -> dict[str, str]:
    """Metric -> what it is, by name: the headline, and those of the claims, of the reported numbers and of the search."""
    claimed = [claim.metric for claim in study.claims.values()]
    printed = [metric for each in study.variants.values() for metric in each.reported]
    searched = [study.search.metric, study.search.judged_by] if study.search else []
    functions = {f"own.{name}": own.meaning(each) for name, each in own.functions(folder / own.FILE).items()}
    named = sorted({headline, *claimed, *printed, *searched})
    return {name: functions.get(name) or metric_of(name).meaning for name in named}


def embedded(name: str, content: bytes) -> str:
    """A picture as a data URI."""
    return f"data:{MIME[Path(name).suffix]};base64,{base64.b64encode(content).decode()}"


def page(
    results: Results,
    pictures: Mapping[str, bytes],
    illustrated: Mapping[str, Illustrated],
    search: Mapping[str, Any] | None = None,
    same_test: bool = False,
    class_rows: Mapping[str, Sequence[int]] | None = None,
) -> str:
    """The page as HTML.

    pictures: file name -> content, of every figure.
    illustrated: name -> illustration. Its figure is among the pictures.
    search: what `search_section` returns.
    same_test: whether the validation rows are the test rows.
    class_rows: split -> rows of each class.
    """
    study, environment = results.study, results.timings["environment"]
    judged, timed = (claims.judged_claims(results, table) for table in (results.claims, results.timed))
    strips = claim_strips(results.claims, results.task) | claim_strips(results.timed, results.task)
    durations = results.durations.groupby("variant", sort=False)
    return document(
        "report.html.j2",
        results=results,
        study=study,
        facts=results.facts,
        task=results.task,
        metric=results.headline,
        same_test=same_test,
        class_rows=class_rows or {},
        limits=study.limits.model_dump(exclude_none=True),
        marks=MARKS,
        verdicts=Counter(each["verdict"] for each in [*judged, *timed, *(search["claims"] if search else [])]),
        claims=judged,
        timed=timed,
        claim_strips={name: inline(strip, f"{name}-") for name, strip in strips.items()},
        verdict_of={each["name"]: each["verdict"] for each in [*judged, *timed]},
        claim_counts=Counter(each["verdict"] for each in judged),
        changed_knobs=claims.changed_knobs,
        why=claims.why,
        commands=commands,
        search=search,
        illustrated=illustrated,
        file_of=file_of,
        printed=printed_numbers(study, compare_printed(study, illustrated)),
        pictures={name: embedded(name, content) for name, content in pictures.items()},
        durations=durations[["seconds", "seconds_per_epoch"]].mean().assign(replicates=durations.size()),
        versions=versions(),
        fingerprint=hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:12],
        meanings=metric_meanings(study, results.folder, results.headline),
        fewest=FEWEST,
        **variants.content(results),
    )
