"""Flags of a mask: numbers or bits, and what they represent, in the spellings that occur in files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr

WATER, INLAND, LAND, OTHER = "water", "inland water", "land", "other"
CLOUDY = {"cloud", "clouds", "cloudy", "cloudfree", "clear", "swath", "glint", "rain", "quality"}
_SEA = r"(open|sea|salt|fresh|coastal|deep|shallow)?(seas?|oceans?|oceanic|waters?|waterbody|wet)(water|surface)?"
_LAKE = r"lakes?|rivers?|lagoons?"
_DRY = r"lands?|landmass|dry|ground|continents?|islands?|soil"
_NO = {"no", "non", "not"}
_NUMBERED = re.compile(r"(-?\d+)\s*[=:]\s*([A-Za-z][\w\s/-]*?)\s*(?=[,;).]|-?\d+\s*[=:]|$)")
_NUMBERED_AFTER = re.compile(r"([A-Za-z][\w/-]*)\s*[=:]\s*(-?\d+)\b")
_SHORTEST = 2


def words(text: str) -> list[str]:
    """Return the words that a name or meaning is made of, in lower case."""
    return re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())


def kind_of(meaning: str) -> str:
    """Return what a flag's meaning represents: `WATER`, `INLAND`, `LAND` or `OTHER`.

    Examples
    --------
    >>> [kind_of(meaning) for meaning in ("open_sea_with_ice", "valid-water", "no_water", "not_land", "lake", "ice")]
    ['water', 'water', 'land', 'water', 'inland water', 'other']
    """
    parts = [part for word in words(meaning) for part in _without_non(word)]
    dry, wet, lake = (
        [at for at, part in enumerate(parts) if re.fullmatch(pattern, part)] for pattern in (_DRY, _SEA, _LAKE)
    )
    if dry:
        return WATER if not wet and _NO & set(parts[: dry[0]]) else LAND
    if wet or lake:
        first = min(wet + lake)
        return LAND if _NO & set(parts[:first]) else INLAND if lake else WATER
    return OTHER


def _without_non(word: str) -> list[str]:
    """Part ``nonwater`` in two."""
    rest = word[3:]
    negated = word.startswith("non") and re.fullmatch(f"{_DRY}|{_SEA}|{_LAKE}", rest)
    return ["non", rest] if negated else [word]


class UnreadableMaskError(ValueError):
    """A variable does not say which cells are water; the message says why, without the name of the file."""


@dataclass(frozen=True)
class Flags:
    """What the values of a mask represent.

    Attributes
    ----------
    meanings
        A word or phrase for each flag.
    values
        The number that represents each, or None where bits do.
    masks
        The bits of each, or None.
    """

    meanings: list[str]
    values: list[int] | None
    masks: list[int] | None

    @classmethod
    def of(cls, mask: xr.DataArray) -> Self | None:
        """Read the flags of a variable; None where it has no meanings at all.

        Raises
        ------
        UnreadableMaskError
            If it has meanings that cannot be brought together with its values.
        """
        attrs = mask.attrs
        attribute = attrs.get("flag_meanings")
        text = (
            " ".join(map(str, attribute))
            if isinstance(attribute, list | tuple | np.ndarray)
            else str(attribute or "")
        )
        if not text.strip():
            return cls._of_text(attrs)
        if numbered := _numbered(text):
            return cls(list(numbered.values()), list(numbered), None)
        meanings = [part.strip() for part in text.split(",")] if "," in text else text.split()
        values, masks = (_integers(attrs.get(name)) for name in ("flag_values", "flag_masks"))
        for name, numbers in (("flag_values", values), ("flag_masks", masks)):
            if numbers is not None and len(numbers) != len(meanings):
                raise UnreadableMaskError(
                    f"it has {len(meanings)} flag_meanings and {len(numbers)} {name}, so it does not say which value "
                    "means what"
                )
        if values is None and masks is None:
            raise UnreadableMaskError(
                f"its flag_meanings ({text!r}) have no flag_values nor flag_masks that are numbers"
            )
        if values and masks and any(value & bits != value for value, bits in zip(values, masks, strict=True)):
            masks = None  # not as CF combines them: the values represent themselves
        return cls(meanings, values, masks)

    @classmethod
    def _of_text(cls, attrs: dict[Any, Any]) -> Self | None:
        """Read what other attributes say of the values."""
        options = {
            int(str(name)[7:]): str(value) for name, value in attrs.items() if re.fullmatch(r"option_\d+", str(name))
        }
        for numbered in (
            options,
            *(_numbered(str(attrs.get(key, ""))) for key in ("long_name", "comment", "description")),
        ):
            if {kind_of(meaning) for meaning in numbered.values()} >= {WATER, LAND}:
                return cls(list(numbered.values()), list(numbered), None)
        return None

    def water(self, values: np.ndarray) -> np.ndarray:
        """Return where the values of a mask say water.

        Raises
        ------
        UnreadableMaskError
            If no meaning says water.
        """
        whole = np.where(np.isfinite(values), values, 0).astype("int64")
        kinds = [kind_of(meaning) for meaning in self.meanings]
        listed = ", ".join(self.meanings)
        if self.masks is None and any(
            CLOUDY & set(words(m)) for m, k in zip(self.meanings, kinds, strict=True) if k == OTHER
        ):
            raise UnreadableMaskError(f"its flag_meanings are about clouds or quality ({listed})")
        if WATER in kinds:
            return self._any_of(whole, kinds, WATER, INLAND)
        if LAND in kinds and self.masks is not None:  # of bits that say land, those not set say the rest
            return ~self._any_of(whole, kinds, LAND)
        raise UnreadableMaskError(f"none of its flag_meanings says sea or water ({listed})")

    def _any_of(self, whole: np.ndarray, kinds: list[str], *wanted: str) -> np.ndarray:
        water = np.zeros(whole.shape, bool)
        for at, kind in enumerate(kinds):
            if kind in wanted:
                water |= self._holds(whole, at)
        return water

    def _holds(self, whole: np.ndarray, at: int) -> np.ndarray:
        if self.masks is None:
            return np.asarray(whole == (self.values or [])[at])
        if self.values is None:
            return np.asarray((whole & self.masks[at]) != 0)
        return np.asarray((whole & self.masks[at]) == self.values[at])


def _numbered(text: str) -> dict[int, str]:
    """Read ``1=open-sea, 2=land`` or ``land = 0, sea = 1``; empty where a text is not so."""
    meanings = {int(number): meaning.strip() for number, meaning in _NUMBERED.findall(text)}
    if len(meanings) < _SHORTEST:
        meanings = {int(number): meaning for meaning, number in _NUMBERED_AFTER.findall(text)}
    return meanings if len(meanings) >= _SHORTEST else {}


def _integers(attribute: Any) -> list[int] | None:  # noqa: ANN401
    """Return numbers given as such or as text (``"0, 1"``, ``"0b 1b"``), None where they are none."""
    if attribute is None:
        return None
    if isinstance(attribute, str | bytes):
        text = attribute.decode(errors="replace") if isinstance(attribute, bytes) else attribute
        parts = [re.sub(r"(?<=\d)[bBsSlLuU]+$", "", part) for part in re.split(r"[\s,;]+", text.strip("[]() \t"))]
    else:
        parts = [str(part) for part in np.atleast_1d(np.asarray(attribute)).ravel()]
    try:
        numbers = [float(part) for part in parts if part]
        return [int(number) for number in numbers] if all(number == int(number) for number in numbers) else None
    except (ValueError, OverflowError):
        return None
