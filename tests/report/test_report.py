"""The report: what is in the page, and how it behaves in a browser."""

import base64
import io
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import colormaps
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import sereno
from sereno.evaluation.bootstrap import Interval
from sereno.evaluation.evaluate import Evaluation
from sereno.evaluation.results import ScoreTable, Spectra
from sereno.report.day_maps import error_maps, gallery
from sereno.report.page import save_report
from sereno.report.rasters import bar, frame, image

ODD = 'a<b>&"c" $x$'
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IN_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
WIDTHS = pytest.mark.parametrize("width", [1280, 390])


@pytest.fixture(scope="module")
def evaluation(sea: xr.Dataset) -> Evaluation:
    methods = {"climatology": "climatology", ODD: "interpolation"}
    return sereno.evaluate(sea, methods, share=0.3)


@pytest.fixture(scope="module")
def report(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_report(evaluation, tmp_path_factory.mktemp("report"), command="sereno evaluate <cube> -o scores")


def made_up(
    evaluation: Evaluation,
    *,
    methods: list[str],
    shape: tuple[int, int] = (24, 32),
    days: int = 8,
    box: tuple[float, float, float, float] = (36, 38, 4, 7),
    truth: bool = True,
) -> Evaluation:
    """Return an evaluation of any size: the scores of one method told of many, maps drawn at random."""

    def of_all(rows: dict[str, Any]) -> dict[str, Any]:
        return dict.fromkeys(methods, rows[ODD])

    def table_of_all(table: ScoreTable) -> ScoreTable:
        strata = {name: {label: of_all(rows) for label, rows in bins.items()} for name, bins in table.strata.items()}
        return replace(
            table,
            methods=of_all(table.methods),
            strata=strata,
            spectra=table.spectra and Spectra(of_all(table.spectra.methods)),
            reliability=of_all(table.reliability),
        )

    made = evaluation.results
    results = replace(
        made,
        observations=table_of_all(made.observations),
        truth=table_of_all(made.truth) if truth else None,
        fitted=of_all(made.fitted),
    )
    rng = np.random.default_rng(0)
    time = pd.date_range("2019-01-10", periods=days)
    lat, lon = np.linspace(*box[:2], shape[0]), np.linspace(*box[2:], shape[1])
    water = xr.DataArray(rng.random(shape) < 0.9, {"lat": lat, "lon": lon}, ("lat", "lon"))
    names = ["target", "mean", "std", "climatology"] + ["truth"] * truth

    def fields() -> xr.Dataset:
        values = {name: 288 + rng.random((min(days, 8), *shape), "float32") for name in names}
        maps = {name: (("time", "lat", "lon"), array, {"units": "kelvin"}) for name, array in values.items()}
        made = xr.Dataset(maps, {"time": time[:8], "lat": lat, "lon": lon}).where(water)
        made = made.assign(withheld=made["target"] > 288.5, water=water)
        made["target"].attrs = {"units": "kelvin"}
        return made.assign_attrs(middling_day=str(time[0])[:10])

    per_pixel = {name: (("method", "lat", "lon"), rng.random((len(methods), *shape))) for name in ("rmse", "bias")}
    per_day = {
        name: (("method", "time"), rng.random((len(methods), days))) for name in ("rmse", "bias", "crps", "pixels")
    }
    maps = xr.Dataset(per_pixel, {"method": methods, "lat": lat, "lon": lon})
    return replace(
        evaluation,
        results=results,
        examples={label: fields() for label in methods},
        maps=maps.assign_attrs(against="truth" if truth else "observations"),
        daily=xr.Dataset(per_day, {"method": methods, "time": time}).assign(coverage=("time", rng.random(days))),
    )


def without_spectra(evaluation: Evaluation) -> Evaluation:
    """Return what a record of a day comes to: no spectra, no intervals, nothing on the maps."""
    none, table = Interval(np.nan, np.nan), evaluation.results.observations
    rows = {
        label: replace(
            row,
            rmse_interval=none,
            effective_resolution=None,
            gradient_rmse=np.nan,
            ratio=replace(row.ratio, rmse_interval=none),
        )
        for label, row in table.methods.items()
    }
    results = replace(evaluation.results, observations=replace(table, methods=rows, spectra=None))
    return replace(evaluation, results=results, maps=(evaluation.maps * np.nan).assign_attrs(evaluation.maps.attrs))


# What is in the page


def test_the_page_needs_no_other_file(report: Path) -> None:
    text = report.read_text()
    addresses = re.findall(r"""(?:\b(?:src|href|action|srcset)=["']|url\()([^"')]*)""", text)
    assert addresses
    assert [address[:40] for address in addresses if not address.startswith(("data:", "#"))] == []
    assert "default-src 'none'" in text
    assert [path.name for path in report.parent.iterdir()] == ["report.html"]


def test_the_page_says_what_was_scored(evaluation: Evaluation, report: Path) -> None:
    text = re.sub(r"\s+", " ", report.read_text())
    results = evaluation.results
    assert f"{results.n_pixels:,} pixels on {results.n_days} days" in text
    assert "sereno evaluate &lt;cube&gt; -o scores" in text
    assert f"drawn with seed {results.seed}" in text
    best = results.truth.methods[ODD]
    low, high = best.rmse_interval
    assert f"lowest RMSE against the truth: {best.rmse:.3f} [{low:.3f} to {high:.3f}] K" in text
    assert f"climatology was fitted on {results.fitted['climatology'].training_period}" in text
    noise = [record.observation_noise for record in results.fitted.values()]
    assert f"<dd>{min(noise):.3f}" in text
    for name in ("ranking", "days", "maps", "daily", "strata", "reliability", "spectra", "run"):
        assert f'<section id="{name}"' in text
    assert text.count("What would be suspicious.") == 7
    assert "<b>&" not in text


def pixels(address: str) -> np.ndarray:
    """Return red, green, blue and opacity of an embedded image, south first."""
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))[::-1]


def test_an_image_has_the_colours_of_its_map() -> None:
    values = xr.DataArray(np.array([[0.0, 0.25, 0.5], [1.0, np.nan, 7.0]]), dims=("lat", "lon"))
    found = pixels(image(values, (0.0, 1.0), colormaps["cmo.thermal"]))
    share = np.round(126 * np.clip(values.fillna(0).values, 0, 1)) / 126
    expected = np.rint(255 * colormaps["cmo.thermal"](share)[..., :3])
    opaque = np.isfinite(values.values)
    np.testing.assert_array_equal(found[..., 3], 255 * opaque)
    np.testing.assert_array_equal(found[opaque][:, :3], expected[opaque])


def test_the_gallery_holds_what_was_shown_withheld_and_made(evaluation: Evaluation) -> None:
    shown = gallery(evaluation)
    assert shown is not None
    example = evaluation.examples[ODD]
    assert [method["name"] for method in shown["methods"]] == ["climatology", ODD]
    assert shown["methods"][shown["first_method"]]["name"] == ODD
    assert len(shown["days"]) == example.sizes["time"] == 8
    for place, day in enumerate(shown["days"]):
        today = example.isel(time=place)
        seen = np.isfinite(today["target"].values)
        hidden = today["withheld"].values
        opaque = {name: pixels(day[name])[..., 3] > 0 for name in ("observed", "withheld", "truth")}
        np.testing.assert_array_equal(opaque["observed"], seen & ~hidden)
        np.testing.assert_array_equal(opaque["withheld"], hidden)
        np.testing.assert_array_equal(opaque["truth"], np.isfinite(today["truth"].values))
        for made in (method["days"][place] for method in shown["methods"]):
            for name in ("mean", "std", "error"):
                np.testing.assert_array_equal(pixels(made[name])[..., 3] > 0, today["water"].values)
        numbers = [float(text.replace("−", "-")) for _, text in day["bar"]]
        assert 5 < numbers[0] < numbers[-1] < 30  # degrees Celsius
    row = evaluation.daily.sel({"method": ODD}).sel(time=example["time"].values[0])
    assert f"RMSE {float(row['rmse']):.3f} K" in shown["methods"][1]["days"][0]["caption"]


def test_errors_of_pixels_are_mapped_where_they_were_scored(evaluation: Evaluation) -> None:
    shown = error_maps(evaluation)
    assert shown is not None
    for score, name in zip(shown["scores"], ("rmse", "bias"), strict=True):
        assert [label for label, _ in score["maps"]] == ["climatology", ODD]
        for label, address in score["maps"]:
            known = np.isfinite(evaluation.maps[name].sel({"method": label}).values)
            np.testing.assert_array_equal(pixels(address)[..., 3] > 0, known)


@pytest.mark.parametrize(
    ("limits", "ticks"),
    [
        ((0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((-0.6, 0.6), ["−0.50", "−0.25", "0.00", "0.25", "0.50"]),
        ((12.2, 19.9), ["14", "16", "18"]),
    ],
)
def test_a_colour_bar_has_round_numbers(limits: tuple[float, float], ticks: list[str]) -> None:
    found = bar(limits)
    assert [text for _, text in found] == ticks
    low, high = limits
    places = [100 * (float(text.replace("−", "-")) - low) / (high - low) for text in ticks]
    assert [place for place, _ in found] == pytest.approx(places, abs=0.01)


def test_a_frame_has_the_shape_of_its_sea_and_coast_in_it(sea: xr.Dataset) -> None:
    made = frame(sea["water"])
    lat, lon = sea["lat"].values, sea["lon"].values
    height, width = ((axis[-1] - axis[0]) * axis.size / (axis.size - 1) for axis in (lat, lon))
    ratio = height / (width * np.cos(np.radians((lat[0] + lat[-1]) / 2)))
    assert made["height"] / made["width"] == pytest.approx(ratio, abs=0.002)
    points = np.array(
        [[float(number) for number in point.split()] for point in re.split("[MLz]+", made["coast"])[1:-1]]
    )
    assert len(points) > 10
    assert points.min(axis=0) == pytest.approx([made["left"], made["top"]], abs=made["width"])
    assert (points <= [made["left"] + made["width"] + 0.1, made["top"] + made["height"] + 0.1]).all()
    np.testing.assert_array_equal(pixels(made["land"])[..., 3] > 0, ~sea["water"].values)


# In a browser


@dataclass
class Opened:
    page: Page
    requests: list[str]
    complaints: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Opened]]:
    pages = []

    def open_page(path: Path, *, width: int = 1280) -> Opened:
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        made = Opened(page, [], [])
        page.on("request", lambda request: made.requests.append(request.url))
        page.on("console", lambda message: made.complaints.append(message.text))
        page.on("pageerror", lambda error: made.complaints.append(str(error)))
        page.goto(path.as_uri())
        return made

    yield open_page
    for page in pages:
        page.close()


def assert_sound(view: Opened) -> None:
    """Check that nothing was asked of a network, nothing complained, nothing is broken or wider than the window."""
    assert view.complaints == []
    assert view.requests
    assert [url[:60] for url in view.requests if not url.startswith(("file:", "data:"))] == []
    page = view.page
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("[...document.querySelectorAll('figure img')].every(i => i.alt || i.closest('.bar'))")


@IN_BROWSER
@WIDTHS
def test_the_page_opens_without_complaint_or_request(opened: Callable[..., Opened], report: Path, width: int) -> None:
    view = opened(report, width=width)
    assert_sound(view)
    heads = view.page.locator("table.scores tbody th")
    assert heads.all_text_contents()[:2] == [
        ODD,
        "climatology",
    ]  # any folder may be a name: nothing is taken for markup
    assert view.page.locator("table.scores tbody th b").count() == 0


@IN_BROWSER
def test_the_slider_changes_the_day(opened: Callable[..., Opened], report: Path) -> None:
    page = opened(report).page

    def state() -> tuple[str | None, ...]:
        maps = [page.get_attribute(f"#{name}", "href") for name in ("observed", "withheld", "mean", "beside")]
        return (page.text_content("#date"), *maps)

    page.fill("#day", "0")
    first = state()
    page.focus("#day")
    page.keyboard.press("ArrowRight")
    second = state()
    assert page.input_value("#day") == "1"
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert page.text_content("#caption").startswith(second[0])
    page.keyboard.press("ArrowLeft")
    assert state() == first


@IN_BROWSER
def test_the_method_switch_changes_analysis_and_error_alone(opened: Callable[..., Opened], report: Path) -> None:
    page = opened(report).page
    names = ("observed", "withheld", "mean", "beside")
    before = {name: page.get_attribute(f"#{name}", "href") for name in names}
    assert page.text_content("#mean-title") == f"Analysis: {ODD}"
    page.locator("input[name=method]:checked").focus()
    page.keyboard.press("ArrowUp")
    after = {name: page.get_attribute(f"#{name}", "href") for name in names}
    assert page.text_content("#mean-title") == "Analysis: climatology"
    assert [name for name in names if before[name] != after[name]] == ["mean", "beside"]
    page.click(f"#methods label:has-text('{ODD[:1]}<b>')")
    assert {name: page.get_attribute(f"#{name}", "href") for name in names} == before


@IN_BROWSER
def test_error_spread_and_truth_stand_beside_in_turn(opened: Callable[..., Opened], report: Path) -> None:
    page = opened(report).page
    shown = {}
    for label in ("Standard deviation", "Truth", "Error"):
        page.click(f"#views label:has-text('{label}')")
        shown[page.text_content("#beside-title")] = (
            page.get_attribute("#beside", "href"),
            page.text_content("#beside-bar .units"),
        )
    assert list(shown) == ["Standard deviation", "Truth", "Error: analysis − truth"]
    assert [units for _, units in shown.values()] == ["K", "°C", "K"]
    assert len({address for address, _ in shown.values()}) == 3


@IN_BROWSER
def test_a_click_on_a_head_sorts_the_table(
    opened: Callable[..., Opened], evaluation: Evaluation, tmp_path: Path
) -> None:
    many = made_up(evaluation, methods=["one", "two", "three", "four"])
    rows = many.results.truth.methods
    values = {"one": 0.3, "two": 0.1, "three": 0.4, "four": None}
    for label, value in values.items():
        rows[label] = replace(rows[label], effective_resolution=value and 1000 * value, rmse=1 - (value or 0))
    page = opened(save_report(many, tmp_path)).page
    table = page.locator("table.scores").first

    def order() -> list[str]:
        return [text.split()[0] for text in table.locator("tbody th").all_text_contents() if text.strip() in values]

    head = table.locator("thead th", has_text="resolution")
    assert order() == ["three", "one", "two", "four"]
    head.locator("button").click()
    assert order() == ["two", "one", "three", "four"]
    assert head.get_attribute("aria-sort") == "ascending"
    assert table.locator("[aria-sort]").count() == 1
    head.locator("button").press("Enter")
    assert order() == ["three", "one", "two", "four"]  # what is not known stays below
    assert head.get_attribute("aria-sort") == "descending"


EXTREMES = {
    "a wide basin": {"methods": ["climatology", ODD], "shape": (378, 1305), "days": 2, "box": (30.2, 46, -18, 36.2)},
    "a tiny grid, one day, one method": {"methods": [ODD], "shape": (10, 10), "days": 1, "truth": False},
    "eight methods, many days": {"methods": [f"m{i}{'_long' * 3 * i}" for i in range(8)], "days": 90},
    "a tall strip": {"methods": ["_hidden"], "shape": (60, 6), "box": (30, 42, 8, 9.2), "truth": False},
}


@pytest.mark.thorough
@IN_BROWSER
@pytest.mark.parametrize("case", EXTREMES)
def test_any_evaluation_renders(
    opened: Callable[..., Opened], evaluation: Evaluation, tmp_path: Path, case: str
) -> None:
    made = made_up(evaluation, **EXTREMES[case])
    path = save_report(made if made.results.truth else without_spectra(made), tmp_path)
    assert path.stat().st_size < 10e6
    for width in (1280, 390):
        assert_sound(opened(path, width=width))


def test_progress_is_told_to_its_end(evaluation: Evaluation, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    save_report(evaluation, tmp_path, progress=lambda stage, done: told.append((stage, done)))
    assert {stage for stage, _ in told} == {"report"}
    assert all(one <= other for (_, one), (_, other) in pairwise(told))
    assert told[-1] == ("report", 1.0)


def test_no_report_into_a_folder_that_is_not_there(evaluation: Evaluation, tmp_path: Path) -> None:
    with pytest.raises(sereno.InputError, match="no folder"):
        save_report(evaluation, tmp_path / "missing")
