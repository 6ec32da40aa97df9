"""Texts in files."""

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from chargen.data.text import TextFormat

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: not text.startswith("\ufeff")
)
KEPT = TextFormat(newlines="keep")
on_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)
