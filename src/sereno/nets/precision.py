"""Where networks are computed, and their arithmetic: bfloat16 where the hardware has it, float32 elsewhere."""

from __future__ import annotations

from typing import Any, Literal

import torch

from sereno.config import ConvLSTM, UNet


def device() -> Literal["cuda", "cpu"]:
    """Return where networks are computed: on the graphics card where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def arithmetic(config: ConvLSTM | UNet) -> torch.dtype:
    """Return the type that the convolutions are computed in, to be given to `torch.autocast`."""
    if device() == "cuda":
        supported = torch.cuda.is_bf16_supported()
    else:
        # Processors without these instructions emulate bfloat16, slowly; an old torch cannot tell.
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        supported = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    wanted = supported if config.precision == "auto" else config.precision == "bfloat16"
    return torch.bfloat16 if wanted else torch.float32
