"""What runs the networks, and their way to other programs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from shuffle import shuffled

import sereno
from sereno.climatology import fit_climatology
from sereno.config import ClimatologyConfig, ConvLSTM, ConvLSTMUNet, UNet, parse_config
from sereno.errors import InputError
from sereno.methods import State
from sereno.nets import engines
from sereno.nets import onnx_openvino as portables
from sereno.nets.corrector import corrector
from sereno.nets.engines import SMALLEST_MAP, engine_for
from sereno.nets.onnx_openvino import Portable, examples
from sereno.nets.thesis import ThesisNetwork
from sereno.reconstruct.convlstm import ConvLSTMReconstructor
from sereno.reconstruct.oi_grid.solver import Term
from sereno.reconstruct.unet.first_guess import FirstGuess
from sereno.reconstruct.unet.method import UNetReconstructor
from sereno.training.result import lasting_settings
from sereno.workflow.bare_networks import BareNetwork
from sereno.workflow.export import export_network

SMALL = {"window": 3, "widths": (4, 8)}
DEEP = ConvLSTM(window=3, hidden=4, head=4)


def method(config: UNet) -> UNetReconstructor:
    networks = tuple(shuffled(corrector(config), seed) for seed in range(config.members))
    return UNetReconstructor(config, FirstGuess((Term(0.7, 60.0, 5.0), Term(0.3, 20.0, 3.0)), 0.15), networks, [])


def deep() -> State:
    network = shuffled(ThesisNetwork(DEEP))
    return State({"scale": 0.5, "history": []}, {k: v.numpy() for k, v in network.state_dict().items()})


def portable(config: UNet | ConvLSTM) -> Portable:
    if isinstance(config, ConvLSTM):
        return ConvLSTMReconstructor.portable(config, deep())
    return UNetReconstructor.portable(config, method(config).state())


def test_a_mixture_has_the_moments_of_draws_from_its_members() -> None:
    config = UNet(**SMALL, members=2)
    network = portable(config).network
    inputs = examples(portable(config).inputs)
    with torch.no_grad():
        mean, std = network(*inputs)
        members = [member(*inputs) for member in network.members]  # type: ignore[union-attr]
    generator = torch.Generator().manual_seed(0)
    draws = torch.cat([m + s.exp() * torch.randn(4000, *m.shape, generator=generator) for m, s in members])
    torch.testing.assert_close(draws.mean(0), mean, rtol=0, atol=0.1 * float(std.max()))
    torch.testing.assert_close(draws.std(0), std, rtol=0.1, atol=0)


@pytest.mark.parametrize("more", [{"network": "central-day", "attention": True}, {"network": "all-days"}, {}])
def test_a_network_computes_where_its_inputs_are(more: dict[str, object]) -> None:
    """The meta device knows shapes alone, and refuses what mixes it with the processor, as a graphics card does."""
    config = UNet(**SMALL, **more, passes=2)
    inputs = [part.to("meta") for part in examples(portable(config).inputs)]
    for output in portable(config).network.to("meta")(*inputs):
        assert output.device.type == "meta"


@pytest.mark.thorough
def test_onnx_runs_as_pytorch_does_at_any_size(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    network = portable(ConvLSTMUNet(**SMALL, hidden=4))  # of all layers that there are
    assert network.write(tmp_path / "network.onnx", "onnx", {"window": "3"}) < 1e-5
    written = onnx.load(tmp_path / "network.onnx")
    told = {entry.key: entry.value for entry in written.metadata_props}
    assert told == {**network.about, "window": "3"}
    for each, kept in zip(network.inputs, written.graph.input, strict=True):
        dims = [dim.dim_param or dim.dim_value for dim in kept.type.tensor_type.shape.dim]
        assert (each.name, list(each.dims)) == (kept.name, dims)
    assert [output.name for output in written.graph.output] == list(network.outputs)


def test_openvino_is_written_with_what_it_is(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="needs the extra openvino")
    network = portable(UNet(**SMALL, members=2))
    assert network.write(tmp_path / "network.xml", "openvino", {"window": "3"}) < 1e-5
    written = openvino.Core().read_model(tmp_path / "network.xml")
    assert written.get_rt_info(["sereno", "window"]).astype(str) == "3"
    assert [each.any_name for each in written.inputs] == [each.name for each in network.inputs]
    assert [each.any_name for each in written.outputs] == ["anomaly", "std"]
    assert str(written.inputs[0].partial_shape) == "[?,3,?,?]"


def test_openvino_carries_along_the_flow_at_any_size(tmp_path: Path) -> None:
    """What is written is compared with PyTorch on maps of another size than those that were traced."""
    pytest.importorskip("openvino", reason="needs the extra openvino")
    network = portable(UNet(**SMALL, network="all-days"))
    torch.manual_seed(0)
    for name, weight in network.network.named_parameters():
        if name.endswith("leave.weight"):
            torch.nn.init.normal_(weight, std=0.1)  # a fresh network estimates no flow
    assert network.outputs == ("anomaly", "std", "flow")
    assert network.write(tmp_path / "network.xml", "openvino", {}) < 1e-4


def test_a_network_that_came_out_wrong_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    monkeypatch.setattr(portables, "_by_openvino", lambda path, given: [given["spread"], given["spread"]])
    network = BareNetwork(parse_config({"model": {"method": "convlstm"}}), deep(), "tiles")
    monkeypatch.setattr(ConvLSTMReconstructor, "portable", lambda *_: portable(UNet(**SMALL)))
    with pytest.raises(InputError, match=r"differs from PyTorch's by .*; it was not written"):
        export_network(network, tmp_path / "network.xml", kind="openvino")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_refused(sea: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = BareNetwork(parse_config({"model": {"method": "convlstm"}}), deep(), "tiles")
    wrong = {
        "n.txt": r"n\.txt: onnx files end in \.onnx",
        "n.xml": "rename it, or give `kind` openvino",
        "nowhere/n.onnx": "there is no folder .*nowhere; make it first",
    }
    for name, message in wrong.items():
        with pytest.raises(InputError, match=message):
            export_network(network, tmp_path / name)
    with pytest.raises(InputError, match="climatology has no network to export"):
        export_network(sereno.fit(sea, "climatology"), tmp_path / "n.onnx")
    monkeypatch.setattr(portables, "find_spec", lambda name: name == "openvino" or None)
    with pytest.raises(InputError, match="OpenVINO cannot trace a ConvLSTM; export it as ONNX"):
        portable(DEEP).write(tmp_path / "n.xml", "openvino", {})
    with pytest.raises(InputError, match=r'onnx needs onnx, onnxscript, onnxruntime: pip install "sereno\[onnx\]"'):
        portable(DEEP).write(tmp_path / "n.onnx", "onnx", {})


def test_openvino_is_taken_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: name)
    assert engine_for(UNet(), SMALLEST_MAP) == "openvino"
    assert engine_for(UNet(), SMALLEST_MAP - 1) == "torch"
    assert engine_for(ConvLSTMUNet(), SMALLEST_MAP) == "torch"
    assert engine_for(UNet(engine="torch"), SMALLEST_MAP) == "torch"
    assert engine_for(UNet(engine="openvino"), 1) == "openvino"
    monkeypatch.setattr(engines, "device", lambda: "cuda")
    assert engine_for(UNet(), SMALLEST_MAP) == "torch"
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    assert engine_for(UNet(), SMALLEST_MAP) == "torch"
    with pytest.raises(InputError, match=r'OpenVINO is not installed; pip install "sereno\[openvino\]"'):
        engine_for(UNet(engine="openvino"), 1)
    with pytest.raises(InputError, match=r"model: engine: OpenVINO cannot trace a ConvLSTM"):
        parse_config({"model": {"method": "convlstm-unet", "engine": "openvino"}})


def test_the_engine_is_no_part_of_a_training() -> None:
    """One that began before there was a choice is resumed."""
    assert lasting_settings(UNet(engine="openvino")) == lasting_settings(UNet())


def test_openvino_fills_as_pytorch_does_and_a_day_by_itself_alike(sea: xr.Dataset) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    anomalies = fit_climatology(sea, ClimatologyConfig()).anomalies(sea).compute()
    days, config = anomalies["time"].values[40:44], UNet(**SMALL, engine="torch")
    expected = method(config).reconstruct(anomalies, days).compute()
    by_openvino = method(replace(config, engine="openvino"))
    found = by_openvino.reconstruct(anomalies, days).compute()
    for name in ("mean", "std"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5)
        assert not np.array_equal(found[name], expected[name], equal_nan=True)
    alone = by_openvino.reconstruct(anomalies, days[[2]]).compute()
    xr.testing.assert_identical(alone, found.sel(time=days[[2]]))
