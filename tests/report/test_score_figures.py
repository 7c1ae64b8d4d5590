"""Figures of an evaluation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

import sereno
from sereno.config import configure
from sereno.evaluation.bootstrap import Interval
from sereno.evaluation.evaluate import Evaluation
from sereno.evaluation.results import Spectra
from sereno.evaluation.spectra import Spectrum
from sereno.evaluation.strata import STRATA
from sereno.report.calibration_figures import reliability_figure, spectra_figure
from sereno.report.comparison_figures import daily_figure, ranking_figure
from sereno.report.score_figures import save_score_figures, strata_figure, triptych_figure
from sereno.report.styles import shown_name


@pytest.fixture(scope="module")
def evaluation(sea: xr.Dataset) -> Evaluation:
    methods = {"climatology": "climatology", "models/my net": configure("climatology")}
    return sereno.evaluate(sea, methods, protocol="hidden-day", share=0.1)


def drawn(axis: GeoAxes) -> QuadMesh:
    return max((c for c in axis.collections if isinstance(c, QuadMesh)), key=lambda mesh: mesh.zorder)


def test_target_prediction_and_climatology_stand_side_by_side_in_celsius(evaluation: Evaluation) -> None:
    example = evaluation.examples["climatology"]
    figure = triptych_figure(example, method="climatology", protocol="hidden-day")
    panels = [axis for axis in figure.axes if isinstance(axis, GeoAxes)]
    titles = [axis.get_title() for axis in panels]
    assert titles == ["Target: the hidden observations", "Prediction", "Climatology"]
    for axis, name in zip(panels, ("target", "mean", "climatology"), strict=True):
        shown = np.ma.filled(drawn(axis).get_array().astype(float), np.nan).reshape(example[name].shape[1:])
        expected = example[name].sel(time=example.attrs["middling_day"])
        np.testing.assert_allclose(shown, expected.values - 273.15, atol=1e-3)
    assert len({drawn(axis).get_clim() for axis in panels}) == 1
    assert figure.get_suptitle().startswith("climatology, ")
    assert {axis.get_xlabel() for axis in figure.axes if not isinstance(axis, GeoAxes)} == {"°C"}


def test_strata_have_a_panel_each_with_a_line_a_method_and_bars_of_pixels(evaluation: Evaluation) -> None:
    strata = evaluation.results.observations.strata
    shown = [STRATA[name].title for name in strata]
    assert len(shown) == len(STRATA) - 1  # four months tell of no heatwave
    figure = strata_figure(strata, units="K")
    panels = [axis for axis in figure.axes if axis.get_title()]
    bars = [axis for axis in figure.axes if axis.get_ylabel() == "pixels"]
    assert [axis.get_title() for axis in panels] == shown
    assert {axis.get_ylabel() for axis in panels} == {"RMSE, K"}
    assert {axis.get_ylabel() for axis in bars} == {"pixels"}
    for axis, counts, rows in zip(panels, bars, strata.values(), strict=True):
        assert len(axis.get_xticks()) == len(rows)
        assert axis.get_ylim()[0] == 0
        assert [bar.get_height() for bar in counts.patches] == [row["climatology"].n_pixels for row in rows.values()]
        lines = np.concatenate([line.get_ydata() for line in axis.lines[:2]])  # joined, and apart from them
        np.testing.assert_allclose(lines, [row["climatology"].rmse for row in rows.values()])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["climatology", "models/my net"]


def test_figures_are_written_under_names_that_files_may_have(evaluation: Evaluation, tmp_path: Path) -> None:
    paths = save_score_figures(evaluation, tmp_path)
    names = ["strata.png", "triptych_climatology.png", "triptych_models_my_net.png"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert all(path.stat().st_size > 10_000 for path in paths)


def test_the_ranking_has_the_best_method_on_top_with_its_intervals(evaluation: Evaluation) -> None:
    results = evaluation.results
    tables = {"truth": results.truth.methods, "observations": results.observations.methods}
    best = replace(tables["truth"]["climatology"], rmse=0.1, rmse_interval=Interval(0.05, 0.2))
    rows = tables["truth"] | {"best": best}
    figure = ranking_figure({"truth": rows}, units="K", relative_to="climatology")
    errors, ratios = figure.axes
    assert errors.get_yticklabels()[0].get_text() == "best"
    assert errors.get_ylim()[0] > errors.get_ylim()[1]
    (container,) = errors.containers
    line, _, (bars,) = container
    ordered = sorted(rows.values(), key=lambda row: row.rmse)
    np.testing.assert_allclose(line.get_xdata(), [row.rmse for row in ordered])
    ends = [segment[:, 0] for segment in bars.get_segments()]
    np.testing.assert_allclose(ends, [row.rmse_interval for row in ordered])
    (container,) = ratios.containers
    np.testing.assert_allclose(container[0].get_xdata(), [row.ratio.rmse for row in ordered])
    both = ranking_figure(tables, units="K", relative_to="climatology")
    assert [text.get_text() for text in both.legends[0].get_texts()] == [
        "against the truth",
        "against the observations",
    ]


def test_days_are_joined_where_few_and_a_running_median_where_many() -> None:
    def daily(days: int) -> xr.Dataset:
        values = np.arange(2.0 * days).reshape(2, days)
        scores = dict.fromkeys(("rmse", "bias"), (("method", "time"), values))
        time = np.datetime64("2020-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")
        coverage = ("time", np.linspace(0, 1, days))
        return xr.Dataset({**scores, "coverage": coverage}, {"method": ["a", "b"], "time": time})

    few, many = (daily_figure(daily(days), units="K") for days in (5, 200))
    assert [line.get_ydata().tolist() for line in few.axes[0].lines] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    dots, median = many.axes[0].lines[:2]
    np.testing.assert_allclose(dots.get_ydata(), np.arange(200))
    np.testing.assert_allclose(median.get_ydata()[20:180], np.arange(200)[20:180])  # of a line it is the line
    assert [segment[1, 1] for segment in few.axes[2].collections[0].get_segments()] == [0, 25, 50, 75, 100]
    assert few.axes[0].get_ylabel() == "RMSE (K)"


def test_reliability_and_spread_are_drawn_as_they_were_counted(evaluation: Evaluation) -> None:
    counted = evaluation.results.truth.reliability
    figure = reliability_figure(counted, units="K")
    covered, spread = figure.axes
    for order, row in enumerate(counted.values()):
        np.testing.assert_allclose(covered.lines[1 + order].get_ydata(), 100 * row.coverage)
        np.testing.assert_allclose(covered.lines[1 + order].get_xdata(), 100 * row.nominal)
        np.testing.assert_allclose(spread.lines[order].get_xdata(), row.spread)
        np.testing.assert_allclose(spread.lines[order].get_ydata(), row.error)
    assert covered.get_xlim() == covered.get_ylim() == (0, 100)
    assert spread.get_xlim() == spread.get_ylim()


def test_spectra_have_the_resolution_where_the_score_is_a_half() -> None:
    wavelength = np.array([200.0, 100.0, 50.0, 25.0])
    row = Spectrum(
        segment_cells=8,
        segments=20,
        wavelength=wavelength,
        reference=2 * wavelength**2,
        analysis=wavelength**2,
        error=wavelength,
        score=np.array([0.9, 0.7, 0.3, 0.1]),
        effective_resolution=75.0,
    )
    spectra = Spectra({"a": row, "b": replace(row, effective_resolution=None)})
    figure = spectra_figure(spectra, reference="truth", units="K")
    power, scored = figure.axes
    np.testing.assert_allclose(power.lines[0].get_ydata(), row.reference)
    np.testing.assert_allclose(power.lines[2].get_ydata(), row.error)
    marks = [line for line in scored.lines if line.get_marker() not in ("None", None)]
    assert [(mark.get_xdata(), mark.get_ydata()) for mark in marks] == [([75.0], [0.5])]
    assert power.get_xlim()[0] > power.get_xlim()[1]  # large scales to the left
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["truth", "a", "b", "error of a method"]


@pytest.mark.parametrize("label", ["$x_1$", "a$", "_hidden", "a" * 100, "two\nlines"])
def test_any_folder_name_can_stand_in_a_legend(label: str) -> None:
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0, 1], label=shown_name(label))
    axis.legend()
    figure.canvas.draw()
    (text,) = axis.get_legend().get_texts()
    assert len(text.get_text()) <= 32
    assert text.get_text().replace("\\", "").strip()[:2] == label[:2]
