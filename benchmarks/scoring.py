"""Characters a second of scoring a long text, beside PyTorch and Keras.

    python benchmarks/scoring.py [--rounds 5]         # steady state, then whole processes
    python benchmarks/scoring.py --memory 200         # megabytes on standard input

Steady state: nats and first choices of every character, state carried, text in memory. PyTorch
gets 64, 128 and 256 streams and counts with its best; its windows are 64 characters long.
Whole processes: from nothing to the figure, on the last 111,540 characters of the text.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import HELD_OUT, parser, process_seconds, race, rate, save, table
from models import SIZES, make_checkpoint, make_config, make_network, make_torch, read_vocabulary

from chargen.config import ModelConfig
from chargen.data.vocabulary import Vocabulary

STEADY_CHARACTERS = 1 << 21
TORCH_STREAMS = (64, 128, 256)
WINDOW = 64
RIVALS = Path(__file__).parent / "rivals"


def ours(config: ModelConfig, vocabulary: Vocabulary, ids: np.ndarray) -> float:
    """A scorer in the midst of a long text."""
    from chargen.network.language_model import LanguageModel
    from chargen.scoring.score import Scorer

    scorer = Scorer(LanguageModel(make_network(config), vocabulary))
    part = np.resize(ids, STEADY_CHARACTERS)

    scorer.score(part[: len(part) // 16])  # to warm up
    started = time.perf_counter()
    scorer.score(part).tally().score()
    return len(part) / (time.perf_counter() - started)


def torch_streams(config: ModelConfig, ids: np.ndarray, streams: int) -> float:
    """PyTorch over windows of many streams, in float32."""
    import torch

    recurrent, dense = make_torch(config)
    text = torch.from_numpy(np.resize(ids, (WINDOW + 1) * streams).astype(np.int64))
    text = text.reshape(streams, -1).T
    one_hot = torch.eye(config.vocabulary_size)
    state = None

    def window() -> int:
        nonlocal state
        output, state = recurrent(one_hot[text[:-1]], state)
        logits = dense(output).reshape(-1, config.vocabulary_size)
        targets = text[1:].reshape(-1)
        torch.nn.functional.cross_entropy(logits, targets, reduction="none").sum().item()
        (logits.argmax(dim=-1) == targets).sum().item()
        return WINDOW * streams

    with torch.inference_mode():
        return rate(window, 1.5)


def whole(layers: int, units: int, text: Path, rounds: int) -> dict[str, object]:
    """Whole processes, in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tail = folder / "tail.txt"
        tail.write_text(text.read_text(encoding="utf-8")[-HELD_OUT:], encoding="utf-8")
        config = make_config("lstm", layers, units, tail)
        make_checkpoint(folder / "ck", config, tail)
        ours = [sys.executable, "-m", "chargen", "evaluate", str(tail), "-c", str(folder / "ck")]
        size = ["lstm", str(layers), str(units)]
        model = str(folder / "ck" / "model.keras")
        commands = {
            "chargen": ours,
            "PyTorch": [sys.executable, str(RIVALS / "score_torch.py"), *size, str(tail)],
            "Keras": [sys.executable, str(RIVALS / "score_keras.py"), model, str(tail)],
        }
        times: dict[str, list[float]] = {command: [] for command in commands}
        for _ in range(rounds):
            for command, line in commands.items():
                times[command].append(process_seconds(line))
    medians = {command: float(np.median(seconds)) for command, seconds in times.items()}
    return {"model": f"lstm {layers}x{units}"} | {
        f"{command}, seconds": seconds for command, seconds in medians.items()
    }


def memory(megabytes: int, text: Path) -> None:
    """The peak of `chargen evaluate -` on a text that arrives through a pipe."""
    block = text.read_bytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "ck"
        make_checkpoint(folder, make_config("lstm", 1, 128, text), text)
        rows = []
        for size in (1, 10, megabytes):
            script = (
                "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
            )
            command = [
                sys.executable,
                "-m",
                "chargen",
                "evaluate",
                "-",
                "--json",
                "-c",
                str(folder),
            ]
            process = subprocess.Popen(
                [sys.executable, "-c", script, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(round(size * 1e6 / len(block)) or 1):
                process.stdin.write(block)
            process.stdin.close()
            score, peak = process.stdout.read().splitlines()
            process.wait()
            figures = json.loads(score)
            rows.append(
                {
                    "text, MB": size,
                    "characters": figures["characters"],
                    "peak memory, MB": int(peak) // 1024,
                    "characters a second": figures["characters_per_second"],
                }
            )
            print(table(rows[-1:]), file=sys.stderr, flush=True)
        save("scoring_memory", rows)


def main() -> None:
    """Race and print."""
    options: argparse.ArgumentParser = parser(__doc__)
    options.add_argument("--memory", type=int, metavar="MB")
    arguments = options.parse_args()
    text: Path = arguments.text
    if arguments.memory:
        memory(arguments.memory, text)
        return
    vocabulary = read_vocabulary(text)
    if arguments.contender:
        name, cell, layers, units, *streams = arguments.contender
        config = make_config(cell, int(layers), int(units), text)
        ids = vocabulary.encode(text.read_text(encoding="utf-8"))
        if name == "ours":
            print(ours(config, vocabulary, ids))
        else:
            print(torch_streams(config, ids, int(streams[0])))
        return
    rows = []
    for cell, (layers, units) in [
        *(("lstm", size) for size in SIZES[:4]),
        *((cell, (1, 256)) for cell in ("gru", "rnn")),
    ]:
        size = (cell, str(layers), str(units))
        contenders = {"ours": ("ours", *size)} | {
            str(streams): ("torch", *size, str(streams)) for streams in TORCH_STREAMS
        }
        found = race(__file__, contenders, arguments.rounds, text)
        mine = found.pop("ours")
        best = max(found, key=lambda streams: found[streams])
        rows.append(
            {
                "model": f"{cell} {layers}x{units}",
                "chargen": mine,
                "PyTorch": found[best],
                "its streams": best,
                "ratio": mine / found[best],
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    save("scoring", rows)
    save("scoring_whole", [whole(*size, text, arguments.rounds) for size in SIZES[:4]])


if __name__ == "__main__":
    main()
