"""The figures by themselves: tables with what is rare in them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stages.lib.report import figures

COLUMNS = "claim verdict effect low high close replicates metric expect threshold margin groups".split()


def words(figure: Figure) -> set[str]:
    """The texts of a figure's SVG, which must be well-formed."""
    root = ET.fromstring(figures.svg(figure))  # noqa: S314  # our own
    return {"".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")}


def claim(name: str, verdict: str, numbers: tuple[object, object, object], **others: object) -> list[object]:
    row = {"metric": "test_accuracy", "expect": "higher", "threshold": math.nan, "margin": 0.01, "groups": "b − a", **others}
    return [name, verdict, *numbers, False, 5, *(row[column] for column in COLUMNS[7:])]


def curves_of(**losses: list[float]) -> pd.DataFrame:
    """Curves of variants without validation rows, by their training loss; the band is the mean itself."""
    rows = [
        {"variant": variant, "epoch": epoch, "replicates": 5, **{f"loss_{how}": loss for how in ("mean", "min", "max")}}
        for variant, values in losses.items()
        for epoch, loss in enumerate(values, 1)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("expect", "zone"),
    [
        ("higher", (0.1, math.inf)),
        ("lower", (-math.inf, -0.1)),
        ("same", (-0.1, 0.1)),
        ("at_least", (0.9, math.inf)),
        ("at_most", (-math.inf, 0.9)),
    ],
)
def test_the_zone_of_a_supported_claim(expect: str, zone: tuple[float, float]) -> None:
    assert figures.target(expect, 0.1, 0.9) == zone


def test_claims_of_every_verdict_and_unit_are_drawn() -> None:
    never = {"metric": "epochs_to_0.95_accuracy", "margin": 0.0, "expect": "lower"}
    threshold = {"expect": "at_most", "threshold": 0.2, "margin": 0.0, "groups": "a"}
    rows = [
        claim("helps", "supported", (0.05, 0.03, 0.07)),
        claim("far", "refuted", (-0.6, -0.7, -0.5)),  # beside a margin of one point: the axis becomes logarithmic
        claim("equal", "equivalent", ("0.001", "-0.002", "0.004")),
        claim("lost", "inconclusive", ("diverged", "diverged", "diverged")),
        claim("slow", "supported", ("never", "never", "never"), **never),
        claim("low", "supported", (0.1, 0.1, 0.1), **threshold),
    ]
    text = words(figures.claims(pd.DataFrame(rows, columns=COLUMNS), "classification"))
    assert {"helps", "far", "equal", "lost", "slow", "low", *figures.VERDICTS} <= text
    assert {"no interval: diverged", "no interval: never reached"} <= text
    assert {"Difference in accuracy, points", "Difference in epochs", "Accuracy, %", "logarithmic beyond ±2"} <= text
    assert "5.00 [3.00, 7.00]" in text


def test_a_logarithmic_strip_says_so_within_its_own_picture() -> None:
    """Beside it, in the next column of the table, it would lie over what is expected."""
    rows = [claim("far", "refuted", (-0.6, -0.7, -0.5)), claim("helps", "supported", (0.05, 0.03, 0.07))]
    table = pd.DataFrame(rows, columns=COLUMNS)
    far, helps = figures.claim_strips(table, "classification").values()
    [note] = far.texts
    assert note.get_text() == "logarithmic beyond ±2"
    renderer = FigureCanvasAgg(far).get_renderer()  # type: ignore[no-untyped-call]
    far.draw(renderer)
    box = note.get_window_extent(renderer)
    assert far.bbox.x0 <= box.x0 < box.x1 <= far.bbox.x1
    assert far.bbox.y0 <= box.y0
    ticks = [tick.label1.get_window_extent(renderer) for tick in far.axes[0].xaxis.get_major_ticks()]
    assert ticks
    assert box.y1 <= min(tick.y0 for tick in ticks)
    assert not helps.texts


def test_verdicts_differ_by_more_than_their_colour() -> None:
    assert len({look.marker for look in figures.VERDICTS.values()}) == len(figures.VERDICTS)


def test_the_best_variant_comes_first_and_what_diverged_last() -> None:
    rows = [("a", "0.5"), ("b", "diverged"), ("c", "0.9"), ("d", "0.5")]
    summary = pd.DataFrame([{"variant": name, "metric": "test_accuracy", "mean": mean} for name, mean in rows])
    assert list(figures.ranked(summary, "test_accuracy", "classification")["variant"]) == ["c", "a", "d", "b"]
    loss = summary.assign(metric="test_loss")
    assert list(figures.ranked(loss, "test_loss", "regression")["variant"]) == ["a", "d", "c", "b"]


@pytest.mark.parametrize(("metric", "task"), [("test_accuracy", "classification"), ("test_loss", "regression")])
def test_a_leaderboard_where_replicates_diverged_or_are_perfect(metric: str, task: str) -> None:
    numbers = ["mean", "low", "high"]
    summary = pd.DataFrame([["perfect", 1.0, 1.0, 1.0], ["lost", *["diverged"] * 3]], columns=["variant", *numbers])
    replicates = pd.DataFrame({"variant": ["perfect"] * 2 + ["lost"] * 2, metric: [1.0, 1.0, 0.4, math.nan]})
    figure = figures.leaderboard(summary.assign(metric=metric), replicates, {"lost": 0.3}, metric, task)
    assert {"perfect", "lost", "diverged: 1 of 2", "reported by the source"} <= words(figure)


def test_a_leaderboard_where_all_diverged() -> None:
    summary = pd.DataFrame([["lost", "test_loss", *["diverged"] * 3]], columns=["variant", "metric", "mean", "low", "high"])
    replicates = pd.DataFrame({"variant": ["lost"], "test_loss": [math.nan]})
    assert "diverged: 1 of 1" in words(figures.leaderboard(summary, replicates, {}, "test_loss", "regression"))


def test_curves_without_validation_rows_show_each_against_its_parent() -> None:
    figure = figures.learning_curves(curves_of(first=[2, 1], second=[2, 0.5]), {"first": None, "second": "first"}, "loss")
    text = words(figure)
    assert {"first", "second", "grey: first"} <= text
    assert "validation rows" not in text
    assert "diverged" not in text


def test_a_curve_that_explodes_is_marked_and_leaves_room_for_the_others() -> None:
    figure = figures.learning_curves(curves_of(calm=[2, 1, 1], wild=[3, 1e30, math.nan]), {}, "loss")
    assert "diverged" in words(figure)
    assert figure.axes[0].get_ylim()[1] < 100


@pytest.mark.parametrize("losses", [[1.0], [math.nan], [0.0, 0.0]])
def test_curves_of_one_epoch_of_zeros_and_of_nothing(losses: list[float]) -> None:
    assert "only" in words(figures.learning_curves(curves_of(only=losses), {"only": None}, "loss"))


def test_forty_variants_of_a_hundred_epochs_stay_small() -> None:
    draw = np.random.default_rng(0)
    names = [f"variant_{number}" for number in range(40)]
    curves = curves_of(**{name: list(draw.random(100)) for name in names})
    measured = [f"loss_{how}" for how in ("mean", "min", "max")]
    curves = curves.join(draw.random() + curves[measured].add_prefix("val_"))
    assert len(figures.svg(figures.learning_curves(curves, dict.fromkeys(names[1:], names[0]), "loss"))) < 300_000

    counts = draw.multinomial(1000, np.full(10, 0.1), size=400)  # nothing learnt: every cell is an error of note
    table = pd.DataFrame(counts, columns=[str(label) for label in range(10)])
    table.insert(0, "variant", np.repeat(names, 10))
    table.insert(1, "class", [str(label) for label in range(10)] * 40)
    assert len(figures.svg(figures.confusion(table, set()))) < 300_000


def test_many_markers_that_look_alike_have_their_style_once() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot(range(2000), "o", alpha=0.5)
    axes.plot(range(0, 200, 10), "s")
    root = ET.fromstring(figures.svg(figure))  # noqa: S314  # our own
    space = "{http://www.w3.org/2000/svg}"
    (group,) = (each for each in root.iter(f"{space}g") if len(each.findall(f"{space}use")) == 2000)
    assert "fill-opacity: 0.5" in group.attrib["style"]
    assert all(set(each.attrib) == {"{http://www.w3.org/1999/xlink}href", "x", "y"} for each in group)
    assert [len(each) for each in root.iter(f"{space}g") if len(each.findall(f"{space}use[@style]")) == 20] == [20]


def test_thinned_curves_keep_their_ends() -> None:
    group = pd.DataFrame({"epoch": range(1, 101)})
    assert list(figures.thinned(group, 3)["epoch"]) == [1, 51, 100]
    assert len(figures.thinned(group, 200)) == 100


def test_confusion_names_the_classes_and_the_errors_of_note() -> None:
    names = ["T-shirt", "Ankle boot, for $5 & more"]
    rows = [["a", names[0], 0.8, 80, 20], ["a", names[1], 0.99, 1, 99], ["b", names[0], "", 0, 0], ["b", names[1], "", 0, 0]]
    text = words(figures.confusion(pd.DataFrame(rows, columns=["variant", "class", "accuracy", *names]), {"b"}))
    assert {"T-shirt", "Ankle boot, f…", "20", "89.50 %", "diverged"} <= text
    assert "1" not in text


def test_residuals_show_the_error_and_what_diverged() -> None:
    rows = [["a", tenth, tenth / 10, tenth / 10 + 0.1, 0.25] for tenth in range(1, 11)]
    rows += [["lost", tenth, tenth / 10, math.nan, math.nan] for tenth in range(1, 11)]
    table = pd.DataFrame(rows, columns=["variant", "tenth", "target", "prediction", "mae"])
    text = words(figures.residuals(table, {"lost"}, "price"))
    assert {"a", "lost", "mean absolute error 0.25", "diverged", "target: price"} <= text


def test_residuals_of_a_constant_target() -> None:
    table = pd.DataFrame({"variant": "a", "tenth": [1, 2], "target": 1.0, "prediction": [0.5, 1e9], "mae": 0.5})
    assert "a" in words(figures.residuals(table, set()))


def diagnostics_of(**norms: list[list[float]]) -> pd.DataFrame:
    """Diagnostics of variants, by their gradient norms at the epochs 0, 1, ...: a list for each, from first to last layer."""
    rows = [
        {"variant": variant, "epoch": epoch, "layer": f"hidden_{layer}", "gradient_norm": norm}
        for variant, epochs in norms.items()
        for epoch, values in enumerate(epochs)
        for layer, norm in enumerate(values, 1)
    ]
    return pd.DataFrame(rows)


def test_gradients_that_vanish_or_are_lost_are_drawn() -> None:
    table = diagnostics_of(vanishing=[[1e-12, 1e-6, 1], [0, 0, 1e-3]], lost=[[1, 1, 1], [math.nan] * 3])
    text = words(figures.gradients(table, {"vanishing": "sigmoid", "lost": "relu"}))
    assert {"vanishing", "sigmoid", "lost", "relu", "not finite at the end", "before training"} <= text


def test_gradients_keep_the_order_of_the_layers() -> None:
    table = diagnostics_of(deep=[[float(layer) for layer in range(1, 13)]])
    assert figures.gradient_norms(table)[0].tolist() == list(range(1, 13))


def test_sixteen_deep_variants_stay_small() -> None:
    table = diagnostics_of(**{f"variant_{number}": [[0.5**layer for layer in range(21)]] * 3 for number in range(16)})
    figure = figures.gradients(table, dict.fromkeys(table["variant"].unique(), "relu"))
    assert len(figures.svg(figure)) < 300_000


def test_variants_without_validation_curves_stand_beside_those_with() -> None:
    curves = curves_of(without=[2, 1], validated=[2, 1])
    for how in ("mean", "min", "max"):
        curves[f"val_loss_{how}"] = curves[f"loss_{how}"].where(curves["variant"] == "validated")
    text = words(figures.learning_curves(curves, {}, "loss"))
    assert {"without", "validated", "validation rows"} <= text
    assert "diverged" not in text


def test_histograms_of_a_constant_and_of_noise() -> None:
    inputs = {"constant": {"train": np.zeros(10)}, "noisy": {"train": np.ones(10), "test": np.linspace(-1, 1, 10)}}
    assert {"constant", "noisy", "test rows, with their noise"} <= words(figures.histograms(inputs))


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 1), (2, 8, 8, 3)])
def test_grey_and_coloured_images_are_drawn(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random(shape)
    figure = figures.view_samples({"scaled": images}, {"scaled": (0.0, 1.0)}, ["one", "two"])
    assert figures.png(figure) == figures.png(figure)


def test_the_user_s_own_style_changes_nothing() -> None:
    import matplotlib

    def drawn() -> bytes:
        return figures.svg(figures.histograms({"view": {"train": np.arange(10.0)}}))

    plain = drawn()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.hashsalt": "other", "savefig.dpi": 30}):
        assert drawn() == plain
    assert b"<dc:date>" not in plain
    assert b"Matplotlib" not in plain
