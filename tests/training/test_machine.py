"""Shards, precision and throughput follow from the machine."""

from pathlib import Path

import pytest

from chargen.config import ModelConfig
from chargen.errors import OptionError
from chargen.training.machine import (
    CPUINFO,
    Machine,
    bfloat16_feature,
    features,
    this_machine,
    training_throughput,
)
from chargen.training.runtime import multiplies_bfloat16

ALL = ModelConfig(vocabulary_size=5, units=8, window=6)
LAST = ModelConfig(vocabulary_size=5, units=8, window=6, predict="last")
X86 = """processor\t: 0
model name\t: A Processor: 2.60GHz
flags\t\t: fpu sse2 avx512_bf16 amx_bf16

processor\t: 1
flags\t\t: fpu
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16 sve\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (X86, {"fpu", "sse2", "avx512_bf16", "amx_bf16"}),
        (ARM, {"fp", "asimd", "bf16", "sve"}),
        ("", set()),
        ("processor: 0\n\xff: no colon here", set()),
    ],
)
def test_features_are_those_that_linux_lists(tmp_path: Path, content: str, expected: set[str]):
    path = tmp_path / "cpuinfo"
    path.write_text(content, encoding="latin-1")
    assert features(path) == expected


def test_a_system_that_lists_no_features_has_none(tmp_path: Path):
    assert features(tmp_path / "nowhere") == frozenset()


def test_the_bfloat16_feature_is_one_that_this_processor_has():
    feature = bfloat16_feature()
    named = CPUINFO.read_text() if CPUINFO.exists() else ""
    if feature is None:
        assert not multiplies_bfloat16() or not {"amx_bf16", "avx512_bf16"} & set(named.split())
    else:
        assert feature in named.split()


def test_the_throughput_is_in_proportion_to_the_threads_and_the_same_each_time():
    assert training_throughput(1) > 0
    assert training_throughput(4) == 4 * training_throughput(1)
    assert training_throughput(None) == training_throughput(None)


@pytest.mark.parametrize(
    ("model", "batch_size", "threads", "shards"),
    [
        (ALL, 64, 2, 2),
        (ALL, 64, 1, 1),
        (ALL, 63, 4, 3),  # equal shards only
        (ALL, 61, 4, 1),
        (LAST, 61, 4, 4),
        (ALL, 64, 64, 8),  # no fewer than 8 rows
        (ALL, 1, 2, 1),
    ],
)
def test_shards_divide_the_batch_among_the_threads(
    model: ModelConfig, batch_size: int, threads: int, shards: int
):
    assert Machine(threads).shards(model, batch_size) == shards
    assert Machine(threads, gpus=1).shards(model, batch_size) == 1


def test_precision_auto_follows_from_the_processor_and_another_choice_stays():
    assert Machine(2, bfloat16="amx_bf16").precision("auto") == (
        "bfloat16",
        "the processor has amx_bf16",
    )
    for machine in (Machine(2), Machine(2, gpus=1, bfloat16="amx_bf16")):
        precision, reason = machine.precision("auto")
        assert precision == "float32"
        assert reason
    for machine in (Machine(2), Machine(2, bfloat16="amx_bf16")):
        assert machine.precision("float32") == ("float32", None)
        assert machine.precision("bfloat16") == ("bfloat16", None)
    with pytest.raises(OptionError, match="precision bfloat16 is for training on a CPU"):
        Machine(2, gpus=1).precision("bfloat16")


@pytest.mark.cpu
def test_this_machine_is_the_one_that_computes():
    machine = this_machine(None)
    assert machine.threads >= 1
    assert not machine.gpus
    assert machine.bfloat16 == bfloat16_feature()
