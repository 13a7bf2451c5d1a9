"""Kinds of values that settings share: numbers within bounds, names of metrics, and what may be `none` or `all`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, WrapValidator

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.metrics import METRIC_PATTERNS, METRICS, is_fraction, is_metric
from stages.lib.study.strict_yaml import NAME, Checked, Name, Printed, unknown

MOST = 1_000_000_000
"""The most of anything that a study may ask for. Keys whose values cost time or memory have limits of their own."""
LARGEST = 1e9
"""The largest number that training is given. float32, in which it is done, ends at 3e38."""

Count = Annotated[int, Field(ge=1, le=MOST)]
Whole = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""NumPy's and scikit-learn's seeds have 32 bits."""
Replications = Annotated[int, Field(ge=1, le=1000)]
"""How often something is repeated. A thousand replicates tell differences of a tenth of a standard deviation apart."""
Look = Annotated[int, Field(ge=2, le=1000)]
"""Replicates after which a claim is judged. One has no deviation."""
Epochs = Annotated[int, Field(ge=1, le=1_000_000)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]
"""Units or filters of a layer."""
Side = Annotated[int, Field(ge=1, le=1000)]
"""Of a square, in pixels."""
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Finite = Annotated[float, Field(ge=-1e30, le=1e30)]
"""A number that is compared with a metric."""
Share = Annotated[float, Field(ge=0, lt=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]


def _metric(name: str) -> str:
    if not is_metric(name):
        raise unknown("metric", name, METRICS, "; <level> is a share such as 0.95, <n> an epoch such as 1")
    return name


_METRIC_SCHEMA = {
    "anyOf": [
        {"enum": [name for name in METRICS if "<" not in name]},
        *({"pattern": f"^({pattern})$"} for pattern in METRIC_PATTERNS),
    ]
}
MetricName = Annotated[str, Checked(_metric, _METRIC_SCHEMA)]
"""A metric, which may have a level or the number of an epoch in its name."""


def _number_or_none(value: Any, handler: Any) -> Any:
    if value is None or value == "none":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingError(f"{as_yaml(value)} must be a whole number of at least 1, or none")
    if value > MOST:
        raise SettingError(f"{as_yaml(value)} must be at most {MOST}, or none")
    return handler(value)


_LIMIT_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST}, {"enum": ["none", None]}]}
Limit = Annotated[int | None, WrapValidator(_number_or_none), WithJsonSchema(_LIMIT_SCHEMA)]
"""A whole number, or `none`."""


def _features(value: Any, handler: Any) -> Any:
    if value is None or value == "all":
        return None
    if value in ("columns", "crosses"):
        return value
    if isinstance(value, str):
        raise SettingError(f"{as_yaml(value)} must be all, columns, crosses, or [first, stop]")
    first, stop = handler(value)
    if first >= stop:
        raise SettingError(f"[{first}, {stop}] holds no feature; write [first, stop] with first < stop, or all")
    return first, stop


_FEATURES_SCHEMA = {
    "anyOf": [
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2},
        {"enum": ["all", None, "columns", "crosses"]},
    ]
}
if TYPE_CHECKING:
    Features = tuple[int, int] | Literal["columns", "crosses"] | None
else:  # pydantic would name the members of a union in the place of a mistake
    Features = Annotated[
        tuple[Whole, Whole] | None,
        Field(strict=False),
        WrapValidator(_features),
        PlainSerializer(lambda value: value),
        WithJsonSchema(_FEATURES_SCHEMA),
    ]
"""The features from `first` up to but without `stop`, or `all`. Of a table with crosses, these, or all the other columns."""


def _filling(value: Any, _: object) -> Any:
    if value is None or value == "none":
        return None
    if value in ("median", "mean", "most_frequent"):
        return value
    if isinstance(value, bool | str) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise SettingError(f"{as_yaml(value)} must be median, mean, most_frequent, a number up to {LARGEST:.0f}, or none")
    return float(value)


_FILLING_SCHEMA = {"anyOf": [{"enum": ["none", None, "median", "mean", "most_frequent"]}, {"type": "number"}]}
Filling = Annotated[Any, WrapValidator(_filling), WithJsonSchema(_FILLING_SCHEMA)]
"""What stands for a missing value."""

_NETWORK_SCHEMA = {"anyOf": [{"type": "string", "pattern": NAME}, {"enum": ["none", None]}]}
NetworkName = Annotated[
    Name | None, BeforeValidator(lambda name: None if name == "none" else name), WithJsonSchema(_NETWORK_SCHEMA)
]
"""A name, or `none`."""

_SCALARS = [{"type": kind} for kind in ("number", "string", "boolean")]
_VALUE_SCHEMA = {"anyOf": [*_SCALARS, {"type": "array", "items": {"type": "integer"}}]}
Value = Annotated[Any, WithJsonSchema(_VALUE_SCHEMA)]
"""A value of any key: a number, text, true or false, or a list of whole numbers."""
Number = Annotated[Any, WithJsonSchema({"type": "number"})]
"""A number that keeps its type: 3 does not become 3.0."""


def _within_one(reported: dict[str, float]) -> dict[str, float]:
    for metric, value in reported.items():
        check_share(metric, value, metric)
    return reported


def check_share(metric: str, value: float | None, *place: str) -> None:
    """Raises SettingError for an accuracy, or a difference of two, of more than 1: 97 is meant as 0.97."""
    if value is not None and is_fraction(metric) and abs(value) > 1:
        raise SettingError(f"{as_yaml(value)} is more than 1; {metric} is a share, so 97 % are 0.97", *place)


def _as_printed(value: Any, handler: Any) -> Printed:
    if isinstance(value, str):
        if not re.fullmatch(r"-?\d+(\.\d*)?(e[-+]?\d+)?", value):
            raise SettingError(f"{as_yaml(value)} must be a number, with the digits that the source prints")
        handler(float(value))
        return Printed(value)
    number = handler(value)
    return value if isinstance(value, Printed) else Printed(repr(number) if isinstance(value, float) else str(value))


_PRINTED_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?\d+(\.\d*)?(e[-+]?\d+)?$"}]}
Reported = Annotated[
    dict[MetricName, Annotated[Finite, WrapValidator(_as_printed), WithJsonSchema(_PRINTED_SCHEMA)]],
    AfterValidator(_within_one),
]
"""Metric -> the number that the source prints, with all its digits. A quoted number keeps them in every program."""
