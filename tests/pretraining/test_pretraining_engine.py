"""Pre-training's engine: seas in torch, against the numpy code they follow."""

import os
import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from devices import DEVICES
from numpy_gaussian import GaussianTerm, gaussian_fields

import engine.coasts
import engine.runs
from engine.family import KINDS, describe_sea
from engine.gaussian import Term, gaussian_spectra
from engine.grid import Grid, resample
from engine.randomness import generator
from engine.runs import departures, make_run
from engine.scenery import coastal_stream, flow_of, nearest_shore, patch
from engine.seas import SeaStream
from engine.turbulence import Eddies, Scenery, Turbulence
from sereno.nets.carry import carried, paths
from sereno.synthetic import TwinSeaConfig, ocean
from sereno.synthetic.spectral import PeriodicGrid

SIDE = 48
CONFIG = TwinSeaConfig(shape=(SIDE, SIDE), spacing=0.15, centre=(35.0, 0.0))


@pytest.fixture(scope="module")
def oracle() -> PeriodicGrid:
    return PeriodicGrid.around(CONFIG, margin=1.0)


def grids(oracle: PeriodicGrid, device: str = "cpu") -> Grid:
    """Return two grids, the second of which is the oracle's."""
    dy, dx = (2 * np.pi / (SIDE * wave) for wave in (float(oracle.ky[1, 0]), float(oracle.kx[0, 1])))
    return Grid(SIDE, torch.tensor([[5e3, 7e3], [dy, dx]], dtype=torch.float32, device=device))


def flow(grid: Grid, scenery: Scenery | None = None) -> Turbulence:
    """Return two turbulent seas, the second of which is the oracle's."""
    names = ("current_speed", "eddy_wavelength", "growth_time", "meridional_gradient", "relaxation_time")
    values = {name: getattr(CONFIG, name) for name in names}
    eddies = Eddies(**{name: torch.tensor([1.3, 1.0], device=grid.device) * value for name, value in values.items()})
    return Turbulence(grid, eddies, scenery or Scenery())


def states(oracle: PeriodicGrid, device: str) -> tuple[np.ndarray, np.ndarray, torch.Tensor, torch.Tensor]:
    """Return a state and heating of the oracle, and of two seas, the second of which is the oracle's."""
    rng = np.random.default_rng(0)
    shape = oracle.amplitude(np.exp(-((oracle.k * 60e3 / 2) ** 2)))
    state = np.stack([scale * shape * oracle.noise(rng) for scale in (0.2, 0.7)])
    heating = 1e-6 * shape * oracle.noise(rng)
    both = torch.from_numpy(np.stack([np.zeros_like(state) + 0.5 * state[::-1], state])).to(device)
    return state, heating, both, torch.from_numpy(np.stack([heating, heating])).to(device)


@pytest.mark.parametrize("device", DEVICES)
def test_tendency_is_that_of_the_numpy_code(oracle: PeriodicGrid, device: str) -> None:
    state, heating, both, warming = states(oracle, device)
    expected = oracle.inverse(ocean.SurfaceFlow(oracle, CONFIG).tendency(state, heating))
    grid = grids(oracle, device)
    found = grid.inverse(flow(grid).tendency(both, warming))[1].cpu().numpy()
    for part in (0, 1):
        np.testing.assert_allclose(found[part], expected[part], atol=2e-5 * np.abs(expected[part]).max())


@pytest.mark.parametrize("device", DEVICES)
def test_a_day_is_that_of_the_numpy_code(oracle: PeriodicGrid, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.turbulence.VISCOSITY", 0.7)
    state, heating, both, warming = states(oracle, device)
    expected = oracle.inverse(ocean.SurfaceFlow(oracle, CONFIG).advance_day(state, heating))
    seas = flow(grids(oracle, device))
    found = seas.fields(seas.advance_day(seas.fields(both), warming))[1, 2:].cpu().numpy()
    for part in (0, 1):
        assert np.sqrt(np.mean((found[part] - expected[part]) ** 2)) < 1e-3 * expected[part].std()


def test_drift_carries_what_there_is(oracle: PeriodicGrid) -> None:
    """A drift of whole cells a day moves the whole sea by them, but where the uniform gradient is stirred."""
    _, _, both, warming = states(oracle, "cpu")
    grid = grids(oracle)
    drift = torch.stack([2 * grid.spacing[:, 1], -3 * grid.spacing[:, 0]], 1) / ocean.DAY
    seas = flow(grid)
    still = seas.fields(seas.advance_day(seas.fields(both), torch.zeros_like(warming)))
    moved = seas.fields(seas.advance_day(seas.fields(both), torch.zeros_like(warming), drift))
    expected = still.roll((-3, 2), dims=(-2, -1))
    assert ((moved - expected).std((-2, -1)) < 0.03 * still.std((-2, -1))).all()


def test_a_background_is_stirred_as_a_gradient_is(oracle: PeriodicGrid) -> None:
    """−u·∇B of the background equals what the tracer B itself would do, and the steady flow carries it as well."""
    _, _, both, _ = states(oracle, "cpu")
    grid = grids(oracle)
    zero = torch.zeros_like(both[:, 0])
    steady = torch.from_numpy(
        np.stack([flow_of(np.random.default_rng(1).random((SIDE, SIDE)), (1.0, 1.0), speed=0.1)] * 2)
    )
    background = grid.inverse(both[:, 1])
    with_tracer = flow(grid, Scenery(steady)).tendency(both, zero)
    without = torch.stack([both[:, 0], zero], 1)
    with_background = flow(grid, Scenery(steady, background)).tendency(without, zero)
    scale = with_tracer.abs().amax((-2, -1), keepdim=True)
    torch.testing.assert_close(with_background / scale, with_tracer / scale, atol=1e-5, rtol=0)


def test_steady_flow_has_no_divergence_and_its_speed() -> None:
    rng = np.random.default_rng(0)
    stream = np.cumsum(rng.standard_normal((SIDE, SIDE)), axis=0)
    u, v = flow_of(stream, (2.0, 3.0), speed=-0.3)
    spectra = np.fft.fft2(np.stack([u, v]))
    kx, ky = np.meshgrid(np.fft.fftfreq(SIDE, 3.0), np.fft.fftfreq(SIDE, 2.0))
    assert np.abs(kx * spectra[0] + ky * spectra[1]).max() < 1e-5 * np.abs(kx * spectra[0]).max()
    assert np.quantile(np.hypot(u, v), 0.999) == pytest.approx(0.3, rel=1e-3)


def test_a_coastal_stream_follows_the_coast() -> None:
    water = np.ones((64, 64), bool)
    water[20:44, 20:44] = False
    u, v = flow_of(coastal_stream(water, 5.0), (1.0, 1.0), speed=0.4)
    assert np.abs(v[46, 28:36]).max() < 0.02  # north of the island the water goes east or west
    assert np.abs(u[46, 28:36]).min() > 0.2
    assert np.abs(u[26:38, 26:38]).max() < 0.02  # and not at all on land
    assert np.abs(u[60, 28:36]).max() < 0.1  # far away slowly


def test_resampling_keeps_the_waves() -> None:
    y, x = np.meshgrid(2 * np.pi * np.arange(32) / 32, 2 * np.pi * np.arange(32) / 32, indexing="ij")
    field = torch.from_numpy(np.sin(2 * x - 3 * y) + 0.5 * np.cos(5 * y)).float()
    coarse = torch.fft.irfft2(resample(torch.fft.rfft2(field), 16), s=(16, 16))
    torch.testing.assert_close(coarse, field[::2, ::2])
    torch.testing.assert_close(torch.fft.irfft2(resample(torch.fft.rfft2(coarse), 32), s=(32, 32)), field)


def test_spectra_are_those_of_real_fields(oracle: PeriodicGrid) -> None:
    """What is not symmetric a CPU ignores and a GPU may not."""
    grid = grids(oracle)
    noise = grid.noise(generator(3), 50, 2)
    assert noise.abs().square().mean((0, 1)).div(SIDE**2).mean() == pytest.approx(1, abs=0.02)
    for column in (0, SIDE // 2):
        for rows in ([0], [SIDE // 2], range(1, SIDE // 2)):
            power = noise[:, :, rows, column].abs().square().mean() / SIDE**2
            assert power == pytest.approx(1, abs=0.4)
    _, _, both, warming = states(oracle, "cpu")
    seas = flow(grid)
    velocity = torch.tensor([[0.1, 0.2], [0.3, -0.1]])
    for spectrum in (
        noise,
        noise * grid.carry(1e5 * velocity),
        seas.velocity[:, :1] * noise[:2],
        seas.tendency(both, warming, velocity),
    ):
        again = grid.transform(grid.inverse(spectrum))
        torch.testing.assert_close(again, spectrum, rtol=0, atol=1e-5 * float(spectrum.abs().max()))


def test_gaussian_fields_are_those_of_the_numpy_code(oracle: PeriodicGrid) -> None:
    """Variance, and covariance over cells and days along the flow, of many days."""
    term = Term(*(torch.tensor([a, b]) for a, b in ((30e3, 60e3), (3.0, 2.0), (1.0, 2.5), (1.0, 1.5))))
    grid = grids(oracle)
    velocity = torch.tensor([[0.0, 0.0], [0.1, -0.05]])
    spectra = islice(gaussian_spectra(grid, term, iter(lambda: velocity, None), generator(1)), 1500)
    found = torch.stack([grid.inverse(day)[1] for day in spectra]).numpy()
    days = gaussian_fields(oracle, GaussianTerm(60e3, 2.0, 2.5, 1.5), flow=(0.1, -0.05), rng=np.random.default_rng(1))
    expected = np.stack(list(islice(days, 1500)))
    assert found.var() == pytest.approx(1, abs=0.06)
    for lag, shift in ((0, (0, 3)), (0, (3, 0)), (1, (0, 0)), (1, (0, 1)), (2, (-1, 2))):
        one, two = (
            np.mean(field[: len(field) - lag] * np.roll(field[lag:], (-shift[0], -shift[1]), axis=(1, 2)))
            for field in (found, expected)
        )
        assert one == pytest.approx(two, abs=0.06)


def test_departures_know_no_climatology_and_no_slow_change_of_the_basin() -> None:
    field = torch.randn(2, 90, 6, 7, generator=generator(0))
    found = departures(field.clone())
    torch.testing.assert_close(departures(field + torch.randn(2, 1, 6, 7)), found, atol=1e-5, rtol=0)
    warming = torch.arange(90)[:, None, None] / 30
    # Near the ends, where the days around lie on one side, a trend shows.
    torch.testing.assert_close(departures(field + warming)[:, 15:-15], found[:, 15:-15], atol=1e-5, rtol=0)
    assert found.mean((2, 3)).abs().max() > 0.05  # what the basin does within days is kept


@pytest.mark.parametrize("device", DEVICES)
def test_a_stream_of_seas(device: str) -> None:
    def stream(start: int = 0, seed: int = 2) -> SeaStream:
        return SeaStream(seed, 3, days=6, side=32, run_days=12, device=device, start=start)

    blocks = list(islice(stream(), 3))
    for seas in blocks:
        assert seas.anomaly.shape == (3, 6, 32, 32)
        assert seas.current.shape == (3, 6, 2, 32, 32)
        assert seas.drift.shape == (3, 6, 2)
        assert seas.spacing.shape == (3, 2)
        assert seas.water.shape == (3, 32, 32)
        assert seas.anomaly.isfinite().all()
        assert seas.current.isfinite().all()
        assert [sea["kind"] for sea in seas.parameters] == seas.kind
    resumed = stream(start=2).next()
    for name in ("anomaly", "current", "drift", "spacing", "water"):
        torch.testing.assert_close(getattr(resumed, name), getattr(blocks[2], name), rtol=0, atol=0)
    assert resumed.parameters == blocks[2].parameters
    numbers = [[sea["number"] for sea in seas.parameters] for seas in blocks]
    assert numbers == [[0, 1, 2], [0, 1, 5], [3, 4, 5]]
    assert not torch.equal(stream(seed=3).next().anomaly, blocks[0].anomaly)


def run_of(
    kind: str, *, days: int = 40, side: int = 32, extra: str = "", seed: int = 4
) -> tuple[dict, engine.runs.Run]:
    """Return the first sea of a kind, with something extra in it."""
    for number in range(1000):
        sea = describe_sea(seed, number, side=side, coasts=5)
        if sea["kind"] == kind and (not extra or extra in sea):
            return sea, make_run([sea], days=days, side=side, device=torch.device("cpu"), seed=seed)
    raise AssertionError


@pytest.mark.parametrize("kind", KINDS)
def test_seas_of_each_kind(kind: str) -> None:
    sea, run = run_of(kind)
    assert run.anomaly.square().mean() == pytest.approx(1, abs=1e-4)
    assert run.anomaly.mean(1).std() < 1e-4
    assert 0 < float(run.anomaly[0, 1:].sub(run.anomaly[0, :-1]).square().mean()) < 1
    if kind != "smooth":
        speed = float(run.current.float().square().sum(2).mean().sqrt())
        assert 0.5 < speed / sea["eddies"]["current_speed"] < 3
    assert torch.equal(run.water, torch.ones_like(run.water)) or "stream" in sea


@pytest.mark.parametrize("kind", ["turbulent", "buoyant"])
def test_water_takes_the_whole_along(kind: str) -> None:
    """Anomalies with what rests beside them change less in water that is followed than anomalies alone do."""
    numbers = (number for number in range(99) if describe_sea(3, number, side=64, coasts=0)["kind"] == kind)
    described = describe_sea(3, next(numbers), side=64, coasts=0)
    run = make_run([described], days=60, side=64, device=torch.device("cpu"), seed=3)
    speed = run.current.float() + run.drift[..., None, None]
    spacing = torch.tensor([described["spacing"]])
    change = {}
    for name, resting in (("whole", run.resting[:, None]), ("anomaly", None)):
        misses = []
        for day in range(0, 50, 10):
            places = paths(speed[:, day : day + 6], spacing, 0)
            found = carried(run.anomaly[:, day : day + 6], places, resting=resting)[0, :, 8:-8, 8:-8]
            difference = found[5] - found[0]
            misses.append(difference[torch.isfinite(difference)].square().mean())
        change[name] = float(torch.stack(misses).mean())
    still = float((run.anomaly[0, 5:] - run.anomaly[0, :-5])[:, 8:-8, 8:-8].square().mean())
    assert change["whole"] < 0.9 * change["anomaly"]
    assert change["whole"] < 0.6 * still


def test_a_buoyant_sea_shows_its_currents() -> None:
    """The warm side of a front lies to one hand of the current, as of the stream function ψ̂ = θ̂ / k."""
    sea, run = run_of("buoyant")
    kx = torch.fft.rfftfreq(32, sea["spacing"][1])
    ky = torch.fft.fftfreq(32, sea["spacing"][0])[:, None]
    k = torch.hypot(kx, ky).clamp(min=1e-9)
    v = torch.fft.irfft2(1j * kx / k * torch.fft.rfft2(run.anomaly[0]))
    measured = run.current[0, :, 1].float()
    measured = measured - measured.mean(0)
    correlation = float((v * measured).mean() / (v.std() * measured.std()))
    assert sea["buoyant_sign"] * correlation > 0.3
    assert sea["buoyant_share"] > 0.3


def test_seas_made_at_once_are_as_seas_made_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made together, as on a GPU, each keeps its speed, its kind and its scenery."""
    apart = engine.runs._together
    monkeypatch.setattr(engine.runs, "_together", lambda seas, *, separately: apart(seas, separately=False))
    seas = [describe_sea(8, number, side=32, coasts=5) for number in range(12)]
    run = make_run(seas, days=20, side=32, device=torch.device("cpu"), seed=8)
    assert run.anomaly.isfinite().all()
    assert run.anomaly.square().mean((1, 2, 3)).allclose(torch.ones(12), atol=1e-4)
    assert len({sea["kind"] for sea in seas}) == len(KINDS)
    for number, sea in enumerate(seas):
        assert bool(run.drift[number].any()) == ("drift" in sea)
        assert run.water[number].all() or "stream" in sea
        if "eddies" in sea and not {"jet", "stream"} & set(sea):
            mean = np.hypot(*sea.get("gaussian", {"flow": [0.0, 0.0]})["flow"])
            speed = np.hypot(sea["eddies"]["current_speed"], mean)
            assert float(run.current[number].float().square().sum(1).mean().sqrt()) == pytest.approx(speed, rel=0.5)


def test_a_plume_near_land_lies_at_the_shore() -> None:
    water = np.ones((20, 20), bool)
    assert nearest_shore(water, [3.0, 4.0]) == [3.0, 4.0]
    water[8:, 8:] = False
    assert nearest_shore(water, [2.0, 15.0]) == [7.0, 15.0]
    assert nearest_shore(water, [18.0, 10.0]) == [18.0, 7.0]
    warm = patch(20, (1e3, 2e3), [7.0, 15.0], radius=4e3)
    assert np.unravel_index(warm.argmax(), warm.shape) == (7, 15)
    assert warm[11, 15] == pytest.approx(np.exp(-0.5))
    assert warm[7, 17] == pytest.approx(np.exp(-0.5))


def test_kinds_come_in_their_shares() -> None:
    kinds = [describe_sea(9, number, side=64, coasts=3)["kind"] for number in range(200)]
    for kind, share in KINDS.items():
        assert kinds.count(kind) / 200 == pytest.approx(share, abs=0.02)


def test_coarse_seas_have_no_noise_of_the_size_of_cells() -> None:
    """With few cells in an eddy the spectrum still falls all the way to the shortest waves."""
    eddies = describe_sea(77, 80, side=48, coasts=0)["eddies"]
    height = eddies["eddy_wavelength"] / 9.2e3
    sea = {"kind": "turbulent", "number": 1, "spacing": (height, height), "eddies": eddies}
    run = make_run([sea], days=30, side=48, device=torch.device("cpu"), seed=1)
    waves = 48 * torch.hypot(torch.fft.fftfreq(48)[:, None], torch.fft.rfftfreq(48))
    power = torch.fft.rfft2(run.anomaly[0]).abs().square().mean(0)
    bands = [float(power[(waves >= low) & (waves < low + 4)].mean()) for low in range(4, 24, 4)]
    assert all(following < 0.6 * before for before, following in pairwise(bands))
    assert bands[-1] < 0.05 * bands[0]


@pytest.mark.thorough
def test_it_needs_torch_numpy_and_scipy_alone() -> None:
    barred = ("xarray", "pandas", "pydantic", "shapely", "netCDF4", "lightning", "matplotlib")
    script = (
        "import sys\n"
        f"for name in {barred}: sys.modules[name] = None\n"
        "import pretrain\n"
        "from engine import randomness, samples, seas, training\n"
        "from sereno.nets.alldays import Design\n"
        "block = seas.SeaStream(1, 1, days=20, side=32, run_days=20).next()\n"
        "windows = samples.Sampler(side=32, count=3).windows(block, 0, randomness.generator(1))\n"
        "design = Design(kind='channels', widths=(8, 8))\n"
        "training.Training(design, training.Plan(), 'cpu').learn(windows)\n"
    )
    folder = Path(engine.runs.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder.parent / "src")},
        check=True,
        timeout=120,
    )
