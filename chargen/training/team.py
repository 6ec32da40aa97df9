"""A learner whose shards several workers compute: the first leads, and the others follow.

The leader runs the loop of `chargen.training.loop` with a `Leader` in the place of a `Learner`, and
makes all decisions: it reads the text, evaluates, saves and stops. Before everything that all have
to do it gives an order. The others run `follow`, which carries out orders, and know neither the
text nor the checkpoint. So whatever the leader decides by its own clock, all do the same.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from chargen.config import ModelConfig, TrainConfig
from chargen.errors import TrainingError, reason_of
from chargen.models.factory import build_learner
from chargen.models.learner import BlockResult, Floats, Int32Ids, Learner
from chargen.models.workers import Workers
from chargen.training.cluster import Cluster
from chargen.training.interruption import Interruption

__all__ = ["Ending", "Leader", "Order", "Team", "follow"]

TASK = re.compile(r"/task:(\d+)")
"""How TensorFlow names a worker in an error."""
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
"""What TensorFlow raises when another worker has gone."""


class Order(IntEnum):
    """What the leader has all workers do."""

    BUILD = 0
    """Build a learner from the configuration that follows, whose size comes with the order."""
    SHARE = 1
    """Take over the leader's variables, which follow."""
    LEARN = 2
    """Learn from the block that follows, whose steps and rows come with the order."""
    RESET = 3
    """Set the recurrent states to zero."""
    COLLECT = 4
    """Give the leader the recurrent states of one's own shards."""
    STOP = 5
    """End; an `Ending` comes with the order."""


class Ending(IntEnum):
    """How a run ends for those who follow."""

    OVER = 0
    INTERRUPTED = 1
    FAILED = 2


@dataclass(frozen=True)
class Team:
    """The workers of a run and what passes between them; all call its methods in the same order.

    Attributes:
        workers: the workers, connected.
        cluster: their names, for messages.
        connection: what keeps them connected as long as it lives.
    """

    workers: Workers
    cluster: Cluster
    connection: object

    @classmethod
    def joined(cls, cluster: Cluster) -> Self:
        """Connect TensorFlow, which has been started, with that of the other workers.

        Raises:
            TrainingError: the others do not come, or this process cannot listen at its address.
        """
        if not cluster.is_led:
            cluster.wait_for_others()
        # The collective runtime is all that is used of it: under Keras 3 it distributes nothing.
        with cluster.described():
            try:
                connection = tf.distribute.MultiWorkerMirroredStrategy()
            except (tf.errors.OpError, ValueError, RuntimeError) as error:
                raise TrainingError(
                    f"{cluster.name(cluster.index)} cannot join the others ({reason_of(error)}); "
                    "check that all were started with the same list of addresses, and that "
                    "nothing else listens at its own"
                ) from None
        return cls(Workers(cluster.index, cluster.size), cluster, connection)

    def give(self, order: Order, first: int = 0, second: int = 0) -> bool:
        """Give an order with two numbers; return whether a worker asks for the end of the run."""
        return self._exchanged([order, first, second, 0])[3] > 0

    def take(self, *, asking: bool = False) -> tuple[Order, int, int]:
        """Wait for an order; return it with its numbers.

        Args:
            asking: whether this worker asks for the end of the run.
        """
        order, first, second, _ = self._exchanged([0, 0, 0, int(asking)])
        return Order(order), first, second

    def pass_on(self, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
        """Return arrays as one worker has them, while the others give zeros in their place.

        Raises:
            TrainingError: another worker has stopped.
        """
        with self.noticing():
            return self.workers.sum_bits(arrays)

    def _exchanged(self, numbers: Sequence[int]) -> list[int]:
        (found,) = self.pass_on(np.array(numbers, np.int32))
        return [int(number) for number in found]

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """Say which worker has stopped, where TensorFlow notices in the body that one has.

        Raises:
            TrainingError: one has.
        """
        try:
            yield
        except LOST as error:
            others = {int(task) for task in TASK.findall(str(error))} - {self.cluster.index}
            lost = " and ".join(map(self.cluster.loss, sorted(others)))
            raise TrainingError(
                f"{lost or 'another worker has stopped'}; train again with --resume, from what was "
                "saved last"
            ) from error


class Leader:
    """A learner that other workers share; it is used as a `Learner` is.

    Args:
        model: the architecture.
        training: how to train it.
        team: the workers, of which this is the first.

    Attributes:
        is_asked_to_end: whether another worker has been asked to end, so that the run should.
    """

    def __init__(self, model: ModelConfig, training: TrainConfig, team: Team) -> None:
        self._learner = build_learner(model, training, team.workers)
        self._team = team
        self._shared = False
        self.is_asked_to_end = False
        text = json.dumps({"model": model.to_json(), "training": training.to_json()})
        described = np.frombuffer(text.encode("utf-32-le"), np.int32)
        self._give(Order.BUILD, len(described))
        team.pass_on(described)

    @property
    def shards(self) -> int:
        """How many shards a batch is divided into, among all workers."""
        return self._learner.shards

    @property
    def variables(self) -> dict[str, Any]:
        """All variables that learning changes, to be read; see `Learner.variables`."""
        if self._shared:
            self._give(Order.COLLECT)
            _collect(self._learner, self._team)
        return self._learner.variables

    def set_variables(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Replace all variables, as `Learner.set_variables` does."""
        self._learner.set_variables(arrays)
        self._shared = False

    def weights_to_keep(self) -> list[Floats]:
        """Return what `Learner.weights_to_keep` does."""
        return self._learner.weights_to_keep()

    def assign(self, weights: Sequence[Floats]) -> None:
        """Replace the weights, as `Learner.assign` does; the others get them before they learn."""
        self._learner.assign(weights)
        self._shared = False

    def begin_again(self, weights: Sequence[Floats]) -> None:
        """Replace the weights and forget the rest, as `Learner.begin_again` does."""
        self._learner.begin_again(weights)
        self._shared = False

    def reset_states(self) -> None:
        """Set all recurrent states to zero."""
        if self._shared:
            self._give(Order.RESET)
        self._learner.reset_states()

    def learn(self, inputs: Int32Ids, targets: Int32Ids, rates: Floats) -> BlockResult:
        """Learn from K batches together with the others; see `Learner.learn`.

        Raises:
            TrainingError: another worker has stopped.
        """
        if not self._shared:
            self._give(Order.SHARE)
            _share(self._learner, self._team, gives=True)
            self._shared = True
        steps, rows, _ = inputs.shape
        self._give(Order.LEARN, steps, rows)
        self._team.pass_on(inputs, targets, rates)
        with self._team.noticing():
            return self._learner.learn(inputs, targets, rates)

    def stop(self, ending: Ending) -> None:
        """Have the others end.

        Raises:
            TrainingError: another worker has stopped.
        """
        self._give(Order.STOP, ending)

    def _give(self, order: Order, first: int = 0, second: int = 0) -> None:
        if self._team.give(order, first, second):
            self.is_asked_to_end = True


def follow(team: Team) -> None:
    """Carry out the orders of the leader until the run is over.

    Args:
        team: the workers, of which this is not the first.

    Raises:
        KeyboardInterrupt: the run was interrupted, here or elsewhere; the leader has saved it.
        TrainingError: another worker has stopped, or the run has failed.
    """
    interruption = Interruption()
    with interruption.watching():
        _, size, _ = team.take()  # the order to build
        model, training = _described(*team.pass_on(np.zeros(size, np.int32)))
        learner = build_learner(model, training, team.workers)
        places = (model.window,) if model.predict == "all" else ()
        order, first, second = team.take()
        while order != Order.STOP:
            match order:
                case Order.SHARE:
                    _share(learner, team, gives=False)
                case Order.LEARN:
                    inputs, targets, rates = team.pass_on(
                        np.zeros((first, second, model.window), np.int32),
                        np.zeros((first, second, *places), np.int32),
                        np.zeros(first, np.float32),
                    )
                    with team.noticing():
                        learner.learn(inputs, targets, rates)
                case Order.RESET:
                    learner.reset_states()
                case Order.COLLECT:
                    _collect(learner, team)
            order, first, second = team.take(asking=interruption.signal is not None)
    if first == Ending.INTERRUPTED:
        raise KeyboardInterrupt
    if first == Ending.FAILED:
        raise TrainingError(f"the run has failed; see what {team.cluster.name(0)} says of that")


def _described(text: NDArray[np.int32]) -> tuple[ModelConfig, TrainConfig]:
    """Return the configuration that the leader has passed on."""
    config = json.loads(text.tobytes().decode("utf-32-le"))
    return ModelConfig.from_json(config["model"]), TrainConfig.from_json(config["training"])


def _share(learner: Learner, team: Team, *, gives: bool) -> None:
    """Make all variables of all workers those of the leader."""
    variables = list(learner.variables.values())
    arrays = [np.atleast_1d(variable.numpy()) for variable in variables]
    if not gives:
        arrays = [np.zeros_like(array) for array in arrays]
    for variable, array in zip(variables, team.pass_on(*arrays), strict=True):
        variable.assign(array.reshape(variable.shape))


def _collect(learner: Learner, team: Team) -> None:
    """Make the recurrent states of each shard those of the worker that computes it."""
    states = [
        (state, index in learner.own_shards)
        for index, carried in enumerate(learner.carried)
        for state in carried
    ]
    if not states:
        return
    arrays = [s.numpy() if own else np.zeros(s.shape, np.float32) for s, own in states]
    for (state, _), array in zip(states, team.pass_on(*arrays), strict=True):
        state.assign(array)
