"""Figures of the benchmark."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.bench.stats import cpu_seconds, family, mem_available_bytes, rss_bytes, spread


@given(st.lists(st.floats(0, 10), min_size=1, max_size=300))
def test_percentiles_are_samples_in_order(samples: list[float]) -> None:
    result = spread(samples)

    rounded = {round(sample * 1000, 3) for sample in samples}
    assert {result.p50, result.p99} <= rounded
    assert result.p50 <= result.p99


def test_the_99th_percentile_of_two_hundred_leaves_one_above() -> None:
    assert 198 <= spread([n / 1000 for n in range(1, 201)]).p99 <= 199


def test_no_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        spread([])


def test_the_machine_and_this_process_can_be_measured() -> None:
    assert mem_available_bytes() > 1 << 20
    assert rss_bytes(os.getpid()) > 1 << 20
    assert cpu_seconds({os.getpid(), 2**22}) >= 0
    assert os.getpid() in family(os.getppid())
