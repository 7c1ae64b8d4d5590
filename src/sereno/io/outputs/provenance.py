"""What an analysis records: its model, its settings, its input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import xarray as xr

from sereno.errors import InputError

SstType = Literal["skin", "subskin", "foundation", "depth", "unknown"]
SST_TYPES: dict[SstType, tuple[str, str]] = {
    "skin": ("sea_surface_skin_temperature", "SSTskin"),
    "subskin": ("sea_surface_subskin_temperature", "SSTsubskin"),
    "foundation": ("sea_surface_foundation_temperature", "SSTfnd"),
    "depth": ("sea_surface_temperature", "SSTdepth"),
    "unknown": ("sea_surface_temperature", "SST"),
}
"""CF standard name of each kind of temperature, and its code in GHRSST file names."""
_MODEL, _CONFIG, _INPUT = "sereno_model", "sereno_config", "sereno_input"
"""Attributes that record what made an analysis."""


@dataclass(frozen=True)
class Product:
    """What the attributes of an output file say.

    Attributes
    ----------
    sst_type
        The kind of sea surface temperature, as the input states it; it chooses the CF standard name.
    model
        The model, as JSON can hold it; ``method`` enters file names and the history.
    config
        The resolved run configuration, as TOML.
    attributes
        Global attributes that replace the defaults: ``title``, ``creator_name``, ``creator_email``, ``license`` and
        so on. A ``history`` is put before the line added here. Attributes computed from the data (extent, coverage)
        and the record of the run cannot be replaced.
    input
        What the analysis was made from: ``period``, and where known ``variable`` and ``water_from``.
    """

    sst_type: SstType = "unknown"
    model: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, analysis: xr.Dataset) -> Self:
        """Return what `sereno.fill` recorded in the attributes of an analysis; else the default."""
        attrs = analysis.attrs
        try:
            model, made_from = (dict(json.loads(attrs.get(name, "{}"))) for name in (_MODEL, _INPUT))
        except (ValueError, TypeError):
            raise InputError(
                f"the analysis: its attribute {_MODEL} or {_INPUT} is not as fill wrote it; remove both, or give a "
                "`product`"
            ) from None
        own = {name: attrs[name] for name in ("institution",) if name in attrs}
        return cls(attrs.get("sst_type", "unknown"), model, attrs.get(_CONFIG, ""), own, made_from)

    @property
    def record(self) -> dict[str, str]:
        """Global attributes that record what made the analysis: model, configuration and input."""
        made_from = {_INPUT: json.dumps(dict(self.input))} if self.input else {}
        return {_MODEL: json.dumps(dict(self.model)), _CONFIG: self.config, **made_from}

    def as_attributes(self) -> dict[str, str]:
        """Return the attributes of an analysis from which `of` makes the same product again."""
        return {"sst_type": self.sst_type, **self.record, **self.attributes}

    @property
    def method(self) -> str:
        """Name of the method, or ``analysis``."""
        return str(self.model.get("method", "analysis"))
