"""Look for a file of a checkpoint that breaks its reader, led by what code each one reaches.

    pip install '.[fuzz]'
    python tests/stress/fuzz_reader.py -max_total_time=300

Atheris changes the files of a whole checkpoint, byte by byte, and keeps those that reach code that
none before has reached. Each must be read or refused with a `ChargenError` of one line; anything
else ends the search and leaves the input behind. Options are libFuzzer's.
"""

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent))

with atheris.instrument_imports(include=["chargen"]):
    from chargen.checkpoint.directory import Checkpoint
    from chargen.errors import ChargenError

from conftest import make_checkpoint

NAMES = ("config.json", "vocabulary.json", "history.jsonl", "model.keras")
HISTORY = b'{"step": 1, "epoch": 0.5, "validation_nats": null, "best": true}\n'
MOST_BYTES = 20_000


def main() -> None:
    """Fuzz until libFuzzer's options say to stop."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        path = make_checkpoint(folder / "ck", units=3, window=2).path
        (path / "history.jsonl").write_bytes(HISTORY)
        whole = {file: (path / file).read_bytes() for file in NAMES}
        seeds = folder / "seeds"
        seeds.mkdir()
        for number, content in enumerate(whole.values()):
            (seeds / str(number)).write_bytes(bytes([number]) + content)

        def attempt(data: bytes) -> None:
            name = NAMES[data[0] % len(NAMES)] if data else NAMES[0]
            (path / name).write_bytes(data[1:])
            try:
                checkpoint = Checkpoint.open(path)
                checkpoint.history()
                checkpoint.weights()
            except ChargenError as error:
                if "\n" in str(error):
                    raise
            finally:
                (path / name).write_bytes(whole[name])

        # Whole files reach the same code, whichever of them is read again: all are kept.
        options = ["-keep_seed=1", "-len_control=0", f"-max_len={MOST_BYTES}"]
        options += [f"-artifact_prefix={tempfile.gettempdir()}/", *sys.argv[1:], str(seeds)]
        atheris.Setup([sys.argv[0], *options], attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
