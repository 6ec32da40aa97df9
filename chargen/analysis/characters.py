"""Which characters a network takes for alike: the vectors by which it reads them, as a map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chargen.network.cells import Floats

__all__ = ["CharacterMap", "character_map"]


@dataclass(frozen=True)
class CharacterMap:
    """Points that lie close together if their vectors do.

    Attributes:
        points: float64 (n, 2).
        shares: the share of the vectors' variance along each of the two axes.
    """

    points: NDArray[np.float64]
    shares: tuple[float, float]


def character_map(vectors: Floats) -> CharacterMap:
    """Return the first two principal components of the characters' vectors.

    Args:
        vectors: (n, D), the rows of an embedding, or of the first input kernel, which a one-hot
            vector looks up.
    """
    centred = vectors.astype(np.float64)
    centred -= centred.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(vectors), 2))
    count = min(2, len(singular))
    points[:, :count] = left[:, :count] * singular[:count]
    # The sign of an axis means nothing. It is chosen so that another BLAS draws the same map.
    points *= np.where(points[np.abs(points).argmax(axis=0), [0, 1]] < 0, -1, 1)
    variance = np.append(singular**2, [0.0, 0.0])
    first, second = variance[:2] / max(variance.sum(), np.finfo(np.float64).tiny)
    return CharacterMap(points, (float(first), float(second)))
