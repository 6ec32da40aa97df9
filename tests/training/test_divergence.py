"""What a step of a healthy run stays within follows from its history."""

import math
from typing import Any

import pytest

from chargen.training.divergence import Limits


def line(nats: float | None, norm: float | None) -> dict[str, Any]:
    return {"train_nats": nats, "gradient_norm": norm}


@pytest.mark.parametrize(
    "best", [None, {}, line(None, None), line(1.5, None)], ids=["no", "empty", "diverged", "older"]
)
def test_a_run_without_figures_has_no_limits(best: dict[str, Any] | None):
    assert not Limits.of(best, 65).are_passed(1e9, 1e9)


@pytest.mark.parametrize(
    ("nats", "norm", "passed"),
    [
        (3.1, 2.1, True),
        (2.9, 2.1, False),  # less than twice the loss
        (3.1, 1.9, False),  # less than ten times the gradient
        (1.5, 0.2, False),
    ],
)
def test_both_limits_have_to_be_passed(nats: float, norm: float, passed: bool):
    assert Limits.of(line(1.5, 0.2), 65).are_passed(nats, norm) == passed


def test_a_text_that_is_known_by_heart_may_be_forgotten_for_a_moment():
    limits = Limits.of(line(0.01, 0.001), 65)
    assert not limits.are_passed(math.log(65) * 0.49, 1.0)
    assert limits.are_passed(math.log(65) * 0.51, 1.0)
