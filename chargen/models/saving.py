"""Saves a model as a `.keras` file whose bytes depend only on the model and its weights.

Keras writes the time into such a file, and memory addresses as numbers for objects that layers
share. Without these, a checksum tells whether a result was reproduced.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras

__all__ = ["save_model"]

NO_DATE = "1980-01-01@00:00:00"
"""The earliest date that a zip archive can hold."""


def save_model(model: keras.Model, path: Path) -> None:
    """Write a model to a file that Keras reads like any other.

    Args:
        model: consists of Keras' own layers, all of which have been named.
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
    """Return the JSON with shared objects numbered in the order in which they occur."""
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
