"""A map does not depend on the processor that makes it, nor on what runs the network.

The kinds of processors are had on one machine by what keeps torch, oneDNN, MKL, OpenBLAS and NumPy from using the
instructions of the newer ones. On a processor that lacks some of these itself, kinds coincide and the test is easier.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from shuffle import shuffled

import sereno
from sereno.climatology import fit_climatology
from sereno.config import ConvLSTM, ConvLSTMUNet, UNet, as_mapping, parse_config
from sereno.io.models.model_folder import ModelDescription
from sereno.nets.corrector import corrector
from sereno.nets.engines import with_torch
from sereno.nets.precision import computing, filling_precision, training_precision
from sereno.nets.thesis import ThesisNetwork
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.reconstruct.convlstm import ConvLSTMReconstructor
from sereno.reconstruct.oi_grid.solver import Term
from sereno.reconstruct.uncertainty.spread import ObservedPixels, Spread
from sereno.reconstruct.unet.ensemble import packaged
from sereno.reconstruct.unet.first_guess import FirstGuess
from sereno.reconstruct.unet.method import UNetReconstructor
from sereno.workflow.models import Model

IN_MEAN, IN_STD = 1e-4, 1e-4
"""What maps may differ by, in kelvin and relative to the std, as docs/decisions/0018-engines.md says."""
NO_AVX512 = "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512_SKX"
KINDS = {
    "AVX-512 without bfloat16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": NO_AVX512,
    },
    "SSE": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
        "MKL_CBWR": "COMPATIBLE",
        "NPY_DISABLE_CPU_FEATURES": f"X86_V3 AVX2 FMA3 {NO_AVX512}",
    },
}
FILL = """
import sys
from pathlib import Path
import numpy as np
import sereno
folder, output, *names = sys.argv[1:]
cube = sereno.open_cube(Path(folder, "sea.nc"))
maps = {}
for name in names:
    filled = sereno.fill(cube, sereno.load(Path(folder, name)), days="2019-02-20:2019-02-21").compute()
    maps |= {f"{name} {part}": filled[part].values for part in ("mean", "std")}
np.savez(output, **maps)
"""


def methods() -> dict[str, Any]:
    """Networks with weights that all count, and a gridded first guess; OpenVINO where it is installed."""
    guess = FirstGuess((Term(0.7, 60.0, 5.0), Term(0.3, 20.0, 3.0)), 0.15)
    unet, recurrent = UNet(engine="torch"), ConvLSTMUNet(window=7, widths=(4, 8), hidden=4)
    network = corrector(unet)
    network.load_state_dict(packaged(unet))
    spread = Spread(np.array([0.0, 4.0]), np.array([0.9, 0.2]))
    deep = ConvLSTM(window=7)
    made: dict[str, Any] = {
        "unet": UNetReconstructor(unet, guess, (network.eval(),), []),
        "convlstm-unet": UNetReconstructor(recurrent, guess, (shuffled(corrector(recurrent)),), []),
        "convlstm": ConvLSTMReconstructor(
            deep, shuffled(ThesisNetwork(deep)), 0.5, spread, ObservedPixels(0.1, 0.5), []
        ),
    }
    if find_spec("openvino"):
        made["openvino"] = replace(made["unet"], config=replace(unet, engine="openvino"))
    return made


@pytest.fixture(scope="module")
def folder(sea: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cube, and models of it."""
    folder = tmp_path_factory.mktemp("kinds")
    sea[["sst", "water"]].assign(water=sea["water"].astype("int8")).to_netcdf(folder / "sea.nc")
    plain = parse_config({"model": {"method": "climatology"}})
    climatology = fit_climatology(sea, plain.climatology)
    for name, inner in methods().items():
        config = replace(plain, model=inner.config)
        described = ModelDescription.of(sea, as_mapping(config), grid_bound=True)
        sereno.save(Model(AnomalyReconstructor(config, climatology, inner), described), folder / name)
    for settings in (
        {"method": "oi", "covariance": "exponential", "parameters": "paper", "observations": 24},
        {"method": "dineof", "most_modes": 6},
        {"method": "interpolation", "time_scale": 3.0, "space_scale": 20.0},
    ):
        fitted = sereno.fit(sea, parse_config({"model": settings, "calibration_days": 8}))
        sereno.save(fitted, folder / settings["method"])
    return folder


def filled(folder: Path, names: list[str], kind: dict[str, str]) -> dict[str, np.ndarray]:
    """Return the maps of models, made by a process of a kind."""
    output = folder / "maps.npz"
    command = [sys.executable, "-c", FILL, str(folder), str(output), *names]
    subprocess.run(command, env={**os.environ, **kind}, check=True)
    with np.load(output) as maps:
        return dict(maps)


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, np.ndarray]:
    """The maps of this processor."""
    return filled(folder, sorted(path.name for path in folder.iterdir() if path.is_dir()), {})


@pytest.mark.thorough
@pytest.mark.parametrize("kind", KINDS)
def test_maps_agree_between_processors(folder: Path, expected: dict[str, np.ndarray], kind: str) -> None:
    names = {key.split()[0] for key in expected} - ({"openvino"} if kind != "AVX2" else set())
    for key, found in filled(folder, sorted(names), KINDS[kind]).items():
        bound = {"atol": IN_MEAN, "rtol": 0} if key.endswith("mean") else {"atol": 0, "rtol": IN_STD}
        np.testing.assert_allclose(found, expected[key], **bound, err_msg=f"{key}, {kind}")


@pytest.mark.thorough
def test_maps_agree_between_engines(expected: dict[str, np.ndarray]) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    np.testing.assert_allclose(expected["openvino mean"], expected["unet mean"], rtol=0, atol=IN_MEAN)
    np.testing.assert_allclose(expected["openvino std"], expected["unet std"], rtol=IN_STD, atol=0)


@pytest.mark.parametrize("config", [UNet(), ConvLSTM()])
def test_only_training_looks_at_what_the_hardware_has(
    config: UNet | ConvLSTM, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hardware, trained in (({"amx_bf16": True}, torch.bfloat16), ({}, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=hardware: found, raising=False)
        assert filling_precision(config) == torch.float32
        assert training_precision(config) == trained
        for chosen in ("float32", "bfloat16"):
            config_of = replace(config, precision=chosen)
            assert filling_precision(config_of) == training_precision(config_of) == getattr(torch, chosen)


def as_module(function: Callable[..., Any]) -> torch.nn.Module:
    module = torch.nn.Module()
    module.forward = function
    return module


def in_short() -> tuple[bool, str]:
    """Whether convolutions may have TF32 on graphics cards, which is the default, and how products are computed."""
    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()


@pytest.fixture
def short() -> Iterator[tuple[bool, str]]:
    """A program that computes in short, which sereno is a guest of."""
    before = in_short()
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("medium")
    yield (True, "medium")
    torch.backends.cudnn.allow_tf32 = before[0]
    torch.set_float32_matmul_precision(before[1])


def test_a_network_is_computed_in_full_in_a_program_that_computes_in_short(short: tuple[bool, str]) -> None:
    seen = []

    def network(*inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(in_short())
        return inputs[0], inputs[0]

    engine = with_torch(as_module(network), filling_precision(UNet()))
    engine(np.zeros((3, 4), np.float32))
    assert seen == [(False, "highest")]
    assert in_short() == short


def test_threads_compute_in_full_until_the_last_has_ended(short: tuple[bool, str]) -> None:
    begun, ended = Event(), Event()

    def work() -> tuple[bool, str]:
        with computing(torch.float32):
            begun.set()
            ended.wait(60)
            return in_short()

    with ThreadPoolExecutor(1) as pool:
        longer = pool.submit(work)
        assert begun.wait(60)
        with pytest.raises(ValueError, match="damaged"), computing(torch.float32):
            raise ValueError("damaged")
        ended.set()
        assert longer.result() == (False, "highest")
    assert in_short() == short


def test_a_program_may_set_the_precision_of_each_operation() -> None:
    work = """
import torch
if hasattr(torch.backends.cudnn, "conv"):
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    torch.backends.cudnn.rnn.fp32_precision = "ieee"
    from sereno.nets.precision import computing
    with computing(torch.float32):
        assert not torch.backends.cudnn.allow_tf32
"""
    subprocess.run([sys.executable, "-c", work], check=True)
