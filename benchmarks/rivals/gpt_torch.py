"""A small GPT of characters, trained with PyTorch for a time and scored on the held-out text.

    python benchmarks/rivals/gpt_torch.py TEXT [--budget 74s] [--random-seed 1]

Its size and training are those that nanoGPT recommends for a CPU, but for two things: the learning
rate falls over the time instead of a number of steps, and the weights of the best evaluation are
kept, as a small text is soon memorised. What is held out is what chargen holds out.

The budget counts from the start of the process and contains reading the text and the evaluations.
It does not contain the final score, which is generous: chargen's own budget has it all. That score
is the mean over all held-out characters, each predicted from the 33 to 64 characters before it, or
all there are at the very beginning. It is computed in float32. As chargen multiplies its logits by
the number that suits the held-out text best, from the same range, so does the score.

Prints JSON: the score in nats per character, the same of the logits as they were learned, the
steps, the characters learned from (repeated ones included), and the seconds until training ended.
"""

import json
import math
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import LayerNorm, Linear, Module, ModuleList, Parameter
from torch.nn import functional as F  # noqa: N812, its usual name

from chargen.data.corpus import read_corpus
from chargen.scoring.calibration import LEAST, MOST
from chargen.training.defaults import SMALLEST_SPLIT

LAYERS, HEADS, WIDTH, CONTEXT, BATCH = 4, 4, 128, 64, 12
HIGHEST_RATE, LOWEST_RATE, WARM_UP_STEPS = 1e-3, 1e-4, 100
BETAS, WEIGHT_DECAY, CLIP_NORM = (0.9, 0.99), 0.1, 1.0
INITIAL_DEVIATION = 0.02

STRIDE = CONTEXT // 2
"""From one window of the final score to the next."""
SCORED_BATCH = 64
FACTORS = tuple(np.linspace(LEAST, MOST, 26).tolist())  # every 0.05, 1 among them
"""What the logits are multiplied by in the final score, of which the best counts."""
EVALUATIONS, EVALUATED = 20, 20_000
"""The evaluations of a run, and the most held-out characters that each reads."""
TRAINING_PER_EVALUATION = 14
"""The least time of training for that of an evaluation, so evaluations take at most a fifteenth."""
RESERVED_SECONDS, RESERVED_EVALUATIONS = 0.2, 1.5
"""The time kept for the step under way, and for the last evaluation in that of the one before."""
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}


class Block(Module):
    """Attention, then a perceptron; each adds to what it reads in normalised form."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(WIDTH, bias=False)
        self.attention_in = Linear(WIDTH, 3 * WIDTH, bias=False)
        self.attention_out = Linear(WIDTH, WIDTH, bias=False)
        self.perceptron_norm = LayerNorm(WIDTH, bias=False)
        self.perceptron_in = Linear(WIDTH, 4 * WIDTH, bias=False)
        self.perceptron_out = Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, time, width) to the same shape."""
        projected = self.attention_in(self.attention_norm(x)).unflatten(-1, (3, HEADS, -1))
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)  # (batch, head, time, width)
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self.attention_out(mixed.transpose(1, 2).flatten(2))
        added: Tensor = self.perceptron_out(F.gelu(self.perceptron_in(self.perceptron_norm(x))))
        return x + added


class Gpt(Module):
    """A GPT over ids, for windows of exactly `CONTEXT`; one matrix embeds ids and predicts them."""

    def __init__(self, vocabulary_size: int, rng: torch.Generator) -> None:
        super().__init__()
        self.characters = Parameter(torch.empty(vocabulary_size, WIDTH))
        self.positions = Parameter(torch.empty(CONTEXT, WIDTH))
        self.blocks = ModuleList(Block() for _ in range(LAYERS))
        self.norm = LayerNorm(WIDTH, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                # Two in each layer add to the same sum, whose variance is not to grow with them.
                factor = 1 / math.sqrt(2 * LAYERS) if name.endswith("_out.weight") else 1
                torch.nn.init.normal_(weight, std=factor * INITIAL_DEVIATION, generator=rng)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits, (batch, time, vocabulary), for ids, (batch, time)."""
        x = F.embedding(ids, self.characters) + self.positions
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.characters)


def main() -> None:
    """Train, score and print."""
    options = parse_options()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rng = torch.Generator().manual_seed(options.random_seed)
    corpus = read_corpus([str(options.text)])
    if len(corpus.ids) < SMALLEST_SPLIT:
        sys.exit(f"{options.text} has {len(corpus.ids):,} characters, of which none is held out")
    learned, _ = corpus.split(options.validation)
    ids, cut = torch.from_numpy(corpus.ids.astype(np.int64)), len(learned)
    held_out = ids[cut - 1 :]  # and the character before, from which the first one is predicted
    model = Gpt(len(corpus.vocabulary), rng)
    steps = train(model, ids[:cut], held_out[: EVALUATED + 1], options, rng)
    seconds = process_seconds()
    nats = score(model, held_out, STRIDE, low=False, factors=FACTORS)
    result = {
        "nats": min(nats),
        "nats as learned": nats[FACTORS.index(1.0)],
        "steps": steps,
        "characters": steps * BATCH * CONTEXT,
        "seconds": round(seconds, 2),
    }
    print(json.dumps(result))


def parse_options() -> Namespace:
    """Read the command line."""
    description, *_ = (__doc__ or "").splitlines()
    parser = ArgumentParser(description=description)
    parser.add_argument("text", type=Path, help=f"UTF-8, at least {SMALLEST_SPLIT:,} characters")
    parser.add_argument("--budget", type=duration, default="74s", help="such as 74s, 10m or 1h")
    parser.add_argument("--random-seed", type=int, default=1)
    parser.add_argument("--validation", type=float, default=0.1, help="the share to hold out")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler")
    return parser.parse_args()


def duration(value: str) -> float:
    """Read a duration as seconds."""
    if value[-1:] not in UNIT_SECONDS:
        raise ValueError(value)
    return float(value[:-1]) * UNIT_SECONDS[value[-1]]


def process_seconds() -> float:
    """How long this process has been running, by the kernel's clock."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def train(
    model: Gpt, ids: Tensor, evaluated: Tensor, options: Namespace, rng: torch.Generator
) -> int:
    """Train until the budget ends, leave the best weights in the model and return the steps."""
    budget, low = options.budget, options.precision == "bfloat16"
    learner: Module = torch.compile(model) if options.compile else model  # type: ignore[assignment]
    groups = [
        {"params": [w for w in model.parameters() if w.dim() > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [w for w in model.parameters() if w.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=HIGHEST_RATE, betas=BETAS, fused=True)
    steps, best_nats, best_weights = 0, math.inf, model.state_dict()
    next_evaluation, evaluation_seconds = process_seconds() + budget / EVALUATIONS, 0.0
    while True:
        now = process_seconds()
        reserved = RESERVED_SECONDS + RESERVED_EVALUATIONS * evaluation_seconds
        ended = now + reserved >= budget
        if ended or now >= next_evaluation:
            (nats,) = score(model, evaluated, CONTEXT, low)
            if nats < best_nats:
                best_nats = nats
                best_weights = {name: w.clone() for name, w in model.state_dict().items()}
            evaluation_seconds = process_seconds() - now
            pause = TRAINING_PER_EVALUATION * evaluation_seconds
            next_evaluation = now + max(budget / EVALUATIONS, pause)
        if ended:
            model.load_state_dict(best_weights)
            return steps
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(steps, now / budget)
        starts = torch.randint(len(ids) - CONTEXT, (BATCH,), generator=rng)
        optimizer.zero_grad()
        torch.autograd.backward(losses(learner, ids, starts, low).mean())
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        steps += 1


def learning_rate(steps: int, elapsed: float) -> float:
    """Return the rate after so many steps and so large a share of the budget."""
    cosine = (1 + math.cos(math.pi * elapsed)) / 2
    warmth = min(1, (steps + 1) / WARM_UP_STEPS)
    return warmth * (LOWEST_RATE + (HIGHEST_RATE - LOWEST_RATE) * cosine)


@torch.inference_mode()
def score(
    model: Module, ids: Tensor, stride: int, low: bool, factors: Sequence[float] = (1.0,)
) -> list[float]:
    """Return the mean nats of all ids but the first, by windows that begin every `stride` ids.

    A window counts only for what the windows before it did not reach. There is one figure for each
    of the factors that logits are multiplied by.
    """
    last = len(ids) - 1 - CONTEXT
    starts = torch.tensor([*range(0, last, stride), last])
    new = starts.diff(prepend=torch.tensor([-CONTEXT]))
    totals = [0.0] * len(factors)
    for start in range(0, len(starts), SCORED_BATCH):
        batch = slice(start, start + SCORED_BATCH)
        is_new = torch.arange(CONTEXT) >= CONTEXT - new[batch, None]
        logits, targets = predictions(model, ids, starts[batch], low)
        logits, targets = logits[is_new], targets[is_new]
        for index, factor in enumerate(factors):
            totals[index] += F.cross_entropy(factor * logits, targets, reduction="sum").item()
    return [total / (len(ids) - 1) for total in totals]


def losses(model: Module, ids: Tensor, starts: Tensor, low: bool) -> Tensor:
    """Return the nats of each prediction, (batch, time), in windows that begin at `starts`."""
    logits, targets = predictions(model, ids, starts, low)
    return F.cross_entropy(logits.mT, targets, reduction="none")


def predictions(model: Module, ids: Tensor, starts: Tensor, low: bool) -> tuple[Tensor, Tensor]:
    """Return logits (batch, time, vocabulary) in such windows, and the ids that they are about."""
    windows = ids[starts[:, None] + torch.arange(CONTEXT + 1)]
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        logits = model(windows[:, :-1])
    return logits.float(), windows[:, 1:]


if __name__ == "__main__":
    main()
