import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import model_archive, random_weights

from chargen.architecture import describe
from chargen.archive import read_weights
from chargen.config import ModelConfig

CONFIG = ModelConfig(vocabulary_size=5, units=4, window=3)
ARRAYS = [array for layer in describe(CONFIG) for array in layer.arrays]
WEIGHTS = random_weights(CONFIG)


def write(path: Path, hdf5: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as members:
        members.writestr("a longer name before it", b"x")
        members.writestr("model.weights.h5", hdf5)
    return path


@pytest.fixture
def hdf5() -> bytes:
    archive = io.BytesIO(model_archive(CONFIG, WEIGHTS))
    return zipfile.ZipFile(archive).read("model.weights.h5")


def test_the_arrays_are_those_that_were_written(tmp_path: Path, hdf5: bytes):
    for found, expected in zip(
        read_weights(write(tmp_path / "m", hdf5), ARRAYS), WEIGHTS, strict=True
    ):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.float32


def test_arrays_in_chunks_are_read_too(tmp_path: Path):
    file = io.BytesIO()
    with h5py.File(file, "w") as chunked:
        for array, values in zip(ARRAYS, WEIGHTS, strict=True):
            chunked.create_dataset(array.path, data=values, chunks=True, compression="gzip")
    found = read_weights(write(tmp_path / "m", file.getvalue()), ARRAYS)
    for one, other in zip(found, WEIGHTS, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_compressed_member_is_refused(tmp_path: Path, hdf5: bytes):
    path = write(tmp_path / "m", hdf5, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed or encrypted"):
        read_weights(path, ARRAYS)


def test_a_flipped_bit_is_noticed(tmp_path: Path, hdf5: bytes):
    path = write(tmp_path / "m", hdf5)
    data = bytearray(path.read_bytes())
    data[data.index(WEIGHTS[0].tobytes()) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="does not match its checksum"):
        read_weights(path, ARRAYS)


def test_a_member_that_lies_elsewhere_is_noticed(tmp_path: Path, hdf5: bytes):
    path = write(tmp_path / "m", hdf5)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as members:
        start = members.getinfo("model.weights.h5").header_offset
    data[start : start + 4] = b"none"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="does not lie where the archive says"):
        read_weights(path, ARRAYS)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\5\6" + bytes(18)])
def test_what_is_no_such_archive_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ValueError, match=r"zip|named|File"):
        read_weights(tmp_path / "m", ARRAYS)


def test_what_is_no_hdf5_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="open"):
        read_weights(write(tmp_path / "m", b"no HDF5"), ARRAYS)
