"""A model as a `.keras` file whose bytes follow from the model and its weights alone.

Keras writes the time into such a file, and places in memory as numbers for what several layers
share. Without them a checksum says whether a result was reproduced.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras

__all__ = ["save_model"]

NO_DATE = "1980-01-01@00:00:00"
"""The earliest that a zip archive can hold."""


def save_model(model: keras.Model, path: Path) -> None:
    """Write a model; Keras' own reader takes the file like any other.

    Args:
        model: of Keras' own layers, with names of its own.
        path: ends with `.keras`.
    """
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"]) | {"date_saved": NO_DATE}
    layers = _numbered(json.loads(members["config.json"]), {})
    members |= {"metadata.json": _dump(metadata), "config.json": _dump(layers)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def _dump(value: object) -> bytes:
    return json.dumps(value).encode()


def _numbered(value: Any, seen: dict[int, int]) -> Any:
    """The same JSON with shared objects numbered in the order in which they come."""
    if isinstance(value, list):
        return [_numbered(each, seen) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: seen.setdefault(each, len(seen))
        if key == "shared_object_id"
        else _numbered(each, seen)
        for key, each in value.items()
    }
