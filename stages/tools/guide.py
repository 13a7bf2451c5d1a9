"""Write the worked examples of docs/verdicts.md from the starter's results: `python -m stages.tools.guide`.

Reads params.yaml, metrics/claims.csv and metrics/replicates.csv. Every number of the page stands between two markers and is
made here; a test fails when one is stale, or stands elsewhere. No stage of the pipeline.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from stages.lib.cli import UserError, one_line_errors
from stages.lib.files import write_text
from stages.lib.judging.verdicts import CLOSE, FEWEST, FEWEST_RANKED, difference_interval
from stages.lib.study.load import load_study
from stages.lib.study.metrics import round_or_word
from stages.lib.study.settings import Claim, Study

PAGE = Path("docs/verdicts.md")


def markers(name: str) -> tuple[str, str]:
    return f"<!-- {name}: made by python -m stages.tools.guide -->", f"<!-- end of {name} -->"


def number(value: float) -> str:
    """Four significant digits; never in the form 1e-05."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def values(replicates: pd.DataFrame, claim: Claim, seeds: int) -> list[list[float]]:
    """The replicates of each variant that the claim is judged by."""
    chosen = [replicates[(replicates["variant"] == name) & (replicates["seed"] < seeds)] for name in claim.variants]
    return [[float(value) for value in rows[claim.metric]] for rows in chosen]


def worked(study: Study, claims: pd.DataFrame, replicates: pd.DataFrame) -> Iterator[str]:
    """Welch's interval by hand, of the first claim that compares two means which both vary."""
    for name, claim in study.claims.items():
        if claim.compare is None or claim.metric not in replicates or name not in claims.index:
            continue
        groups = values(replicates, claim, study.claim_seeds(claim))
        if min(len(group) for group in groups) >= FEWEST and all(np.ptp(group) > 0 for group in groups):
            break
    else:
        raise UserError("metrics/: no claim compares two variants whose replicates differ; is the study run?")
    row = claims.loc[name]
    yield f"`{name}`: *{claim.says}*"
    yield f"It compares `{claim.metric}` of `{claim.variants[0]}` with that of `{claim.variants[1]}`, expects *{claim.expect}*,"
    yield f"and its margin is {number(claim.margin)}."
    yield ""
    yield "| variant | replicates | mean | standard deviation | variance of the mean |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    variances = []
    for variant, group in zip(claim.variants, groups, strict=True):
        deviation = float(np.std(group, ddof=1))
        variances.append(deviation**2 / len(group))
        mean = float(np.mean(group))
        yield f"| `{variant}` | {len(group)} | {number(mean)} | {number(deviation)} | {number(variances[-1])} |"
    freedom = sum(variances) ** 2 / sum(each**2 / (len(group) - 1) for each, group in zip(variances, groups, strict=True))
    quantile = float(stats.t.ppf((1 + study.statistics.confidence) / 2, freedom))
    interval = difference_interval(groups[0], groups[1], study.statistics.confidence)
    confidence = f"{number(100 * study.statistics.confidence)} %"
    reach = quantile * interval.standard_error
    yield ""
    yield f"* The effect is the second mean minus the first: {number(interval.mean)}."
    yield f"* Its standard error is the root of the two variances' sum: {number(interval.standard_error)}."
    yield f"* Welch and Satterthwaite give it {number(freedom)} degrees of freedom;"
    yield f"  {confidence} of Student's distribution then lie within {number(quantile)} standard errors."
    yield f"* So the interval reaches {number(reach)} to both sides: {number(interval.low)} to {number(interval.high)}."
    yield f"* {reason(claim, interval.low, interval.high)}: the verdict is **{row['verdict']}**."


def reason(claim: Claim, low: float, high: float) -> str:
    """Why an interval leads to its verdict, in a sentence without its end."""
    if claim.threshold is not None:
        beyond, short = (low >= claim.threshold, high < claim.threshold)
        if claim.expect == "at_most":
            beyond, short = (high <= claim.threshold, low > claim.threshold)
        side = "wholly on the expected side" if beyond else "wholly on the other side" if short else "on both sides"
        return f"The interval lies {side} of the threshold, {number(claim.threshold)}"
    margin = number(claim.margin)
    if -claim.margin <= low and high <= claim.margin:
        return f"The interval lies within the margin, between -{margin} and {margin}"
    if claim.expect == "same":
        beyond = low > claim.margin or high < -claim.margin
        return f"The interval lies {'wholly beyond' if beyond else 'neither within nor wholly beyond'} the margin, {margin}"
    if claim.expect == "lower":
        low, high = -high, -low
    if low > claim.margin:
        return f"The whole interval is beyond the margin, {margin}, in the expected direction"
    if high < claim.margin:
        return f"The whole interval falls short of the margin, {margin}"
    return f"The interval holds values beyond the margin, {margin}, and values short of it"


def one_of_each(study: Study, claims: pd.DataFrame) -> Iterator[str]:
    """For each verdict an example: a claim that compares two variants and is not close, where there is one."""
    yield "| verdict | claim | effect | interval | why |"
    yield "| --- | --- | ---: | :---: | --- |"
    finite = claims[pd.to_numeric(claims["low"], errors="coerce").notna()]
    for verdict in ("supported", "refuted", "equivalent", "inconclusive"):
        rows = finite[finite["verdict"] == verdict]
        if rows.empty:
            yield f"| **{verdict}** | none in this study | | | |"
            continue
        plain = [each for each in rows.index if study.claims[each].compare and study.claims[each].margin]
        name = str([*(each for each in plain if not rows.loc[each, "close"]), *rows.index][0])
        effect, low, high = (float(str(rows.loc[name, column])) for column in ("effect", "low", "high"))
        claim = study.claims[name]
        why = reason(claim, low, high)
        yield f"| **{verdict}** | `{name}`: {claim.says} | {number(effect)} | {number(low)} to {number(high)} | {why}. |"


def close(claims: pd.DataFrame) -> Iterator[str]:
    """The claims whose verdicts are close."""
    near = claims[claims["close"]]
    yield f"A verdict is *close* if it would be another, had the effect moved by {number(CLOSE)} standard errors."
    yield f"Of the starter's {len(claims)} judged claims, these are: {len(near)}."
    yield ""
    for name, verdict, low, high in zip(near.index, near["verdict"], near["low"], near["high"], strict=True):
        yield f"* `{name}`, {verdict}, with an interval from {number(float(low))} to {number(float(high))}"


def by_rank(study: Study, claims: pd.DataFrame, replicates: pd.DataFrame) -> Iterator[str]:
    """A claim that is decided without means, if the starter has one."""
    ranked = [str(name) for name, row in claims.iterrows() if row["effect"] in ("never", "diverged")]
    chance = 2 / math.comb(2 * FEWEST_RANKED, FEWEST_RANKED)
    yield f"With {FEWEST_RANKED} replicates in each group this happens by chance with a probability of {number(chance)}."
    if not ranked:
        yield "No claim of the starter is judged so."
        return
    claim = study.claims[ranked[0]]
    yield f"An example is `{ranked[0]}`: *{claim.says}*"
    yield f"The replicates' `{claim.metric}`:"
    yield ""
    for variant, group in zip(claim.variants, values(replicates, claim, study.claim_seeds(claim)), strict=True):
        listed = ", ".join(
            number(value) if math.isfinite(value) else str(round_or_word(claim.metric, value)) for value in group
        )
        yield f"* `{variant}`: {listed}"
    yield ""
    yield f"The verdict is **{claims.loc[ranked[0]]['verdict']}**."


def rules(study: Study, claims: pd.DataFrame) -> Iterator[str]:
    """What the confidence of the intervals means for so many claims."""
    confidence = study.statistics.confidence
    wrong = 1 - confidence
    yield f"Every interval of the starter has a confidence of {number(confidence)}, so it misses the truth with a probability"
    yield f"of {number(wrong)}. Of its {len(claims)} intervals, {number(wrong * len(claims))} are to be expected to."
    yield f"Fewer than {FEWEST} replicates in a group decide nothing."


def blocks(folder: Path) -> dict[str, str]:
    """Marker -> what stands between it and its end."""
    study = load_study(folder)
    try:
        claims = pd.read_csv(folder / "metrics" / "claims.csv", index_col="claim", keep_default_na=False)
        replicates = pd.read_csv(folder / "metrics" / "replicates.csv")
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing; run `dvc repro` first") from None
    claims["close"] = claims["close"].astype(str) == "True"
    for claim in study.claims.values():
        if claim.metric in replicates:
            replicates[claim.metric] = pd.to_numeric(replicates[claim.metric], errors="coerce").fillna(math.inf)
    made = {
        "worked": worked(study, claims, replicates),
        "one_of_each": one_of_each(study, claims),
        "close": close(claims),
        "by_rank": by_rank(study, claims, replicates),
        "rules": rules(study, claims),
    }
    return {name: "\n".join(lines) for name, lines in made.items()}


def filled(page: str, content: dict[str, str]) -> str:
    """The page with the content between its markers. Raises UserError for a marker that it lacks."""
    for name, text in content.items():
        start, end = markers(name)
        before, found, rest = page.partition(start)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise UserError(f"{PAGE}: lacks {start} or {end}")
        page = f"{before}{start}\n{text}\n{end}{after}"
    return page


def main() -> None:
    with one_line_errors("guide"):
        write_text(PAGE, filled(PAGE.read_text(encoding="utf-8"), blocks(Path())))
        print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
