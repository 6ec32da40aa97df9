from pathlib import Path

import pytest

from chargen.training.processor import CPUINFO, bfloat16_feature, features, learning_speed
from chargen.training.runtime import multiplies_bfloat16

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


def test_a_system_that_lists_none_has_none(tmp_path: Path):
    assert features(tmp_path / "nowhere") == frozenset()


def test_the_feature_is_one_that_this_processor_has():
    feature = bfloat16_feature()
    named = CPUINFO.read_text() if CPUINFO.exists() else ""
    if feature is None:
        assert not multiplies_bfloat16() or not {"amx_bf16", "avx512_bf16"} & set(named.split())
    else:
        assert feature in named.split()


def test_the_speed_is_in_proportion_to_the_threads_and_the_same_each_time():
    assert learning_speed(1) > 0
    assert learning_speed(4) == 4 * learning_speed(1)
    assert learning_speed(None) == learning_speed(None)
