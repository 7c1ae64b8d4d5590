from pathlib import Path

import numpy as np
import pytest

from sereno.config import parse_config
from sereno.cube import select_period
from sereno.evaluation.evaluate import evaluate
from sereno.io.inputs.cube import open_cube
from sereno.reconstruct.dineof.filter import smoothing
from sereno.reconstruct.dineof.iterations import Stopping, trials
from sereno.reconstruct.dineof.method import Dineof
from sereno.workflow.fit import fit

SHARED = Path(__file__).parents[3] / "shared"
DATA, BENCH = SHARED / "data", SHARED / "bench"
if not (DATA.is_dir() and BENCH.is_dir()):
    pytest.skip(f"the real data are not in {SHARED}", allow_module_level=True)

DRAWS = 6


@pytest.fixture(scope="module")
def errors() -> np.ndarray:
    """Cross-validation errors, (draws, 5), of DINEOF's small example with the settings of its `dineof.init`.

    The matrix is that of the Fortran program: ten days, the mean of all observations removed, its number of withheld
    pixels drawn singly, each time other ones.
    """
    cube = open_cube(DATA / "alboran_avhrr_l3_201705.nc")
    values = cube["sst"].values[:, cube["water"].values].T.astype(np.float64)
    days = np.flatnonzero(np.isfinite(values).any(axis=0))
    values = values[:, days] - np.nanmean(values)
    assert values.shape == (22186, 10)
    assert np.diff(days).max() == 2
    count = int(min(0.01 * values.size + 40, 0.03 * values.size))
    seen = np.flatnonzero(np.isfinite(values))
    filtering = smoothing(days.astype(float), alpha=0.01, iterations=3)
    found = []
    for seed in range(DRAWS):
        withheld = np.zeros(values.size, bool)
        withheld[np.random.default_rng(seed).choice(seen, count, replace=False)] = True
        tried = trials(values, withheld.reshape(values.shape), filtering, first=1, most=5, stopping=Stopping())
        found.append([trial.error for trial in tried])
    return np.array(found)


@pytest.mark.thorough
@pytest.mark.usefixtures("all_samples")
def test_two_and_three_modes_tie_on_the_small_example_where_the_fortran_retained_three(errors: np.ndarray) -> None:
    best = errors.argmin(axis=1) + 1
    assert set(best) <= {2, 3}
    assert (best == 3).any()
    mean = errors.mean(axis=0)
    assert mean[2] < 1.02 * mean.min()


@pytest.mark.thorough
@pytest.mark.usefixtures("all_samples")
def test_fewer_and_more_modes_serve_worse_on_the_small_example(errors: np.ndarray) -> None:
    mean = errors.mean(axis=0)
    assert mean[0] > 1.1 * mean[2]
    assert min(mean[3], mean[4]) > 1.03 * mean[2]


@pytest.mark.thorough
@pytest.mark.usefixtures("all_samples")
def test_dineof_scores_on_the_withheld_pixels_of_tasmania_as_it_should() -> None:
    cube = select_period(open_cube(BENCH / "tasmania_l3.nc"), "2008:2014")
    config = parse_config({"model": {"method": "dineof", "modes": 45}, "train": ":2009"})
    model = fit(cube, config)
    assert isinstance(model.reconstructor.inner, Dineof)
    scored = evaluate(cube, {"dineof": model}, days="2013:2014").scores["truth"]["methods"]["dineof"]
    assert scored["rmse"] < 0.325  # two years of training; eight have less than 0.305
    assert 0.85 < scored["z_std"] < 1.1
    assert abs(scored["bias"]) < 0.02


@pytest.mark.thorough
@pytest.mark.usefixtures("all_samples")
def test_dineof_scores_on_the_withheld_pixels_of_alboran_as_it_should() -> None:
    result = evaluate(open_cube(BENCH / "alboran_l3.nc"), {"dineof": "dineof"}).scores
    assert result["n_pixels"] == 42_348
    assert result["methods"]["dineof"]["rmse"] < 0.48
    assert 0.8 < result["methods"]["dineof"]["z_std"] < 1.3
