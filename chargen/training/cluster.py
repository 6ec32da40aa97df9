"""The processes that train a model together, as `TF_CONFIG` describes them, or started here.

`TF_CONFIG` is the convention of TensorFlow's users and of what starts their programs on clusters:
an environment variable with JSON that lists the address of each process, and says which of them
this one is. The first worker is the leader: it alone reads the text and writes the checkpoint.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from typing import IO, Any

from chargen.config import WORKERS
from chargen.errors import OptionError, TrainingError, reason_of, shortened
from chargen.network.threads import thread_count

__all__ = ["ALONE", "Cluster", "StartedWorker", "cluster_of", "start_workers"]

VARIABLE = "TF_CONFIG"
LEADERS = ("chief", "master")
"""What the job of the first worker may be called, if it has one of its own."""
WORKER = "worker"
SECONDS_TO_JOIN = 600
"""How long the leader waits for the others: a cluster may have to fetch an image for each first."""
SECONDS_TO_END = 5
"""How long a process that was started here may take to end after the run."""
POLL_SECONDS = 0.2
MOMENT = 2.0
"""Seconds that a process may take to end after its connections have."""


@dataclass(frozen=True)
class Cluster:
    """The processes that train together, and which of them this one is.

    Attributes:
        addresses: host and port of each, the leader first; empty if this process trains alone.
        index: the place of this one among them.
        is_local: whether all are processes of this machine that this one starts.
        threads: how many threads each of these computes with; None leaves that to each.
        started: those that were started.
    """

    addresses: tuple[str, ...] = ()
    index: int = 0
    is_local: bool = False
    threads: int | None = None
    started: tuple["StartedWorker", ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Cluster":
        """Read `TF_CONFIG`; without it, or if it lists this process alone, there is no cluster.

        Raises:
            OptionError: it is damaged, or this process is none that trains.
        """
        text = environment.get(VARIABLE, "")
        if not text.strip():
            return ALONE
        try:
            config = json.loads(text)
            jobs = {str(name): _addresses(jobs) for name, jobs in config.get("cluster", {}).items()}
            task = config.get("task", {})
            job, index = str(task.get("type", WORKER)), int(task.get("index", 0))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise OptionError(
                f"the environment variable {VARIABLE} cannot be read ({reason_of(error)}); it must "
                'be JSON such as {"cluster": {"worker": ["one:2222", "two:2222"]}, "task": '
                '{"type": "worker", "index": 0}}'
            ) from None
        training = [name for name in (*LEADERS, WORKER) if name in jobs]
        if not training:
            return ALONE
        if job not in training:
            raise OptionError(
                f"{VARIABLE} makes this process a {shortened(job)!r}, and only a chief and workers "
                "train here; start it on those alone"
            )
        if not 0 <= index < len(jobs[job]):
            raise OptionError(
                f"{VARIABLE} makes this process number {index} of job {job!r}, which has "
                f"{len(jobs[job])}; correct the index"
            )
        addresses = [address for name in training for address in jobs[name]]
        before = sum(len(jobs[name]) for name in training[: training.index(job)])
        return cls(tuple(addresses), before + index) if len(addresses) > 1 else ALONE

    @property
    def size(self) -> int:
        """How many processes train together."""
        return max(1, len(self.addresses))

    @property
    def is_led(self) -> bool:
        """Whether another process leads, and this one only computes."""
        return self.index > 0

    def name(self, index: int) -> str:
        """Return what messages call a worker."""
        return f"worker {index + 1} of {self.size} ({self.addresses[index]})"

    def loss(self, index: int) -> str:
        """Say that a worker has stopped, and how it ended if it was started here."""
        how = (worker.ending(MOMENT) for worker in self.started if worker.index == index)
        return f"{self.name(index)} {next(how, None) or 'has stopped'}"

    def configuration(self, index: int) -> str:
        """Return the `TF_CONFIG` of a worker."""
        task = {"type": WORKER, "index": index}
        return json.dumps({"cluster": {WORKER: list(self.addresses)}, "task": task})

    @contextmanager
    def described(self) -> Iterator[None]:
        """Have `TF_CONFIG` describe this cluster in the body, where TensorFlow reads it."""
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = self.configuration(self.index)
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            if before is not None:
                os.environ[VARIABLE] = before

    def wait_for_others(self) -> None:
        """Wait until every other worker listens at its address.

        TensorFlow would wait too, but could not be interrupted, and would not say for whom.

        Raises:
            TrainingError: one of them does not come.
        """
        until = time.monotonic() + SECONDS_TO_JOIN
        for index in range(1, self.size):
            host, _, port = self.addresses[index].rpartition(":")
            while not _listens(host.strip("[]"), int(port)):
                for worker in self.started:
                    if worker.ending():
                        raise TrainingError(self.loss(worker.index))
                if time.monotonic() > until:
                    raise TrainingError(
                        f"{self.name(index)} has not come within {SECONDS_TO_JOIN // 60} minutes; "
                        f"check that it was started, with the same {VARIABLE} but for the index"
                    )
                time.sleep(POLL_SECONDS)


ALONE = Cluster()
"""A process that trains without others."""


@dataclass(frozen=True)
class StartedWorker:
    """A worker that this process has started.

    Attributes:
        index: its place in the cluster.
        process: the process.
        errors: what it writes to standard error.
    """

    index: int
    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]

    def ending(self, patience: float = 0) -> str | None:
        """Return how it ended, or None if it still runs after `patience` seconds."""
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return None
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        said = f": {shortened(last)}" if last else ""
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return how + said


def cluster_of(workers: int | None) -> Cluster:
    """Return the cluster that was asked for: that of `TF_CONFIG`, or processes of this machine.

    Args:
        workers: how many processes of this machine, this one included; None for those of
            `TF_CONFIG`.

    Raises:
        OptionError: the number is out of range, or both are given, or `TF_CONFIG` is damaged.
    """
    cluster = Cluster.from_environment()
    count: int = WORKERS.check(workers) or 1
    if count == 1:
        return cluster
    if cluster != ALONE:
        raise OptionError(
            f"--workers starts processes on this machine, and {VARIABLE} names others; leave out "
            f"--workers, or unset {VARIABLE}"
        )
    addresses = tuple(f"127.0.0.1:{port}" for port in _free_ports(count))
    return Cluster(addresses, is_local=True)


@contextmanager
def start_workers(cluster: Cluster, threads: int | None) -> Iterator[Cluster]:
    """Start the other workers of a local cluster, and see to it that they end with the body.

    Args:
        cluster: the workers; those of a cluster that is not local are left alone.
        threads: how many each computes with; None divides the cores among them.
    """
    if not cluster.is_local:
        yield cluster
        return
    threads = threads or max(1, thread_count(None) // cluster.size)
    # -P: a folder in the working directory that is called chargen is not what is to be run.
    command = [sys.executable, "-P", "-m", "chargen", "train", "-", "--quiet"]
    command += ["--threads", str(threads)]
    started = []
    with ExitStack() as stack:
        for index in range(1, cluster.size):
            errors = stack.enter_context(TemporaryFile())
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=os.environ | {VARIABLE: cluster.configuration(index)},
            )
            stack.callback(process.wait)
            started.append(StartedWorker(index, process, errors))
        try:
            yield replace(cluster, threads=threads, started=tuple(started))
        finally:
            # They have been told to end, unless this one failed before it led them.
            until = time.monotonic() + SECONDS_TO_END
            for worker in started:
                if worker.ending(max(0, until - time.monotonic())) is None:
                    worker.process.kill()


def _addresses(job: Any) -> list[str]:
    """Return the addresses of a job, which is a list or a dictionary by index."""
    if isinstance(job, Mapping):
        job = [job[index] for index in sorted(job, key=int)]
    if not isinstance(job, Sequence) or isinstance(job, str):
        raise TypeError("a job must be a list of addresses")
    for address in job:
        host, _, port = str(address).rpartition(":")
        if not (host and port.isdecimal()):
            raise ValueError(f"{shortened(repr(address))} is not a host and a port")
    return [str(address) for address in job]


def _free_ports(count: int) -> list[int]:
    """Return ports of this machine that nothing listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True
