"""Weights are read from a `.keras` file, and anything else in it is refused."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import model_archive, random_weights

from chargen.checkpoint.architecture import Array, describe
from chargen.checkpoint.archive import read_weights
from chargen.config import ModelConfig

CONFIG = ModelConfig(vocabulary_size=5, units=4, window=3)
ARRAYS = [array for layer in describe(CONFIG) for array in layer.arrays]
WEIGHTS = random_weights(CONFIG)


def write(path: Path, hdf5: bytes, layers: object = None, compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as members:
        members.writestr("metadata.json", b"{}")
        members.writestr("config.json", json.dumps(layers))
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


def test_arrays_in_chunks_are_refused(tmp_path: Path):
    file = io.BytesIO()
    with h5py.File(file, "w") as chunked:
        for array, values in zip(ARRAYS, WEIGHTS, strict=True):
            chunked.create_dataset(array.path, data=values, chunks=True, compression="gzip")
    with pytest.raises(ValueError, match="chunked, filtered, virtual or in another file"):
        read_weights(write(tmp_path / "m", file.getvalue()), ARRAYS)


def replaced(hdf5: bytes, place: Callable[[h5py.Group, str], None]) -> bytes:
    """The file with something else in the place of its first array."""
    stream = io.BytesIO(hdf5)
    folder, _, name = ARRAYS[0].path.rpartition("/")
    with h5py.File(stream, "r+") as file:
        del file[folder][name]
        place(file[folder], name)
    return stream.getvalue()


def soft_link(folder: h5py.Group, name: str) -> None:
    folder[name] = h5py.SoftLink("/" + ARRAYS[1].path)


def external_link(folder: h5py.Group, name: str) -> None:
    folder[name] = h5py.ExternalLink("/etc/passwd", "/")


def external_data(folder: h5py.Group, name: str) -> None:
    space = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    folder.create_dataset(name, ARRAYS[0].shape, np.float32, external=space)


def virtual(folder: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout(ARRAYS[0].shape, np.float32)
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", ARRAYS[0].shape)
    folder.create_virtual_dataset(name, layout)


def huge(folder: h5py.Group, name: str) -> None:
    folder.create_dataset(name, (50_000, 50_000), np.float32)  # 10 GB, of which nothing is written


def unwritten(folder: h5py.Group, name: str) -> None:
    folder.create_dataset(name, ARRAYS[0].shape, np.float32)


def group(folder: h5py.Group, name: str) -> None:
    folder.create_group(name)


def compound(folder: h5py.Group, name: str) -> None:
    folder.create_dataset(name, ARRAYS[0].shape, [("a", "<f2"), ("b", "<f2")])


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (soft_link, "reached by a link"),
        (external_link, "reached by a link"),
        (external_data, "in another file"),
        (virtual, "virtual"),
        (huge, r"found float32 \(50000, 50000\)"),
        (unwritten, "is not inside the file"),
        (group, "found a group"),
        (compound, "should be float32"),
    ],
)
def test_an_array_that_lies_elsewhere_or_is_another_is_refused(
    tmp_path: Path, hdf5: bytes, place: Callable[[h5py.Group, str], None], message: str
):
    path = write(tmp_path / "m", replaced(hdf5, place))
    with pytest.raises(ValueError, match=message):
        read_weights(path, ARRAYS)


def test_a_layer_with_code_of_its_own_is_refused(tmp_path: Path, hdf5: bytes):
    layers = {"config": {"layers": [{"class_name": "Dense"}, {"class_name": "Lambda"}]}}
    with pytest.raises(ValueError, match="a 'Lambda', which no chargen model has"):
        read_weights(write(tmp_path / "m", hdf5, layers), ARRAYS)


@pytest.mark.parametrize("name", [["LSTM"], {}, None, 1])
def test_a_layer_without_a_name_is_refused(tmp_path: Path, hdf5: bytes, name: object):
    with pytest.raises(ValueError, match="which no chargen model has"):
        read_weights(write(tmp_path / "m", hdf5, {"class_name": name}), ARRAYS)


@pytest.mark.parametrize("layers", ["[" * 100_000, "\x00", "9" * 10_000])
def test_a_description_that_is_no_json_is_refused(tmp_path: Path, hdf5: bytes, layers: str):
    path = write(tmp_path / "m", hdf5)
    with zipfile.ZipFile(path, "w") as members:
        for name, content in (("metadata.json", b""), ("config.json", layers.encode())):
            members.writestr(name, content)
        members.writestr("model.weights.h5", hdf5)
    with pytest.raises(ValueError, match=r"."):
        read_weights(path, ARRAYS)


def test_other_members_or_the_same_twice_are_refused(tmp_path: Path, hdf5: bytes):
    path = write(tmp_path / "m", hdf5)
    with zipfile.ZipFile(path, "a") as members:
        members.writestr("assets/setup.py", b"")
    with pytest.raises(ValueError, match="its members should be"):
        read_weights(path, ARRAYS)
    write(path, hdf5)
    with zipfile.ZipFile(path, "a") as members, pytest.warns(UserWarning, match="Duplicate"):
        members.writestr("model.weights.h5", hdf5)
    with pytest.raises(ValueError, match="its members should be"):
        read_weights(path, ARRAYS)


def test_sizes_are_held_against_what_is_asked_for_before_anything_is_read(
    tmp_path: Path, hdf5: bytes
):
    path = write(tmp_path / "m", hdf5)
    with pytest.raises(ValueError, match="bytes of weights cannot be in a file of"):
        read_weights(path, [Array("layers/dense/vars/0", (50_000, 50_000))])
    with path.open("r+b") as file:
        file.truncate(10**10)  # takes no room on the disk
    with pytest.raises(ValueError, match=r"10,000,000,000 bytes are too many"):
        read_weights(path, ARRAYS)
    write(path, hdf5 + bytes(200_000))
    with pytest.raises(ValueError, match=r"model\.weights\.h5 has .* bytes; at most"):
        read_weights(path, ARRAYS)


def test_a_compressed_member_is_refused(tmp_path: Path, hdf5: bytes):
    path = write(tmp_path / "m", hdf5 * 20, compression=zipfile.ZIP_DEFLATED)
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
    with pytest.raises(ValueError, match="is not where the archive says"):
        read_weights(path, ARRAYS)


@pytest.mark.parametrize("content", [bytes(2000), b"no archive" * 200, b"PK\5\6" + bytes(1000)])
def test_a_file_that_is_no_such_archive_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ValueError, match=r"zip|members"):
        read_weights(tmp_path / "m", ARRAYS)


def test_weights_that_are_no_hdf5_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="open"):
        read_weights(write(tmp_path / "m", b"no HDF5" * 200), ARRAYS)
