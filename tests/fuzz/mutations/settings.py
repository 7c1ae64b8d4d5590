"""Options, ``--set`` and run files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from fuzz.sea import Expect, Inputs

NUMBERS = (
    "nan", "inf", "-inf", "-1", "0", "1e309", "x", "[]", "[1,", "{}", '""', "true", "1e18", "9" * 20,
)  # fmt: skip
KEYS = (
    "seed", "variable", "water", "quality_level", "train", "valid", "model.method", "model", "model.halflife",
    "climatology.harmonics", "climatology.period", "climatology.kind", "climatology.window", "climatology.smoothing",
    "climatology.recent_days", "climatology.file", "climatology", "x", "", "model.x.y", "max_minutes",
)  # fmt: skip
PERIODS = (
    "01/02/2021", "2019", "2019-06-31", "2019-13-01", ":", "::", "nan", "today", "2030:", "2019-06-01:2019-05-01",
    "2019-06-01T12:00:2019-06-03", "-1:", "99999", "1:2", "0000-01-01:", "2019-06-01 : 2019-06-03", "None", "",
    "20190601",
)  # fmt: skip
LINEAR = '[model]\nmethod = "linear"\n'
RUNS = (
    "", "x", "[[[[", "[" * 5000, "seed = ", "seed = -1", "seed = 1e400", "seed = nan", "seed = 1" + "0" * 5000,
    "\x00", "seed = 1\nseed = 2", 'model = "linear"', "model = 3", "[model]", '[model]\nmethod = "no"', "train = 5",
    '[model]\nmethod = ["linear"]', 'train = "x:y"', f"{LINEAR}x = 1", f"{LINEAR}[climatology]\nharmonics = -3",
    f"{LINEAR}[climatology]\nharmonics = 1e308", f'{LINEAR}[climatology]\nperiod = ["a"]', f"water = 7\n{LINEAR}",
    f'{LINEAR}[climatology]\nfile = "no.nc"', f'variable = ["a"]\n{LINEAR}', f"quality_level = 99\n{LINEAR}",
)  # fmt: skip


def override(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """``--set`` of a key that may be none, to a value that may be none."""
    key, value = str(rng.choice(KEYS)), str(rng.choice(NUMBERS))
    inputs.options += [
        "--set",
        str(rng.choice([f"{key}={value}", key, f"={value}", f"{key}=={value}", f"{key} = {value}"])),
    ]
    inputs.names += ["--set", key or "=", value]
    inputs.verbs = ("fit", "describe")
    return Expect.ANY


def period(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """``--days`` in any spelling."""
    text = str(rng.choice(PERIODS))
    inputs.options += ["--days", text]
    inputs.names += ["--days", "period"]
    inputs.verbs = ("fill", "describe", "evaluate")
    return Expect.ANY


def some_days(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """``--days`` of some days of the record."""
    first, last = np.sort(rng.integers(0, len(inputs.truth.days), 2))
    days = inputs.truth.days
    inputs.options += ["--days", f"{days[first]}:{days[last]}"]
    inputs.verbs = ("fill",)
    inputs.truth.keep((days >= days[first]) & (days <= days[last]))
    return Expect.ACCEPT


def _write(root: Path, *, text: str) -> None:
    (root / "run.toml").write_text(text)


def run_file(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A run file that may be none."""
    inputs.after.append(partial(_write, text=RUNS[rng.integers(len(RUNS))]))
    inputs.options += ["--config", "run.toml"]
    inputs.names += ["run.toml", "no.nc", "no method"]
    inputs.verbs = ("fit", "describe")
    return Expect.ANY


def run_file_of_bytes(inputs: Inputs, rng: np.random.Generator) -> Expect:
    content = rng.bytes(200)
    inputs.after.append(lambda root: (root / "run.toml").write_bytes(content) and None)
    inputs.options += ["--config", "run.toml"]
    inputs.names.append("run.toml")
    inputs.verbs = ("fit", "describe")
    return Expect.REFUSE


def no_run_file(inputs: Inputs, rng: np.random.Generator) -> Expect:
    inputs.options += ["--config", "run.toml"]
    inputs.names.append("run.toml")
    inputs.verbs = ("fit", "describe")
    return Expect.REFUSE


def no_such_variable(inputs: Inputs, rng: np.random.Generator) -> Expect:
    inputs.options = ["--variable", str(rng.choice(["nothing", "", "lat", "time", "a/b", "../x", "é"]))]
    return Expect.REFUSE


def quality(inputs: Inputs, rng: np.random.Generator) -> Expect:
    inputs.options += ["--quality", str(rng.choice(["-1", "6", "x", "", "1e3", "5.5"]))]
    inputs.names.append("--quality")
    return Expect.REFUSE


def option_of_no_verb(inputs: Inputs, rng: np.random.Generator) -> Expect:
    option = str(
        rng.choice(["--nothing", "-z", "--grid=", "--workers=-1", "--workers=x", "--shard=3/2", "--shard=0/0"])
    )
    inputs.options.append(option)
    inputs.names += ["Usage", option.split("=")[0]]
    return Expect.ANY


def odd_grid(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Steps of a coarser grid that cannot be."""
    text = str(rng.choice(["1/0", "0", "-1", "nan", "inf", "1e-9", "x", "1/24/2", "", "90", "1e308", "1/x"]))
    inputs.options += ["--grid", text]
    inputs.names.append("--grid")
    inputs.output = "out.zarr"
    inputs.verbs = ("prepare",)
    return Expect.REFUSE


def odd_place(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """An output within the input, in no folder, of no kind."""
    within = ["in/out.nc", "in"] if inputs.source == "in" else []  # beside a store is no odd place
    place = str(rng.choice([*within, "no/such/folder/out.nc", "/dev/null", "/proc/x.nc", "x" * 300 + ".nc", ".."]))
    inputs.output = place
    inputs.names += ["-o", place[-40:], place.split("/")[0], str(Path(place).parent)]
    inputs.verbs = ("fill", "prepare", "climatology", "fit")
    return Expect.REFUSE


def _side_file(inputs: Inputs, rng: np.random.Generator, option: str, name: str) -> None:
    """Name a further file that is none, or that holds nothing of use."""
    contents = (None, b"", b"not found\n", rng.bytes(3000), b"CDF\x01" + bytes(28), b"\x89HDF\r\n\x1a\n" + bytes(500))
    content = contents[rng.integers(len(contents))]
    if content is not None:
        inputs.after.append(lambda root: (root / name).write_bytes(content) and None)
    inputs.options += [option, name]
    inputs.names.append(name)


def no_climatology(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """``--climatology`` names a file that is none."""
    _side_file(inputs, rng, "--climatology", "clim.nc")
    inputs.verbs, inputs.output = ("prepare",), "out.zarr"
    return Expect.REFUSE


def no_index(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """``--withheld`` names a file that is none."""
    _side_file(inputs, rng, "--withheld", "index.nc")
    inputs.verbs = ("evaluate",)
    return Expect.REFUSE


def no_model(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """``-m`` names a file that is no model, or nothing."""
    _side_file(inputs, rng, "-m", str(rng.choice(["model.toml", "other-model"])))
    inputs.verbs = ("fill",)
    return Expect.REFUSE
