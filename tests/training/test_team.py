"""Workers that train together come to what one process does, and end together."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLOSE, COMMAND, HANG, ROOT, SMALL_RUN, as_options, run_process

from chargen.config import ModelConfig
from chargen.training.cluster import cluster_of
from chargen.training.state import progress

pytestmark = [pytest.mark.slow, pytest.mark.cpu]

LEARN_TOGETHER = Path(__file__).with_name("learn_together.py")
LONG_RUN = SMALL_RUN | {"dropout": 0, "batch_size": 16, "epochs": 100_000, "save_every": 1}
"""Of a run that goes on until it is stopped; with dropout, each number of shards drops others."""
STEPS_OF_AN_EPOCH = 28
"""Of the 3,600 characters that are learned from: 16 streams in windows of 8."""
ENDING_SECONDS = 30
"""How soon the others must have ended when a worker is lost."""


def network(**options: Any) -> ModelConfig:
    return ModelConfig(vocabulary_size=5, units=8, window=6, **options)


OF_TWO = network(cell="lstm", layers=2, dropout=0.2)
"""What two workers, hosts and devices learn, each of them beside the same single process."""


def learned(
    folder: Path, model: ModelConfig, shards: int, prefixes: Sequence[Sequence[str]] = ((),),
    addresses: Sequence[str] = (), **environment: str,
) -> list[Any]:  # fmt: skip
    """What processes have come to that learn together, or one alone; each runs behind a prefix."""
    variables = os.environ | environment | {
        "MODEL": json.dumps(model.to_json()), "SHARDS": str(shards), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    with ExitStack() as stack:
        processes, files = [], []
        for index, prefix in enumerate(prefixes):
            files.append(folder / f"{model.cell}-{len(prefixes)}-{index}.npz")
            if addresses:
                task = {"type": "worker", "index": index}
                config = {"cluster": {"worker": list(addresses)}, "task": task}
                variables["TF_CONFIG"] = json.dumps(config)
            command = [*prefix, sys.executable, str(LEARN_TOGETHER), str(files[-1])]
            process = stack.enter_context(
                subprocess.Popen(command, env=variables, stderr=subprocess.PIPE)
            )
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            _, errors = process.communicate(timeout=HANG)
            assert process.returncode == 0, errors.decode()
    return [dict(np.load(file)) for file in files]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelConfig, int], Any]:
    """Returns what one process comes to with a number of shards, which it computes once."""

    @cache
    def of(model: ModelConfig, shards: int) -> Any:
        return learned(tmp_path_factory.mktemp("alone"), model, shards)[0]

    return of


@pytest.mark.parametrize(
    ("count", "model"), [(2, OF_TWO), (4, network(cell="gru", predict="last"))], ids=["two", "four"]
)
def test_workers_learn_what_one_process_does_and_all_the_same(
    tmp_path: Path, count: int, model: ModelConfig, alone: Callable[[ModelConfig, int], Any]
):
    addresses = cluster_of(count).addresses
    together = learned(tmp_path, model, count, [()] * count, addresses)
    one = alone(model, count)
    assert one["losses"][-1] < one["losses"][0] - 0.1
    for worker in together:
        assert np.allclose(worker["losses"], one["losses"], atol=1e-4)
        assert np.allclose(worker["norms"], one["norms"], atol=1e-4)
        for name in one:
            if name.startswith("weight"):
                assert (worker[name] == together[0][name]).all()
                assert np.allclose(worker[name], one[name], atol=1e-3)


def test_workers_exchange_gradients_in_the_number_format_of_the_products(tmp_path: Path):
    addresses = cluster_of(2).addresses
    together = learned(tmp_path, OF_TWO, 2, [()] * 2, addresses, PRECISION="bfloat16")
    (one,) = learned(tmp_path, OF_TWO, 2, PRECISION="bfloat16")
    for worker in together:
        assert all((worker[n] == together[0][n]).all() for n in one if n.startswith("weight"))
        assert worker["losses"][0] == pytest.approx(one["losses"][0], rel=1e-6)
        # The first loss is the same, but the gradient is not: it was rounded to 8 bits of mantissa.
        off = worker["norms"][0] / one["norms"][0] - 1
        assert 1e-6 < abs(off) < 2**-8
        assert np.allclose(worker["losses"], one["losses"], atol=3e-3)


def test_each_device_of_a_machine_computes_a_shard(
    tmp_path: Path, alone: Callable[[ModelConfig, int], Any]
):
    (two,) = learned(tmp_path, OF_TWO, 2, DEVICES="2")
    assert np.allclose(two["losses"], alone(OF_TWO, 2)["losses"], atol=1e-4)
    places = [str(place).rpartition("/")[2] for place in two["placed"]]
    of_a_shard = 2 * OF_TWO.layers  # the state of an LSTM is h and c
    assert places == ["device:CPU:0"] * of_a_shard + ["device:CPU:1"] * of_a_shard


@contextmanager
def network_namespaces() -> Iterator[tuple[list[list[str]], list[str]]]:
    """Two hosts with a cable between them: what runs a command in each, and their addresses."""
    names = [f"chargen-{os.getpid()}-{index}" for index in range(2)]
    addresses = ["10.213.7.1", "10.213.7.2"]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    with ExitStack() as stack:
        try:
            for name in names:
                ip("netns", "add", name)
                stack.callback(ip, "netns", "delete", name)
            ip("link", "add", "end0", "netns", names[0], "type", "veth",
               "peer", "end1", "netns", names[1])  # fmt: skip
            for index, (name, address) in enumerate(zip(names, addresses, strict=True)):
                ip("-n", name, "address", "add", f"{address}/24", "dev", f"end{index}")
                ip("-n", name, "link", "set", f"end{index}", "up")
                ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error).encode()
            pytest.skip(f"no network namespaces can be made here: {said.decode().strip()}")
        prefixes = [["ip", "netns", "exec", name] for name in names]
        yield prefixes, [f"{address}:2222" for address in addresses]


def test_workers_of_two_hosts_learn_what_one_process_does(
    tmp_path: Path, alone: Callable[[ModelConfig, int], Any]
):
    with network_namespaces() as (prefixes, addresses):
        together = learned(tmp_path, OF_TWO, 2, prefixes, addresses)
    for worker in together:
        assert np.allclose(worker["losses"], alone(OF_TWO, 2)["losses"], atol=1e-4)


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def steps_saved(folder: Path) -> int:
    """How many steps the saved state of a run has taken; none if there is no such state."""
    return progress(folder).step if (folder / "resume.safetensors").exists() else 0


@contextmanager
def training(folder: Path, text: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A run of two workers that was saved: the process that leads, and the other's number."""
    command = [*COMMAND, "train", str(text), "-o", "run", "--workers", "2", "-q"]
    with ExitStack() as stack:
        leader = stack.enter_context(
            subprocess.Popen(
                command + as_options(LONG_RUN),
                cwd=folder,
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
        )
        stack.callback(leader.kill)
        until = time.monotonic() + HANG
        while not steps_saved(folder / "run"):
            assert leader.poll() is None, leader.stderr and leader.stderr.read().decode()
            assert time.monotonic() < until
            time.sleep(0.1)
        (other,) = children(leader.pid)
        yield leader, other


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    if not listed.exists():
        pytest.skip("this system does not list the children of a process in /proc")
    return [int(word) for word in listed.read_text().split()]


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(process: int) -> None:
    until = time.monotonic() + ENDING_SECONDS
    while is_running(process):
        assert time.monotonic() < until, "a worker outlives the others"
        time.sleep(0.1)


def test_a_worker_that_dies_ends_the_run_which_then_resumes_with_any_number(
    fables: Path, tmp_path: Path
):
    with training(tmp_path, fables) as (leader, other):
        os.kill(other, signal.SIGKILL)
        _, errors = leader.communicate(timeout=ENDING_SECONDS)
    assert leader.returncode == 1
    (line,) = errors.decode().splitlines()
    assert line.startswith("chargen: error: worker 2 of 2 (127.0.0.1:")
    assert "was ended by signal 9; train again with --resume, from what was saved last" in line
    steps = steps_saved(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    for folder, workers in (("run", "1"), ("again", "4")):
        result = run_process(
            tmp_path, "train", "--resume", "-o", folder, "--workers", workers, "--threads", "1",
            "--epochs", str(steps // STEPS_OF_AN_EPOCH + 2),
        )  # fmt: skip
        assert result.returncode == 0, result.stderr.decode()
    (one,), (four,) = (history(tmp_path / folder) for folder in ("run", "again"))
    assert one["step"] == four["step"] > steps
    for name in ("train_nats", "validation_nats"):
        assert one[name] == pytest.approx(four[name], **CLOSE)


def test_the_others_end_if_the_one_that_leads_dies(fables: Path, tmp_path: Path):
    with training(tmp_path, fables) as (leader, other):
        leader.kill()
        wait_for(other)


def test_a_signal_to_one_worker_saves_the_run_and_ends_all(fables: Path, tmp_path: Path):
    with training(tmp_path, fables) as (leader, other):
        os.kill(other, signal.SIGTERM)
        leader.communicate(timeout=HANG)
        wait_for(other)
    assert leader.returncode == 130
    assert steps_saved(tmp_path / "run")


def test_an_address_that_is_taken_is_refused(fables: Path, tmp_path: Path):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (taken, other)]
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
        result = run_process(
            tmp_path, "train", fables, *as_options(SMALL_RUN), TF_CONFIG=json.dumps(config)
        )
    assert result.returncode == 1
    assert "cannot join the others" in result.stderr.decode()
    assert not (tmp_path / "checkpoints").exists()
