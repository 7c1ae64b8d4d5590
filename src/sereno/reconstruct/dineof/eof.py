"""Empirical orthogonal functions of a filled matrix, space × time, improved from one iteration to the next.

The leading right singular vectors are those of the covariance between days, as small as the days are few; yet that
matrix is not formed. A block of vectors is multiplied by it through the data, orthogonalised, and rotated to the best
that it spans: one step of subspace iteration with a Rayleigh–Ritz projection, which is the power iteration of
randomised singular value decomposition (Halko, Martinsson and Tropp 2011, SIAM Review 53, 217–288). The block starts
from the last iteration's vectors, and carries a few more than are wanted, so that one step is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sereno.compute.cores import cores

T = TypeVar("T")

GUARD = 6
"""Vectors carried beyond those wanted: these converge the faster, and the modes to come have a first guess."""
BLOCK_CELLS = 2**20
"""Cells of the matrix that are worked on at once, so that what is made of them stays in the processor's cache."""


@dataclass(frozen=True)
class Eofs:
    """Leading modes of a matrix, whose sum of products is the truncated series.

    Attributes
    ----------
    maps
        Left singular vectors times the singular values, (pixels, modes), in the field's unit.
    amplitudes
        Right singular vectors, orthonormal, (days, modes).
    """

    maps: np.ndarray
    amplitudes: np.ndarray

    def series(self, pixels: slice | np.ndarray = slice(None), days: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Return the truncated series on some pixels and days, (pixels, days)."""
        return np.asarray(self.maps[pixels] @ self.amplitudes[days].T)


def over_rows(shape: tuple[int, ...], work: Callable[[slice], T]) -> list[T]:
    """Do work on blocks of rows of a matrix, (pixels, days), of `BLOCK_CELLS` cells each, on all cores.

    Returns
    -------
    list
        What `work` returns for each block, in the order of the rows, so that sums do not depend on the cores.
    """
    rows = max(1, BLOCK_CELLS // max(shape[1], 1))
    blocks = [slice(start, start + rows) for start in range(0, shape[0], rows)]
    if len(blocks) < 2:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(work, blocks))


def first_vectors(days: int, count: int, seed: int) -> np.ndarray:
    """Return random orthonormal vectors to start from, (days, count), none more than there are days."""
    drawn = np.random.default_rng(seed).standard_normal((days, min(count, days)))
    return np.asarray(np.linalg.qr(drawn)[0])


def power_step(matrix: np.ndarray, filtering: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Multiply vectors by the filtered covariance F XᵀX Fᵀ and orthogonalise them.

    Parameters
    ----------
    matrix
        X, (pixels, days), without gaps.
    filtering
        F, (days, days).
    vectors
        (days, k).

    Returns
    -------
    np.ndarray
        float64 (days, k), orthonormal.
    """
    towards = (filtering.T @ vectors).astype(matrix.dtype)

    def multiply(rows: slice) -> np.ndarray:
        part = matrix[rows]
        return np.asarray(part.T @ (part @ towards))

    product = np.sum(over_rows(matrix.shape, multiply), axis=0, dtype=np.float64)
    return np.asarray(np.linalg.qr(filtering @ product)[0])


def project(matrix: np.ndarray, filtering: np.ndarray, basis: np.ndarray, modes: int) -> tuple[Eofs, np.ndarray]:
    """Return the leading modes within the span of an orthonormal basis, and the basis rotated to them.

    The modes are eigenvectors v of the filtered covariance, with the maps X v scaled to the length √λ that it gives
    them: without a filter that is their own.
    """
    filtered = (filtering.T @ basis).astype(matrix.dtype)
    both = np.hstack([basis.astype(matrix.dtype), filtered])
    images = np.empty((len(matrix), basis.shape[1]), matrix.dtype)

    def multiply(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        plain, smooth = np.split(matrix[rows] @ both, 2, axis=1)
        images[rows] = plain
        return smooth.T @ smooth, plain.T @ plain

    products = zip(*over_rows(matrix.shape, multiply), strict=True)
    inner, squares = (np.sum(parts, axis=0, dtype=np.float64) for parts in products)
    values, rotation = np.linalg.eigh(inner)
    values, rotation = values[::-1], rotation[:, ::-1]
    lengths = np.sqrt(np.maximum(np.einsum("im,ij,jm->m", rotation, squares, rotation), np.finfo(float).tiny))
    scale = np.sqrt(np.maximum(values, 0)) / lengths
    maps = images @ (rotation * scale)[:, :modes].astype(matrix.dtype)
    turned = basis @ rotation
    return Eofs(maps, turned[:, :modes]), turned
