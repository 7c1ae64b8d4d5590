import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sereno.climatology.distributions import MOST_BINS, QUANTILES, distributions, nice_width
from sereno.errors import InputError

FIELDS = st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.one_of(st.just(np.nan), st.floats(-1e4, 1e4, width=32)))
)


def a_field(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "lat", "lon"), attrs={"units": "kelvin"})


@settings(max_examples=40)
@given(FIELDS.filter(lambda values: np.isfinite(values).any()), st.integers(1, 4))
def test_the_numbers_are_those_of_the_values_in_memory(values: np.ndarray, days: int) -> None:
    found = distributions({"sst": a_field(values).chunk(time=days)})
    known = values[np.isfinite(values)].astype(float)
    assert found["sst_observations"] == found["sst_histogram"].sum() == known.size
    scale = np.abs(known).max() + 1e-30
    for name, value in (("mean", known.mean()), ("std", known.std()), ("minimum", known.min())):
        np.testing.assert_allclose(found[f"sst_{name}"], value, rtol=1e-9, atol=1e-9 * scale)
    width = found["sst_histogram"].attrs["bin_width"]
    oracle = np.quantile(known, QUANTILES, method="inverted_cdf")
    assert np.abs(found["sst_quantile"].values - oracle).max() <= 0.5 * width * (1 + 1e-6) + 1e-9 * scale
    counted, _ = np.histogram(known, np.append(found["sst_bin"] - width / 2, found["sst_bin"][-1] + width / 2))
    assert (
        np.abs(np.cumsum(counted) - np.cumsum(found["sst_histogram"])).max()
        <= np.isclose(known[:, None], found["sst_bin"].values - width / 2, rtol=1e-9, atol=1e-9 * scale).sum()
    )  # but for values on an edge


def test_chunks_and_company_change_nothing() -> None:
    rng = np.random.default_rng(0)
    field = a_field(rng.normal(290, 2, (40, 5, 6)).astype("float32"))
    alone = distributions({"sst": field})
    together = distributions({"sst": field.chunk(time=7), "anomaly": field.chunk(time=7) - 290})
    assert together["anomaly_mean"] == pytest.approx(float(alone["sst_mean"]) - 290, abs=1e-4)
    np.testing.assert_array_equal(together["sst_histogram"], alone["sst_histogram"])
    np.testing.assert_array_equal(together["sst_quantile"], alone["sst_quantile"])
    assert together["sst_quantile"].attrs == {"long_name": "quantiles of sst", "units": "kelvin"}


def test_values_stored_as_counts_are_returned_as_quantiles_exactly() -> None:
    values = 273.15 + 0.01 * np.random.default_rng(1).integers(1000, 2500, (50, 10, 10))
    found = distributions({"sst": a_field(values)})
    oracle = np.quantile(values, QUANTILES, method="inverted_cdf")
    np.testing.assert_allclose(found["sst_quantile"], oracle, atol=1e-9)


def test_one_value_alone() -> None:
    found = distributions({"sst": a_field(np.full((2, 2, 2), 290.0))})
    assert found["sst_std"] == 0
    np.testing.assert_allclose(found["sst_quantile"], 290.0)
    assert found["sst_histogram"].sum() == 8


@pytest.mark.parametrize(("width", "nice"), [(0.0031, 0.005), (1.0, 1.0), (0.02, 0.02), (6.0, 10.0), (110.0, 200.0)])
def test_widths_are_round(width: float, nice: float) -> None:
    assert nice_width(width) == pytest.approx(nice)


def test_bins_are_many_but_bounded() -> None:
    found = distributions({"sst": a_field(np.random.default_rng(2).normal(0, 50, (20, 9, 9)))})
    assert MOST_BINS / 3 < found.sizes["sst_bin"] <= MOST_BINS + 3


def test_a_field_without_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="anomaly: not one observation"):
        distributions({"anomaly": a_field(np.full((2, 2, 2), np.nan))})
