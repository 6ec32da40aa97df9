"""Workers are found in TF_CONFIG, or started on this machine."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from chargen.config import ModelConfig
from chargen.errors import OptionError, TrainingError
from chargen.training.cluster import ALONE, Cluster, StartedWorker, cluster_of, start_workers
from chargen.training.machine import Machine

TWO = {"worker": ["one:2222", "two:2223"]}


def environment(cluster: Any, kind: str = "worker", index: Any = 0) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


@pytest.mark.parametrize(
    ("cluster", "task", "addresses", "index"),
    [
        (TWO, ("worker", 0), ("one:2222", "two:2223"), 0),
        (TWO, ("worker", 1), ("one:2222", "two:2223"), 1),
        (TWO, ("worker", "1"), ("one:2222", "two:2223"), 1),
        # The chief leads, wherever it is named, and servers and evaluators take no part.
        (
            TWO | {"ps": ["four:1"], "chief": ["zero:2221"]},
            ("worker", 1),
            ("zero:2221", "one:2222", "two:2223"),
            2,
        ),
        ({"chief": ["zero:1"], "worker": ["one:2"]}, ("chief", 0), ("zero:1", "one:2"), 0),
        ({"worker": {"1": "two:2", "0": "one:1"}}, ("worker", 1), ("one:1", "two:2"), 1),
        ({"worker": ["[::1]:2222", "[::2]:2222"]}, ("worker", 0), ("[::1]:2222", "[::2]:2222"), 0),
    ],
)
def test_the_environment_names_the_workers_and_which_of_them_this_is(
    cluster: Any, task: tuple[str, Any], addresses: tuple[str, ...], index: int
):
    found = Cluster.from_environment(environment(cluster, *task))
    assert (found.addresses, found.index) == (addresses, index)
    assert found.is_led == (index > 0)
    # A worker that is described once more is the same.
    again = Cluster.from_environment({"TF_CONFIG": found.configuration(index)})
    assert again == found


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"TF_CONFIG": ""},
        {"TF_CONFIG": "{}"},
        environment({"worker": ["one:2222"]}),
        environment({"chief": ["one:2222"], "ps": ["two:2222"]}, "chief"),
    ],
)
def test_a_process_that_is_named_alone_or_not_at_all_trains_alone(variables: dict[str, str]):
    assert Cluster.from_environment(variables) == ALONE
    assert ALONE.size == 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TF_CONFIG": "{"}, "cannot be read"),
        ({"TF_CONFIG": "[1]"}, "cannot be read"),
        (environment({"worker": "one:2222"}), "must be a list of addresses"),
        (environment({"worker": ["one"]}), "'one' is not a host and a port"),
        (environment(TWO, index="second"), "cannot be read"),
        (environment(TWO, index=2), "number 2 of job 'worker', which has 2"),
        (environment(TWO, index=-1), "number -1"),
        (environment(TWO | {"ps": ["three:1"]}, "ps"), "makes this process a 'ps'"),
        (environment(TWO, "evaluator"), "makes this process a 'evaluator'"),
    ],
)
def test_a_wrong_environment_is_refused_with_what_is_wrong(variables: dict[str, str], message: str):
    with pytest.raises(OptionError, match=message):
        Cluster.from_environment(variables)


def test_workers_of_this_machine_are_asked_for_by_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster_of(None) == cluster_of(1) == ALONE
    three = cluster_of(3)
    assert three.is_local
    assert len(set(three.addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in three.addresses)
    for wrong in (0, -1, 257, 1.5, True, "2"):
        with pytest.raises(OptionError, match="workers must be a whole number from 1 to 256"):
            cluster_of(wrong)  # type: ignore[arg-type]
    monkeypatch.setenv("TF_CONFIG", environment(TWO)["TF_CONFIG"])
    assert cluster_of(None).addresses == ("one:2222", "two:2223")
    with pytest.raises(OptionError, match="TF_CONFIG names others"):
        cluster_of(2)


def test_the_environment_is_as_it_was_after_tensorflow_has_read_it(
    monkeypatch: pytest.MonkeyPatch,
):
    cluster = Cluster(("one:1", "two:2"))
    for before in (None, "{}"):
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if before:
            monkeypatch.setenv("TF_CONFIG", before)
        with cluster.described():
            assert json.loads(os.environ["TF_CONFIG"])["cluster"] == {"worker": ["one:1", "two:2"]}
        assert os.environ.get("TF_CONFIG") == before


@pytest.mark.parametrize(
    ("threads", "batch_size", "workers", "shards"),
    [(1, 64, 2, 2), (2, 64, 4, 8), (1, 64, 3, 2), (2, 4, 4, 4), (4, 16, 2, 2)],
)
def test_each_worker_has_shards(threads: int, batch_size: int, workers: int, shards: int):
    model = ModelConfig(vocabulary_size=5, units=4, window=8)
    machine = Machine(threads, workers=workers)
    if shards < workers:
        with pytest.raises(TrainingError, match="a multiple of 3, or fewer workers"):
            machine.shards(model, batch_size)
    else:
        assert machine.shards(model, batch_size) == shards


def test_each_gpu_has_a_shard():
    model = ModelConfig(vocabulary_size=5, units=4, window=8)
    assert Machine(8, gpus=4).shards(model, 64) == 4
    assert Machine(8, gpus=4).shards(model, 6) == 3
    assert Machine(8, gpus=2, workers=2).shards(model, 64) == 4


def test_workers_that_were_started_end_with_what_they_were_started_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chargen").mkdir()  # a folder of that name is not what they run
    with start_workers(Cluster(("127.0.0.1:1", "127.0.0.1:2"), is_local=True), None) as cluster:
        (worker,) = cluster.started
        assert worker.index == 1
        assert cluster.threads == max(1, len(os.sched_getaffinity(0)) // 2)
        worker.process.terminate()
        worker.process.wait()
        assert "was ended by signal 15" in cluster.loss(1)
    assert worker.process.returncode


def test_a_worker_that_does_not_start_is_named_with_what_it_says():
    program = "import sys; sys.exit('\\nno room left\\n')"
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([sys.executable, "-c", program], stderr=errors)
        process.wait()
        worker = StartedWorker(1, process, errors)
        cluster = Cluster(("127.0.0.1:1", "127.0.0.1:2"), started=(worker,))
        with pytest.raises(TrainingError, match="ended with status 1: no room left"):
            cluster.wait_for_others()
