"""The weights in a `.keras` file, read without Keras: a zip archive that holds an HDF5 file.

Only the arrays that are asked for are read, by name, shape and type; nothing is built from what
the archive says of itself.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chargen.architecture import Array

__all__ = ["read_weights"]

WEIGHTS_MEMBER = "model.weights.h5"


def read_weights(data: bytes, arrays: Sequence[Array]) -> list[NDArray[np.float32]]:
    """Read arrays from the bytes of a `.keras` file.

    Args:
        data: the file.
        arrays: where each lies and what shape it must have.

    Raises:
        ValueError: the file is no such archive, or an array in it is missing, of another shape or
            type, or not finite.
    """
    # Imported here so that commands which read no weights start without it.
    import h5py

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            weights = archive.read(WEIGHTS_MEMBER)
        with h5py.File(io.BytesIO(weights), "r") as file:
            return [_checked(file[array.path], array) for array in arrays]
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        EOFError,
        OSError,  # h5py's for a damaged file
        RuntimeError,  # h5py's for what HDF5 refuses, zipfile's for an encrypted member
    ) as error:
        raise ValueError(str(error)) from None


def _checked(dataset: object, array: Array) -> NDArray[np.float32]:
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{array.path} should be an array; found a group")
    if dataset.shape != array.shape or dataset.dtype != np.float32:
        raise ValueError(
            f"{array.path} should be float32 {array.shape}; found {dataset.dtype} {dataset.shape}"
        )
    values: NDArray[np.float32] = dataset[()]
    if not np.isfinite(values).all():
        raise ValueError(f"{array.path} holds values that are not finite")
    return values
