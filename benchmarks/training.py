"""Characters learned from a second: ours, PyTorch's and plain Keras' layers.

    python benchmarks/training.py [--rounds N] [--text FILE] [--cells lstm gru rnn] [--sizes 1x128]
    python benchmarks/training.py --overhead [--batches 64 4]
    python benchmarks/training.py --display
    python benchmarks/training.py --profile

Batch 64, window 64, one-hot, Adam, gradients clipped, state carried from window to window. Ours is
a real run of `chargen.train`, without the moments in which it evaluates and saves. PyTorch's is the
usual loop in float32 and under bfloat16's autocast; the better counts. Keras' is a `Sequential` of
its own layers under `fit`. `--overhead` compares such a run with its bare compiled steps on batches
that are ready, and with the whole command, evaluations and saving included. `--display` says what
share of a run's time goes into drawing it on a terminal. `--profile` times the parts of a core's
share of a step, each compiled and run by itself on one core.
"""

import fcntl
import os
import pty
import struct
import sys
import tempfile
import termios
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
from harness import PLAIN, parser, race, save, training_rate

SIZES = ["1x128", "1x256", "1x512", "2x256"]
BATCH, WINDOW = 64, 64
SECONDS = 2.0
BUDGET_SECONDS = 30
"""Of a real run of ours: on a slow machine half of it passes before the first step."""
COMMAND_BUDGET = "30s"
"""Of the whole command: evaluations take a twenty-fifth of the time, and two are needed."""
OVERHEAD = [("lstm", "128"), ("lstm", "512"), ("rnn", "128")]
DISPLAY_BUDGET = 30
"""Seconds of a run that is shown on a terminal."""
TERMINAL = (40, 100)
"""Its lines and columns: the panel is drawn whole."""
LARGE_UNITS = 512
"""Units of networks whose steps take so long that a few of them make a steady figure."""


def main() -> None:
    """Run one contender, or race them all."""
    options = parser(__doc__)
    options.add_argument("--cells", nargs="+", default=["lstm", "gru", "rnn"])
    options.add_argument("--sizes", nargs="+", default=SIZES)
    options.add_argument("--overhead", action="store_true")
    options.add_argument("--batches", nargs="+", default=["64", "4"], help="for --overhead")
    options.add_argument("--display", action="store_true")
    options.add_argument("--profile", action="store_true")
    chosen = options.parse_args()
    if chosen.contender:
        name, *arguments = chosen.contender
        print(CONTENDERS[name](chosen.text, *arguments))
    elif chosen.overhead:
        race_overhead(chosen.text, chosen.rounds, chosen.batches)
    elif chosen.display:
        race_display(chosen.text, chosen.rounds)
    elif chosen.profile:
        race_parts(chosen.text, chosen.rounds)
    else:
        race_all(chosen.text, chosen.rounds, chosen.cells, chosen.sizes)


def race_all(text: Path, rounds: int, cells: list[str], sizes: list[str]) -> None:
    """The table of all cells and sizes."""
    machine = {"f32": ["product", "float32"], "bf16": ["product", "bfloat16"]}
    flops = race(__file__, machine, rounds, text)
    print({name: f"{value / 1e9:.0f} GFLOP/s" for name, value in flops.items()})
    rows = []
    for cell in cells:
        for size in sizes:
            model = [cell, *size.split("x")]
            contenders = {
                "ours bf16": ["ours", *model, "bfloat16"],
                "ours f32": ["ours", *model, "float32"],
                "torch bf16": ["torch", *model, "bfloat16"],
                "torch f32": ["torch", *model, "float32"],
                "keras": ["keras", *model],
            }
            speed = race(__file__, contenders, rounds, text)
            best = max(speed["ours bf16"], speed["ours f32"])
            rival = max(speed["torch bf16"], speed["torch f32"])
            work = 6 * weights(text, *model) * speed["ours bf16"]
            rows.append(
                {
                    "model": f"{cell} {size}",
                    "chargen bfloat16": round(speed["ours bf16"]),
                    "float32": round(speed["ours f32"]),
                    "PyTorch bfloat16": round(speed["torch bf16"]),
                    "PyTorch float32": round(speed["torch f32"]),
                    "Keras": round(speed["keras"]),
                    "of PyTorch's better": best / rival,
                    "of Keras": best / speed["keras"],
                    "of the product's speed": work / flops["bf16"],
                }
            )
            print(rows[-1], flush=True)
    save("training", rows, ["model"])


def race_overhead(text: Path, rounds: int, batches: list[str]) -> None:
    """What the loop around the steps adds to them, and what evaluations and saving add to both."""
    rows = []
    for batch in batches:
        for cell, units in OVERHEAD:
            model = [cell, "1", units, "bfloat16", batch]
            contenders = {name: [name, *model] for name in ("bare", "ours", "command")}
            speed = race(__file__, contenders, rounds, text)
            steps = {name: int(batch) * WINDOW / value * 1000 for name, value in speed.items()}
            rows.append(
                {
                    "model": f"{cell} 1x{units}",
                    "batch": int(batch),
                    "bare step, ms": steps["bare"],
                    "in a run, ms": steps["ours"],
                    "the loop adds": f"{steps['ours'] / steps['bare'] - 1:.1%}",
                    "characters/s in a run": speed["ours"],
                    "of the whole command": speed["command"],
                }
            )
            print(rows[-1], flush=True)
    save("training_overhead", rows, ["model", "batch"])


def race_display(text: Path, rounds: int) -> None:
    """What share of a run's time goes into showing it."""
    contenders = {f"{cell} 1x{units}": ["shown", cell, units] for cell, units in OVERHEAD}
    shares = race(__file__, contenders, rounds, text)
    rows = [{"model": name, "share of the time": f"{x:.2%}"} for name, x in shares.items()]
    save("training_display", rows)


def shown(text: Path, cell: str, units: str) -> float:
    """The share of the time after the first step that the display takes, on a terminal."""
    import chargen

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *TERMINAL, 0, 0))
    os.environ["TERM"] = "xterm-256color"
    kept = os.dup(2)
    os.dup2(theirs, 2)

    def read() -> None:
        while os.read(ours, 1 << 16):
            pass

    threading.Thread(target=read, daemon=True).start()
    from chargen.training.display import TrainingDisplay

    spent, first = 0.0, None
    with TrainingDisplay() as display, tempfile.TemporaryDirectory() as folder:

        def report(event: object) -> None:
            nonlocal spent, first
            started = time.perf_counter()
            display.report(event)  # type: ignore[arg-type]
            if type(event).__name__ == "Progressed" and first is None:
                first = time.perf_counter()
            elif first is not None:
                spent += time.perf_counter() - started

        chargen.train(
            text,
            checkpoint=Path(folder) / "ck",
            report=report,
            budget=DISPLAY_BUDGET,
            cell=cell,  # type: ignore[arg-type]
            units=int(units),
        )
        assert first is not None
        total = time.perf_counter() - first
    os.dup2(kept, 2)
    return spent / total


def race_parts(text: Path, rounds: int) -> None:
    """Where a core's time goes: milliseconds of each part of its 32 rows, bfloat16."""
    rows = []
    for units in (128, 256, 512):
        contenders = {name: ["part", name, str(units)] for name in PARTS}
        seconds = race(__file__, contenders, rounds, text)
        ms = {name: value * 1000 for name, value in seconds.items()}
        forward, backward = ms["forward"], ms["backward"]
        rows.append(
            {
                "model": f"lstm 1x{units}",
                "step of a shard": ms["shard"],
                "products forwards": ms["chain"],
                "gates forwards": forward - ms["chain"],
                "products backwards": ms["chain back"],
                "gates backwards": backward - ms["chain back"] - ms["weights"],
                "weight gradients": ms["weights"],
                "output and loss": ms["shard"] - forward - backward,
                "update": ms["update"],
            }
        )
    save("training_profile", rows)


PARTS = ["shard", "forward", "chain", "backward", "chain back", "weights", "update"]


def part(text: Path, name: str, units_: str) -> float:
    """Seconds of a part of a step, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    model, windows = learner(text, "lstm", "1", units_, "bfloat16", shards=1, batch=BATCH // 2)
    import tensorflow as tf

    from chargen.models import recurrent as layers
    from chargen.models.products import compiled, in_pieces, product_of_pieces, round_operand

    kernel, recurrent, bias, *_ = weights = [v.value for v in model.model.trainable_variables]
    ids, targets = (tf.constant(each[0]) for each in windows.block(0, 0, 1))
    units, width = int(units_), kernel.shape[0]
    x, above = tf.transpose(ids), tf.random.normal((WINDOW, *ids.shape[:1], units))
    zeros = tf.zeros((ids.shape[0], units))
    states = [zeros, zeros]
    counters = [variable.value for variable in model._counters]
    low = "bfloat16"
    *_, kept = layers._lstm(x, kernel, recurrent, bias, zeros, zeros, low)
    sums = model._pass_shard(ids, targets, weights, states, counters)[0]
    gradients = tf.random.normal((WINDOW, ids.shape[0], 4 * units))

    def chain(state, matrix):
        pieces = in_pieces(round_operand(matrix, low))

        def step(t, state):
            after = product_of_pieces(round_operand(state, low), pieces)
            wide = after.shape[1] >= state.shape[1]
            return t + 1, after[:, :units] if wide else tf.concat([after] * 4, 1)

        return tf.while_loop(lambda t, _: t < WINDOW, step, (0, state))[1]

    def backward(x, kernel, recurrent, kept, above):
        upstream = (above, zeros, zeros)
        return layers._lstm_gradient(x, kernel, recurrent, zeros, kept, upstream, low)[1:]

    def weight_gradients(x, outputs, gradients):
        operands = [x, layers._before(outputs, zeros)]
        return layers._weight_gradients(operands, width, gradients, low)

    works = {
        "shard": lambda: model._pass_shard(ids, targets, weights, states, counters),
        "forward": lambda: layers._lstm(x, kernel, recurrent, bias, zeros, zeros, low),
        "chain": partial(compiled(chain), zeros, recurrent),
        "backward": partial(compiled(backward), x, kernel, recurrent, kept, above),
        "chain back": partial(compiled(chain), gradients[0], tf.transpose(recurrent)),
        "weights": partial(compiled(weight_gradients), x, kept[1], gradients),
        "update": lambda: model._apply([sums], tf.size(targets)),
    }

    def work() -> int:
        tf.nest.map_structure(lambda each: each.numpy(), works[name]())
        return 1

    return 1 / steady(work)


def learner(
    text: Path,
    cell: str,
    layers: str,
    units: str,
    precision: str,
    *,
    batch: int = BATCH,
    shards: int | None = None,
):
    """Our learner and its windows: with `bare` and `part`, what this script knows of the inside."""
    from chargen.training.machine import this_machine

    machine = this_machine(None)
    from models import make_config

    from chargen.config import TrainConfig
    from chargen.data.windows import make_windows
    from chargen.models.factory import build_learner

    config = make_config(cell, int(layers), int(units), text)
    training = TrainConfig(
        epochs=1,
        batch_size=batch,
        learning_rate=1e-3,
        evaluate_every=1,
        random_seed=0,
        validation=0.0,
        precision=precision,  # type: ignore[arg-type]
        shards=shards or machine.shards(config, batch),
    )
    return build_learner(config, training), make_windows(read_ids(text), config, training)


def ours(
    text: Path, cell: str, layers: str, units: str, precision: str, batch: str = str(BATCH)
) -> float:
    """A real run: the steps between two reports of progress that follow each other.

    Where an evaluation lies between two reports, that time is left out, with its saving.
    """
    import chargen

    events: list[tuple[str, float, int]] = []

    def note(event: object) -> None:
        now = time.perf_counter()
        events.append((type(event).__name__, now, int(getattr(event, "step", 0))))

    with tempfile.TemporaryDirectory() as folder:
        chargen.train(
            text,
            checkpoint=Path(folder) / "ck",
            report=note,
            budget=BUDGET_SECONDS,
            cell=cell,  # type: ignore[arg-type]
            layers=int(layers),
            units=int(units),
            precision=precision,  # type: ignore[arg-type]
            batch_size=int(batch),
            window=WINDOW,
            **PLAIN,  # type: ignore[arg-type]
        )
    progress = [k for k, (kind, *_) in enumerate(events) if kind == "Progressed"]
    warm = events[progress[0]][1] + 1  # by then blocks have their length
    pairs = [
        (events[k - 1], events[k])
        for k in progress
        if k - 1 in progress and events[k - 1][1] > warm
    ]
    steps = sum(after[2] - before[2] for before, after in pairs)
    seconds = sum(after[1] - before[1] for before, after in pairs)
    return steps * int(batch) * WINDOW / seconds


def command(
    text: Path, cell: str, layers: str, units: str, precision: str, batch: str = str(BATCH)
) -> float:
    """The same by the command, evaluations and saving included."""
    network = ["--cell", cell, "--layers", layers, "--units", units, "--precision", precision]
    plain = ["--dropout", "0", "--weight-drop", "0", "--average", "0", "--weight-decay", "0"]
    size = ["--batch-size", batch, "--window", str(WINDOW), "--epochs", "1000000"]
    return training_rate(text, [*network, *plain, *size], COMMAND_BUDGET)


def bare(
    text: Path, cell: str, layers: str, units: str, precision: str, batch: str = str(BATCH)
) -> float:
    """The compiled steps on one batch, with nothing around them."""
    model, windows = learner(text, cell, layers, units, precision, batch=int(batch))
    count = 16 if int(units) >= LARGE_UNITS else 64  # in a block, as in a run
    inputs, targets = (np.repeat(each, count, 0) for each in windows.block(0, 0, 1))
    rates = np.full(count, 1e-3, np.float32)

    def work() -> int:
        model.learn(inputs, targets, rates)
        return count * int(batch) * WINDOW

    return steady(work)


def torch(text: Path, cell: str, layers: str, units: str, precision: str) -> float:
    """The usual loop."""
    import torch
    from models import make_config, make_torch

    config = make_config(cell, int(layers), int(units), text)
    recurrent, dense = (module.train() for module in make_torch(config))
    weights = [*recurrent.parameters(), *dense.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    streams = np.resize(read_ids(text), (BATCH, 4097)).T.astype(np.int64)
    ids = torch.from_numpy(np.ascontiguousarray(streams))
    state, at = None, 0

    def work() -> int:
        nonlocal state, at
        window = ids[at : at + WINDOW + 1]
        at = (at + WINDOW) % 4096
        x = torch.nn.functional.one_hot(window[:-1], config.vocabulary_size).float()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            outputs, after = recurrent(x, state)
            logits = dense(outputs).float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), window[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        state = tuple(s.detach() for s in after) if cell == "lstm" else after.detach()
        return BATCH * WINDOW

    return steady(work)


def keras(text: Path, cell: str, layers: str, units: str) -> float:
    """A `Sequential` of Keras' own layers under `fit`."""
    import keras
    import tensorflow as tf
    from models import make_config

    kinds = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN}
    config = make_config(cell, int(layers), int(units), text)
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(BATCH, WINDOW), dtype="int32"),
            keras.layers.Reshape((-1, 1)),
            keras.layers.CategoryEncoding(config.vocabulary_size, "one_hot"),
            *(
                kinds[cell](int(units), return_sequences=True, stateful=True)
                for _ in range(int(layers))
            ),
            keras.layers.Dense(config.vocabulary_size),
        ]
    )
    model.compile(
        keras.optimizers.Adam(1e-3, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    streams = np.resize(read_ids(text), (BATCH, WINDOW * 200 + 1)).astype(np.int32)

    def generate():
        for at in range(0, WINDOW * 200, WINDOW):
            yield streams[:, at : at + WINDOW], streams[:, at + 1 : at + WINDOW + 1]

    spec = tf.TensorSpec((BATCH, WINDOW), tf.int32)
    data = tf.data.Dataset.from_generator(generate, output_signature=(spec, spec)).repeat()
    ends: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            ends.append(time.perf_counter())
            if ends[-1] - ends[0] > SECONDS and len(ends) > 4:
                self.model.stop_training = True

    model.fit(data.prefetch(2), steps_per_epoch=10**9, callbacks=[Clock()], verbose=0)
    return (len(ends) - 3) * BATCH * WINDOW / (ends[-1] - ends[2])


def product(text: Path, precision: str) -> float:
    """Floating-point operations a second of a large product: what the machine can do."""
    import tensorflow as tf

    left, right = (tf.cast(tf.random.normal((2048, 2048)), precision) for _ in range(2))
    multiply = tf.function(lambda: tf.matmul(left, right)[:1, :1], autograph=False)

    def work() -> int:
        multiply().numpy()
        return 2 * 2048**3

    return steady(work)


def steady(work) -> float:
    """Units of work a second, after warming up."""
    for _ in range(3):
        work()
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < SECONDS:
        done += work()
    return done / elapsed


def weights(text: Path, cell: str, layers: str, units: str) -> int:
    """Weights that take part in a product; one-hot inputs are counted as such."""
    from models import make_config

    from chargen.checkpoint.architecture import parameter_count

    return parameter_count(make_config(cell, int(layers), int(units), text))


def read_ids(text: Path) -> np.ndarray:
    """A text as ids of its own characters."""
    characters = np.frombuffer(text.read_bytes().decode().encode("utf-32-le"), np.uint32)
    return np.unique(characters, return_inverse=True)[1].astype(np.uint8)


CONTENDERS = {
    "ours": ours,
    "bare": bare,
    "command": command,
    "shown": shown,
    "part": part,
    "torch": torch,
    "keras": keras,
    "product": product,
}

if __name__ == "__main__":
    sys.exit(main())
