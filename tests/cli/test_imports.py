"""What each verb may import before it has read its input: seconds that a user waits for every command."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the verbs run in forks of one process")

NEVER = (
    "torch",
    "lightning",
    "matplotlib",
    "cartopy",
    "distributed",
    "scipy.optimize",
    "scipy.signal",
    "scipy.stats",
)
"""What is needed only once there is something to fit, to draw, or to send to a cluster."""
BARRED = {
    "check whole": (*NEVER, "zarr", "h5py"),
    "check": (*NEVER, "zarr", "h5py"),
    "prepare": NEVER,
    "describe": (*NEVER, "zarr"),
    "climatology": NEVER,
    "tiles": (*NEVER, "zarr"),
    "fit": (*NEVER, "zarr"),
    "import-keras": NEVER,
    "fill": NEVER,
    "evaluate": (*NEVER, "zarr"),
    "export": NEVER,
    "submit": (*NEVER, "zarr"),
}
WORDS = {
    "check whole": ["check", "sea.nc"],
    "check": ["check", "none.nc"],
    "prepare": ["prepare", "none.nc", "-o", "cube.zarr"],
    "describe": ["describe", "none.nc", "-o", "description"],
    "climatology": ["climatology", "none.nc", "-o", "climatology.nc"],
    "tiles": ["tiles", "none.nc", "-o", "tiles"],
    "fit": ["fit", "none.nc", "-m", "unet", "-o", "model"],
    "import-keras": ["import-keras", "none.keras", "-o", "model"],
    "fill": ["fill", "none.nc", "-o", "out.nc"],
    "evaluate": ["evaluate", "none.nc", "-m", "interpolation", "-o", "scores"],
    "export": ["export", "none", "-o", "out.onnx"],
    "submit": ["submit", "none.toml"],
}
_CHILD = """
import json, os, sys
from sereno.cli import main
import sereno.cli.verbs, sereno.io.inputs.cube  # what all need is imported once
asked, told = sys.argv[1:]
for name, (words, barred) in json.loads(asked).items():
    if not os.fork():
        sys.argv = ["sereno", *words]
        try:
            main()
        except SystemExit as end:
            loaded = [module for module in barred if module in sys.modules]
            with open(told, "a") as stream:
                stream.write(json.dumps([name, end.code, loaded]) + "\\n")
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, list[str]]]:
    """Return of every verb its exit status, and what it imported of what is barred."""
    folder = tmp_path_factory.mktemp("imports")
    days = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")
    values = 290 + np.random.default_rng(0).normal(size=(2, 6, 8))
    axes = {"time": days, "lat": 40 + np.arange(6) / 10, "lon": np.arange(8) / 10}
    attrs = {"standard_name": "sea_surface_temperature", "units": "kelvin"}
    water = (("lat", "lon"), np.ones((6, 8), np.int8))
    sea = xr.Dataset({"sst": (("time", "lat", "lon"), values, attrs), "mask": water}, coords=axes)
    sea.to_netcdf(folder / "sea.nc", engine="netcdf4")
    asked = json.dumps({name: (words, BARRED[name]) for name, words in WORDS.items()})
    told = folder / "told"
    command = [sys.executable, "-c", _CHILD, asked, str(told)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    return {name: (status, loaded) for name, status, loaded in lines}


@pytest.mark.parametrize("name", WORDS)
def test_a_verb_imports_what_it_needs_and_no_more(ends: dict[str, tuple[int, list[str]]], name: str) -> None:
    status, loaded = ends[name]
    assert status == (0 if name == "check whole" else 2)
    assert loaded == []
