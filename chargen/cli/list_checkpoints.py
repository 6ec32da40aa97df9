"""`chargen list`: list the checkpoints under a folder."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from chargen.cli.options import Command, json_option, quiet_option
from chargen.config import DEFAULT_FOLDER
from chargen.errors import CheckpointError
from chargen.plain import figure, table, visible

__all__ = ["command"]


@click.command(
    "list",
    cls=Command,
    short_help="List the checkpoints under a folder.",
    epilog="Example: chargen list checkpoints --json",
)
@click.argument("folder", default=str(DEFAULT_FOLDER), metavar="[FOLDER]")
@json_option
@quiet_option
def command(folder: str, as_json: bool, quiet: bool) -> None:
    """List the checkpoints under FOLDER (default: checkpoints), the newest last."""
    from chargen.checkpoint.architecture import parameter_count, title
    from chargen.checkpoint.directory import MODEL, Checkpoint, find_checkpoints

    if not Path(folder).is_dir():
        raise CheckpointError(f"no folder {folder}; train a model first, or name another folder")
    records: list[dict[str, Any]] = []
    for path in find_checkpoints(Path(folder)):
        try:
            opened = Checkpoint.open(path)
            best = opened.best()
        except CheckpointError as error:
            click.echo(f"chargen: skipped: {visible(error.as_typed)}", err=True)
            continue
        trained = _time_of(path / MODEL)
        records.append(
            {
                "path": str(path),
                "model": title(opened.model),
                "parameters": parameter_count(opened.model),
                "vocabulary_size": len(opened.vocabulary),
                "validation_bits": best["validation_bits"] if best else None,
                "trained": trained,
            }
        )
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    if not records:
        if not quiet:
            click.echo(f"no checkpoints under {folder}", err=True)
        return
    rows = [("checkpoint", "model", "parameters", "characters", "held-out bits", "trained")]
    for record in records:
        rows.append(
            (
                visible(record["path"]),
                record["model"],
                figure(record["parameters"]),
                figure(record["vocabulary_size"]),
                figure(record["validation_bits"]),
                (record["trained"] or "-")[:16].replace("T", " "),
            )
        )
    click.echo(table(rows, right=[2, 3, 4]))


def _time_of(path: Path) -> str | None:
    """Return when a file was written, in ISO 8601, or None if its time is not a valid date."""
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    except (OverflowError, ValueError, OSError):
        return None
    return written.isoformat(timespec="seconds")
