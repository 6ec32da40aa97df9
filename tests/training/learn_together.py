"""Learn as one of several workers, and write down what came of it: python learn_together.py OUTPUT.

TF_CONFIG names the workers, MODEL holds the network as JSON, and PRECISION is the number format of
the products. Without TF_CONFIG there are as many shards as SHARDS says, on DEVICES devices.
"""

import json
import os
import sys
from typing import cast

import numpy as np

from chargen.config import ModelConfig, NumberFormat, TrainConfig
from chargen.training import runtime
from chargen.training.cluster import ALONE, Cluster

STEPS, BATCH, WINDOW = 100, 8, 6


def main(output: str) -> None:
    """Learn from the same random ids as every other worker."""
    cluster = Cluster.from_environment()
    devices = int(os.environ.get("DEVICES", 0))
    runtime.start(1)
    import tensorflow as tf

    if devices:
        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * devices
        )
    from chargen.models import factory, recurrent
    from chargen.training.team import Team

    if devices:
        # As on a machine with so many GPUs, with Keras' own layers and without XLA.
        names = [f"CPU:{index}" for index in range(devices)]
        factory.gpus = recurrent.gpus = lambda: names
    team = Team.joined(cluster) if cluster != ALONE else None
    model = ModelConfig.from_json(json.loads(os.environ["MODEL"]))
    training = TrainConfig(
        epochs=1, batch_size=BATCH, learning_rate=0.01, evaluate_every=1, random_seed=0,
        validation=0.0, shards=int(os.environ["SHARDS"]), optimizer="adam", average=0.9,
        precision=cast(NumberFormat, os.environ.get("PRECISION", "float32")),
        weight_drop=0.2 * (model.dropout > 0),
    )  # fmt: skip
    learner = factory.build_learner(model, training, team and team.workers)
    ids = np.random.default_rng(0).integers(0, 5, (STEPS, BATCH, WINDOW + 1)).astype(np.int32)
    ids = np.sort(ids)  # so that there is something to learn
    rates = np.full(STEPS, 0.01, np.float32)
    targets = ids[..., 1:] if model.predict == "all" else ids[..., -1]
    result = learner.learn(ids[..., :-1], targets, rates)
    placed = [state.value.device for states in learner.carried for state in states]
    weights = {f"weight{n}": array for n, array in enumerate(learner.weights_to_keep())}
    np.savez(output, losses=result.losses, norms=result.gradient_norms, placed=placed, **weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
