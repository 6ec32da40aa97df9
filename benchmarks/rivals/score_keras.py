"""Score a text with Keras' `evaluate`, windows of 64: `score_keras.py MODEL TEXT`."""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

WINDOW = 64

model = keras.saving.load_model(sys.argv[1], compile=False)
text = Path(sys.argv[2]).read_text(encoding="utf-8")
ids_of = {character: index for index, character in enumerate(sorted(set(text)))}
ids = np.array([ids_of[character] for character in text])
count = (len(ids) - 1) // WINDOW
inputs, targets = (ids[k : k + count * WINDOW].reshape(count, WINDOW) for k in (0, 1))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(loss=loss, metrics=["accuracy"])
print(model.evaluate(inputs, targets, batch_size=64, verbose=0))
