"""The weights in a `.keras` file, read without Keras: a zip archive that holds an HDF5 file.

Files may come from strangers. Only the arrays that are asked for are read, by name, shape and type;
no object is built from the archive's description of itself; and every size that it states is
compared with what the configuration implies before anything of that size is read. The archive
stores its members uncompressed, so the HDF5 file is read into memory once, and the arrays are views
of it.
"""

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.architecture import Array

__all__ = ["read_weights"]

WEIGHTS_MEMBER = "model.weights.h5"
LAYERS_MEMBER = "config.json"
MEMBERS = {"metadata.json", LAYERS_MEMBER, WEIGHTS_MEMBER}
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""What precedes a member's data: the signature, fields that are skipped, and the lengths of the
member's name and of its extra field, which both follow (PKWARE's APPNOTE, 4.3.7)."""
LOCAL_SIGNATURE = b"PK\3\4"

ARRAY_OVERHEAD_BYTES = 1 << 14
"""The most bytes that HDF5 may take per array to describe it and its groups: Keras' files take
3,000."""
MOST_JSON_BYTES = 1 << 20
"""The most bytes of the archive's description of its layers: 64 bidirectional ones take 300,000."""
MOST_OTHER_BYTES = 1 << 16
"""The most bytes of everything else in the archive: its directory and its metadata."""

CLASSES = {
    "Bidirectional",
    "CategoryEncoding",
    "Dense",
    "Dropout",
    "DTypePolicy",
    "Embedding",
    "Float32",
    "GlorotUniform",
    "GRU",
    "InputLayer",
    "LSTM",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomUniform",
    "Reshape",
    "Sequential",
    "SimpleRNN",
    "Zeros",
}
"""The classes that chargen's models consist of. Opening the file with Keras would build anything
else that it describes, such as a Lambda layer with code of its own."""


def read_weights(path: Path, arrays: Sequence[Array]) -> list[NDArray[np.float32]]:
    """Read arrays from a `.keras` file.

    Args:
        path: the file.
        arrays: where each array is and what shape it must have.

    Returns:
        The arrays, as views of one buffer.

    Raises:
        ValueError: the file is not such an archive; an array in it is missing, has the wrong shape
            or type, or is not finite; or the file contains something that chargen's models never
            do.
        OSError: the file cannot be read.
    """
    # Imported here so that commands which read no weights start without it.
    import h5py

    data_size = sum(array.nbytes for array in arrays)
    described = ARRAY_OVERHEAD_BYTES * len(arrays)
    with path.open("rb") as file:
        found = os.fstat(file.fileno()).st_size
        if found < data_size:
            raise ValueError(f"{data_size:,} bytes of weights cannot be in a file of {found:,}")
        if found > data_size + described + MOST_JSON_BYTES + MOST_OTHER_BYTES:
            raise ValueError(f"{found:,} bytes are too many for {data_size:,} bytes of weights")
        members = _members(file)
        _check_layers(_read(file, members[LAYERS_MEMBER], MOST_JSON_BYTES))
        data = _read(file, members[WEIGHTS_MEMBER], data_size + described)
    try:
        with h5py.File(_MemoryFile(data), "r") as hdf5:
            return [_checked(_find(hdf5, array), array, data) for array in arrays]
    except (KeyError, OSError, RuntimeError, TypeError) as error:  # h5py's, for a damaged file
        raise ValueError(str(error)) from None


def _members(file: IO[bytes]) -> dict[str, zipfile.ZipInfo]:
    """Return the archive's members by name: exactly those that Keras writes, uncompressed."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, struct.error) as error:
        raise ValueError(str(error)) from None
    names = sorted(member.filename for member in found)
    if names != sorted(MEMBERS):
        shown = ", ".join(repr(name) for name in names[:5])
        raise ValueError(f"its members should be {', '.join(sorted(MEMBERS))}; found {shown}")
    for member in found:
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise ValueError(f"{member.filename} is compressed or encrypted; Keras stores it as is")
    return {member.filename: member for member in found}


def _read(file: IO[bytes], member: zipfile.ZipInfo, most: int) -> NDArray[np.uint8]:
    """Return a member's bytes, read straight from their place in the archive; at most `most`."""
    name, size = member.filename, member.file_size
    if size > most:
        raise ValueError(f"{name} has {size:,} bytes; at most {most:,} belong to this model")
    file.seek(member.header_offset)
    header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL_SIGNATURE):
        raise ValueError(f"{name} is not where the archive says")
    _, name_length, extra_length = LOCAL_HEADER.unpack(header)
    start = file.seek(name_length + extra_length, os.SEEK_CUR)
    if start + size > file.seek(0, os.SEEK_END):
        raise ValueError(f"{name} is cut short")
    data = np.empty(size, dtype=np.uint8)
    file.seek(start)
    file.readinto(data)  # type: ignore[attr-defined]
    if zlib.crc32(data.data) != member.CRC:
        raise ValueError(f"{name} does not match its checksum")
    return data


def _check_layers(description: NDArray[np.uint8]) -> None:
    """Refuse an archive from which Keras would build anything but chargen's layers."""
    try:
        content = json.loads(description.tobytes())
    except RecursionError as error:
        raise ValueError(str(error)) from None
    for name in _class_names(content):
        if not isinstance(name, str) or name not in CLASSES:
            shown = repr(name)[:40]
            raise ValueError(f"it describes a {shown}, which no chargen model has")


def _class_names(content: Any) -> Iterator[Any]:
    """Yield all values of `class_name`, at any depth."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value["class_name"]
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _find(hdf5: Any, array: Array) -> Any:
    """Find the dataset of an array by hard links only: others lead to other places and files."""
    import h5py

    found = hdf5
    for name in array.path.split("/"):
        if not isinstance(found, h5py.Group):
            raise ValueError(f"{array.path} should be an array inside groups")
        link = found.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{array.path} is reached by a link, or is missing")
        found = found[name]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{array.path} should be an array; found a group")
    return found


def _checked(dataset: Any, array: Array, data: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return an array's values where they are in `data`, once everything about it is checked."""
    import h5py

    properties = dataset.id.get_create_plist()
    stored = (
        properties.get_layout() == h5py.h5d.CONTIGUOUS
        and properties.get_nfilters() == 0
        and properties.get_external_count() == 0
    )
    if not stored:
        raise ValueError(f"{array.path} is chunked, filtered, virtual or in another file")
    if dataset.shape != array.shape or dataset.dtype != np.float32:
        raise ValueError(
            f"{array.path} should be float32 {array.shape}; found {dataset.dtype} {dataset.shape}"
        )
    start = dataset.id.get_offset()
    if start is None or not 0 <= start <= len(data) - array.nbytes:
        raise ValueError(f"{array.path} is not inside the file")
    values = data[start : start + array.nbytes].view(np.float32).reshape(array.shape)
    if not np.isfinite(values).all():
        raise ValueError(f"{array.path} has values that are not finite")
    return values


class _MemoryFile(io.RawIOBase):
    """A file object over memory for h5py to read; `io.BytesIO` would copy the memory first."""

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
