import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sereno.gaps.nearest import days_to, days_to_observation, nearest


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(1, 3), st.floats(0, 1))
def test_the_nearest_observations_are_those_a_search_finds(seed: int, half: int, count: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count + 2 * half, 2, 2)).astype(np.float32)
    values[rng.random(values.shape) < missing] = np.nan
    seen = np.isfinite(values)
    sides = {side: nearest(values, half, side=side) for side in ("before", "after")}
    since, either = days_to_observation(values, np.arange(count))
    for day, row, column in np.ndindex(count, 2, 2):
        at = half + day
        lags = {"before": range(half + 1), "after": range(1, half + 1)}
        signs = {"before": -1, "after": 1}
        first = {
            side: next((lag for lag in lags[side] if seen[at + signs[side] * lag, row, column]), np.inf)
            for side in sides
        }
        for side, (value, lag) in sides.items():
            assert lag[day, row, column] == first[side]
            there = 0 if np.isinf(first[side]) else values[at + signs[side] * first[side], row, column]
            assert value[day, row, column] == there
        assert days_to(seen, half, side="before", closest=0)[day, row, column] == first["before"]
        past = next((lag for lag in range(1, half + 1) if seen[at - lag, row, column]), np.inf)
        assert since[day, row, column] == past
        assert either[day, row, column] == min(past, first["after"])
