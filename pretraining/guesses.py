"""Draw samples from a library, make their first guesses, and lay both into shards.

Usage: ``python pretraining/guesses.py LIBRARY SHARDS [--shards N]``. A shard that is there is not made again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from samples import SIDE, WINDOW, DrawnSamples, Simulated
from sereno.reconstruct.unet.guess import told
from sereno.nets.gridded import Grid, Solver, Term, two_scale_terms

SAMPLES = 256
"""Samples of a shard."""
LENGTHS, TIMES, ERRORS, AMPLITUDES = 0.15, 0.2, 0.15, 0.1
"""Standard deviations of the logarithms of what the scales are made wrong by, as tuned ones are."""
LARGEST_AMPLITUDE = 2.0


class Shard(NamedTuple):
    """Samples in units of their climatological standard deviation.

    Attributes
    ----------
    values, guess
        float16 (samples, window, lat, lon), NaN in `values` where nothing was seen.
    truth, water
        float16 and bool (samples, lat, lon).
    told
        What `sereno.correction.told` tells, less the season: float32 (samples, n).
    """

    values: np.ndarray
    guess: np.ndarray
    truth: np.ndarray
    water: np.ndarray
    told: np.ndarray


def read_shard(path: Path) -> Shard:
    """Read a shard."""
    with np.load(path) as held:
        scales = held["S"]
        return Shard(held["V"], held["F"], held["T"], held["W"], np.stack([_told(numbers) for numbers in scales]))


def _told(numbers: np.ndarray) -> np.ndarray:
    """Return what is told of a sample, less the season, from the scales in its shard."""
    noise, shared, length, large_length, time, large_time, share, side, amplitude = (float(n) for n in numbers)
    cell = np.exp(side)
    scales = {
        "length": np.exp(length) * cell,
        "large_length": np.exp(large_length) * cell,
        "time": np.exp(time),
        "large_time": np.exp(large_time),
        "share": share,
    }
    terms = two_scale_terms(scales, amplitude=amplitude, shared_error=shared, error_length=60.0)
    return told(terms, noise=noise, side=cell, day_of_year=0)[:-2]
