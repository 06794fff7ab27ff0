"""What the benchmark shows of figures that are made up here."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from ironclaw.bench.profile import STAGES
from ironclaw.cli import bench
from ironclaw.core.codes import CODES, Code

SPREAD = {"p50": 4.25, "p99": 9.5, "n": 300}


def figures(*missed: str) -> dict[str, Any]:
    """A run in which these targets were missed."""
    found: dict[str, Any] = {
        "profile_ms": dict.fromkeys(STAGES, 1.5),
        "floor_ms": SPREAD,
        "echo_floor_ms": SPREAD,
        "posture_prove_ms": SPREAD,
        "machine": {
            "cpus": 2,
            "model": "Some Processor",
            "memory_gib": 15.6,
            "kernel": "6.1",
            "python": "3.11.2",
            "user": "ordinary",
            "load_1m": 0.123,
        },
        "took_s": 61.4,
        "missed": list(missed),
    }
    for target in bench.TARGETS:
        place = found
        for name in target.key[:-1]:
            place = place.setdefault(name, {})
        place[target.key[-1]] = target.limit
    return found


def test_rows_are_in_words_and_what_is_missed_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench.report(figures("messages/s", "lost"), strict=False, as_json=False)

    out = capsys.readouterr().out
    assert "{" not in out
    assert "a bare sandbox" in out
    assert "p50 4.25 ms, p99 9.5 ms, of 300" in out
    assert "2 processors (Some Processor), 15.6 GiB, Linux 6.1" in out
    assert [line.split("  ")[0] for line in out.splitlines() if line.endswith("  missed")] == [
        "messages/s",
        "lost",
    ]
    assert out.endswith(f"2 of {len(bench.TARGETS)} targets are missed.\n")


def test_one_that_is_missed_and_none(capsys: pytest.CaptureFixture[str]) -> None:
    bench.report(figures("lost"), strict=False, as_json=False)
    assert "1 of " in (one := capsys.readouterr().out)
    assert one.endswith("targets is missed.\n")

    bench.report(figures(), strict=True, as_json=False)
    assert capsys.readouterr().out.endswith(f"All {len(bench.TARGETS)} targets are met.\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_strict_run_that_misses_one_is_an_error(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    with pytest.raises(typer.Exit) as caught:
        bench.report(figures("lost"), strict=True, as_json=as_json)

    assert caught.value.exit_code == CODES[Code.TARGETS_MISSED].exit_code
    out = capsys.readouterr().out
    assert json.loads(out)["missed"] == ["lost"] if as_json else "missed" in out


def test_only_a_strict_run_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Others measure: a busy machine misses targets, too."""
    bench.report(figures("lost"), strict=False, as_json=True)

    assert json.loads(capsys.readouterr().out)["missed"] == ["lost"]
