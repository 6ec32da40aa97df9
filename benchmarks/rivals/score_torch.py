"""Score a text with PyTorch in float32, in 64 streams: `score_torch.py CELL LAYERS UNITS TEXT`."""

import sys
from pathlib import Path

import torch

STREAMS, WINDOW = 64, 64

cell, layers, units, path = sys.argv[1:]
text = Path(path).read_text(encoding="utf-8")
ids_of = {character: index for index, character in enumerate(sorted(set(text)))}
ids = torch.tensor([ids_of[character] for character in text])
size = len(ids_of)
modules = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
recurrent = modules[cell](size, int(units), int(layers)).eval()
dense = torch.nn.Linear(int(units), size).eval()
one_hot = torch.eye(size)
length = (len(ids) - 1) // STREAMS
inputs, targets = (ids[k : k + STREAMS * length].reshape(STREAMS, length).T for k in (0, 1))
state, nats, correct = None, 0.0, 0
with torch.inference_mode():
    for start in range(0, length, WINDOW):
        part = slice(start, start + WINDOW)
        output, state = recurrent(one_hot[inputs[part]], state)
        logits, wanted = dense(output).reshape(-1, size), targets[part].reshape(-1)
        nats += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
        correct += int((logits.argmax(dim=-1) == wanted).sum())
print(nats / targets.numel(), correct / targets.numel())
