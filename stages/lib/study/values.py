"""Kinds of values that settings share: numbers within bounds, names of metrics, and what may be `none` or `all`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, WrapValidator

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.metrics import METRIC_PATTERNS, METRICS, is_metric
from stages.lib.study.strict_yaml import Checked, unknown

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
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
    return handler(value)


_LIMIT_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["none", None]}]}
Limit = Annotated[int | None, WrapValidator(_number_or_none), WithJsonSchema(_LIMIT_SCHEMA)]
"""A whole number, or `none`."""


def _features(value: Any, handler: Any) -> Any:
    if value is None or value == "all":
        return None
    first, stop = handler(value)
    if first >= stop:
        raise SettingError(f"[{first}, {stop}] holds no feature; write [first, stop] with first < stop, or all")
    return first, stop


_FEATURES_SCHEMA = {
    "anyOf": [
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2},
        {"enum": ["all", None]},
    ]
}
Features = Annotated[
    tuple[Whole, Whole] | None, Field(strict=False), WrapValidator(_features), WithJsonSchema(_FEATURES_SCHEMA)
]
"""The features from `first` up to but without `stop`, or `all`."""

_SCALARS = [{"type": kind} for kind in ("number", "string", "boolean")]
_VALUE_SCHEMA = {"anyOf": [*_SCALARS, {"type": "array", "items": {"type": "integer"}}]}
Value = Annotated[Any, WithJsonSchema(_VALUE_SCHEMA)]
"""A value of any key: a number, text, true or false, or a list of whole numbers."""
Number = Annotated[Any, WithJsonSchema({"type": "number"})]
"""A number that keeps its type: 3 does not become 3.0."""
