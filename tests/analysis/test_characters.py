"""The map of characters keeps what their vectors say of who is near to whom."""

import numpy as np
import pytest

from chargen.analysis.characters import character_map


@pytest.mark.numeric
def test_points_of_a_plane_keep_their_distances():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(30, 2)) * [3, 1]
    directions, _ = np.linalg.qr(rng.normal(size=(50, 2)))
    found = character_map((plane @ directions.T + 7).astype(np.float32))
    before, after = (
        np.linalg.norm(points[:, None] - points, axis=-1) for points in (plane, found.points)
    )
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert sum(found.shares) == pytest.approx(1, abs=1e-6)
    assert found.shares[0] > found.shares[1]


def test_the_map_does_not_depend_on_the_signs_of_the_axes():
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    mirrored = character_map(-vectors).points
    np.testing.assert_allclose(np.abs(mirrored), np.abs(character_map(vectors).points), atol=1e-6)
    assert (mirrored.max(axis=0) >= -mirrored.min(axis=0)).all()


@pytest.mark.parametrize("shape", [(1, 5), (3, 1), (2, 2)])
def test_few_vectors_or_numbers_make_a_map_too(shape: tuple[int, int]):
    found = character_map(np.ones(shape, np.float32))
    assert found.points.shape == (shape[0], 2)
    assert np.isfinite(found.points).all()
    assert np.isfinite(found.shares).all()
