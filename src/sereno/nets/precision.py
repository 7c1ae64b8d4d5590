"""Where networks are computed, and in which precision.

A map must not depend on the machine that made it, so trained networks are computed in float32 wherever they run, and
in bfloat16 only where the configuration says so. Training may use bfloat16 where the hardware has it: its result is
a model, which gives the same maps everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import Any, Literal, TypeVar

import torch

from sereno.config import ConvLSTM, UNet

Setting = TypeVar("Setting")


def device() -> Literal["cuda", "cpu"]:
    """Return where networks are computed: on the graphics card where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def filling_precision(config: ConvLSTM | UNet) -> torch.dtype:
    """Return the type in which a trained network is computed, to be given to `computing`."""
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32


@contextmanager
def computing(dtype: torch.dtype) -> Iterator[None]:
    """Compute a trained network within the block, without gradients, in the type that `filling_precision` returned.

    float32 is computed in full there: on graphics cards convolutions would have TF32 otherwise, with a mantissa of
    ten bits. torch has this setting for the whole process only, so it is made when the first of several threads
    enters and taken back when the last one leaves.
    """
    place, short = device(), dtype != torch.float32
    with torch.inference_mode(), torch.autocast(place, dtype, enabled=short), nullcontext() if short else _FULL:
        yield


class _FullFloat32:
    """Keeps torch from computing float32 with fewer bits while any thread is within a block."""

    def __init__(self) -> None:
        self._lock, self._within = Lock(), 0
        self._convolutions: bool | None = None
        self._products: str | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._within += 1
            if self._within == 1:
                # None where a program set them one operation at a time: torch cannot say then, nor set them back.
                self._convolutions = _known(lambda: torch.backends.cudnn.allow_tf32)
                self._products = _known(torch.get_float32_matmul_precision)
                torch.backends.cudnn.allow_tf32 = False
                torch.set_float32_matmul_precision("highest")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if self._within == 0:
                if self._convolutions is not None:
                    torch.backends.cudnn.allow_tf32 = self._convolutions
                if self._products is not None:
                    torch.set_float32_matmul_precision(self._products)


_FULL = _FullFloat32()


def _known(setting: Callable[[], Setting]) -> Setting | None:
    """Return a setting of torch, None where torch cannot say."""
    try:
        return setting()
    except RuntimeError:
        return None


def training_precision(config: ConvLSTM | UNet) -> torch.dtype:
    """Return the type in which a network is trained; "auto" is bfloat16 where the hardware has it."""
    if config.precision != "auto":
        return torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    if device() == "cuda":
        supported = torch.cuda.is_bf16_supported()
    else:
        # Processors without these instructions emulate bfloat16, slowly; an old torch does not report it.
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        supported = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if supported else torch.float32
