"""The weights in a `.keras` file, read without Keras: a zip archive that holds an HDF5 file.

Only the arrays that are asked for are read, by name, shape and type; nothing is built from what
the archive says of itself. The archive stores its members as they are, so the HDF5 file is read
into memory once, and the arrays are views of it.
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from chargen.architecture import Array

__all__ = ["read_weights"]

WEIGHTS_MEMBER = "model.weights.h5"
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Before a member's data: the signature, ..., the lengths of its name and of extra fields, which
follow (PKWARE's APPNOTE, 4.3.7)."""
LOCAL_SIGNATURE = b"PK\3\4"


def read_weights(path: Path, arrays: Sequence[Array]) -> list[NDArray[np.float32]]:
    """Read arrays from a `.keras` file.

    Args:
        path: the file.
        arrays: where each lies and what shape it must have.

    Returns:
        The arrays, views of one buffer where they lie in one piece.

    Raises:
        ValueError: the file is no such archive, or an array in it is missing, of another shape or
            type, or not finite.
        OSError: it cannot be read.
    """
    # Imported here so that commands which read no weights start without it.
    import h5py

    with path.open("rb") as file:
        data = _read_member(file)
    try:
        with h5py.File(_File(data), "r") as hdf5:
            return [_checked(hdf5[array.path], array, data) for array in arrays]
    except (KeyError, OSError, RuntimeError) as error:  # what h5py raises for a damaged file
        raise ValueError(str(error)) from None


def _read_member(file: IO[bytes]) -> NDArray[np.uint8]:
    """The bytes of the HDF5 file, straight from where they lie in the archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            member = archive.getinfo(WEIGHTS_MEMBER)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ValueError(str(error)) from None
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise ValueError(f"{WEIGHTS_MEMBER} is compressed or encrypted; Keras stores it as it is")
    file.seek(member.header_offset)
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL_SIGNATURE):
        raise ValueError(f"{WEIGHTS_MEMBER} does not lie where the archive says")
    _, name_length, extra_length = LOCAL_HEADER.unpack(header)
    start = file.seek(name_length + extra_length, os.SEEK_CUR)
    if start + member.file_size > file.seek(0, os.SEEK_END):
        raise ValueError(f"{WEIGHTS_MEMBER} is cut short")
    data = np.empty(member.file_size, dtype=np.uint8)
    file.seek(start)
    file.readinto(data)  # type: ignore[attr-defined]
    if zlib.crc32(data.data) != member.CRC:
        raise ValueError(f"{WEIGHTS_MEMBER} does not match its checksum")
    return data


def _checked(dataset: object, array: Array, data: NDArray[np.uint8]) -> NDArray[np.float32]:
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{array.path} should be an array; found a group")
    if dataset.shape != array.shape or dataset.dtype != np.float32:
        raise ValueError(
            f"{array.path} should be float32 {array.shape}; found {dataset.dtype} {dataset.shape}"
        )
    start = dataset.id.get_offset()
    if start is None:  # in chunks, as another program may write it
        values: NDArray[np.float32] = dataset[()]
    else:
        size = dataset.size * dataset.dtype.itemsize
        values = data[start : start + size].view(np.float32).reshape(array.shape)
    if not np.isfinite(values).all():
        raise ValueError(f"{array.path} holds values that are not finite")
    return values


class _File(io.RawIOBase):
    """Memory as the file object that h5py reads from; `io.BytesIO` would copy it first."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data.data
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._data)}
        self._position = base[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._data[self._position : self._position + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
