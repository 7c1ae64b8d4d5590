"""Where networks are computed, and in which precision.

A map must not depend on the machine that made it, so trained networks are computed in float32 wherever they run, and
in bfloat16 only where the configuration says so. Training may use bfloat16 where the hardware has it: its result is
a model, which gives the same maps everywhere.
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from sereno.config import ConvLSTM, UNet


def device() -> Literal["cuda", "cpu"]:
    """Return where networks are computed: on the graphics card where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def filling_precision(config: ConvLSTM | UNet) -> torch.dtype:
    """Return the type in which a trained network is computed, to be given to `torch.autocast`.

    Where it is float32, torch is set to compute float32 in full in this process: on graphics cards convolutions
    would have TF32 otherwise, with a mantissa of ten bits.
    """
    if config.precision == "bfloat16":
        return torch.bfloat16
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    return torch.float32


def training_precision(config: ConvLSTM | UNet) -> torch.dtype:
    """Return the type in which a network is trained; "auto" is bfloat16 where the hardware has it."""
    if config.precision != "auto":
        return torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    if device() == "cuda":
        supported = torch.cuda.is_bf16_supported()
    else:
        # Processors without these instructions emulate bfloat16, slowly; an old torch cannot tell.
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        supported = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if supported else torch.float32
