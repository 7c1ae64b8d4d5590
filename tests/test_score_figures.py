"""Figures of an evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import QuadMesh

import sereno
from sereno.config import configure
from sereno.evaluation import Evaluation
from sereno.report.score_figures import save_score_figures, strata_figure, triptych_figure
from sereno.strata import STRATA


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
        middling = example[name].sel(time=example.attrs["middling_day"]).values
        np.testing.assert_allclose(shown, middling - 273.15, atol=1e-3)
    assert len({drawn(axis).get_clim() for axis in panels}) == 1
    assert figure.get_suptitle().startswith("climatology, ")
    assert {axis.get_xlabel() for axis in figure.axes if not isinstance(axis, GeoAxes)} == {"°C"}


def test_strata_have_a_panel_each_with_a_line_a_method_and_bars_of_pixels(evaluation: Evaluation) -> None:
    strata: dict[str, Any] = evaluation.scores["strata"]
    figure = strata_figure(strata, units="K")
    panels, bars = figure.axes[: len(strata)], figure.axes[len(strata) :]
    assert [axis.get_title() for axis in panels] == [STRATA[name].title for name in strata]
    assert {axis.get_ylabel() for axis in panels} == {"RMSE, K"}
    assert {axis.get_ylabel() for axis in bars} == {"pixels"}
    for axis, counts, rows in zip(panels, bars, strata.values(), strict=True):
        assert len(axis.get_xticks()) == len(rows)
        assert axis.get_ylim()[0] == 0
        assert [bar.get_height() for bar in counts.patches] == [
            row["climatology"]["n_pixels"] for row in rows.values()
        ]
        lines = np.concatenate([line.get_ydata() for line in axis.lines[:2]])  # joined, and apart from them
        np.testing.assert_allclose(lines, [row["climatology"]["rmse"] for row in rows.values()])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["climatology", "models/my net"]


def test_figures_are_written_under_names_that_files_may_have(evaluation: Evaluation, tmp_path: Path) -> None:
    paths = save_score_figures(evaluation, tmp_path)
    names = ["strata.png", "triptych_climatology.png", "triptych_models_my_net.png"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert all(path.stat().st_size > 10_000 for path in paths)
