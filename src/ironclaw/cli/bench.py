"""`ironclaw bench`: every budget of the design, measured on a private house with real boxes."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from ironclaw.bench.profile import STAGES
from ironclaw.bench.stats import spread
from ironclaw.cli import launch, render, worker
from ironclaw.cli.client import Client
from ironclaw.cli.options import Json, chosen
from ironclaw.cli.private_house import private_house
from ironclaw.core.codes import CODES, Code

if TYPE_CHECKING:
    from ironclaw.config.settings import Settings

LIMIT_S: Final = 900.0
_API_MESSAGES: Final = 100


class Target(NamedTuple):
    """One budget: where the figure is, what it may be."""

    row: str
    key: tuple[str, ...]
    limit: float
    at_least: bool = False


TARGETS: Final = (
    Target("round trip p50, ms", ("roundtrip_ms", "p50"), 5),
    Target("round trip p99, ms", ("roundtrip_ms", "p99"), 25),
    Target("round trip, streamed to a watcher, p50, ms", ("streamed_roundtrip_ms", "p50"), 5),
    Target("first streamed token to its watcher p50, ms", ("first_token_ms", "p50"), 5),
    Target("round trip of an API client p50, ms", ("api_roundtrip_ms", "p50"), 10),
    Target("round trip of an API client p99, ms", ("api_roundtrip_ms", "p99"), 50),
    Target("claim to first reply p50, ms", ("claim_ms", "p50"), 15),
    Target("posture step of a warm claim p50, ms", ("posture_claim_ms", "p50"), 10),
    Target("cold start over the floor p50, ms", ("cold_over_floor_ms",), 150),
    Target("memory per idle session, MB", ("memory_mb_per_idle_session",), 36),
    Target("core RSS, MB", ("core_rss_mb",), 90),
    Target("idle CPU for 100 idle sessions, % of a core", ("idle_cpu_percent",), 0.5),
    Target("messages/s", ("messages_per_s",), 300, at_least=True),
    Target("1,000-turn session: turn 1,000 to turn 10, ratio", ("long_talk", "cost_ratio"), 1.5),
    Target("1,000-turn session: longest call to window, ratio", ("long_talk", "context_ratio"), 1),
    Target("1,000-turn session: core RSS grown, MB", ("long_talk", "rss_grown_mb"), 8),
    Target("1,000-turn session: turn 1 found", ("long_talk", "is_found"), 1, at_least=True),
    Target("lost", ("lost",), 0),
    Target("doubled", ("doubled",), 0),
)
_BESIDE: Final = {
    "floor_ms": "a bare sandbox",
    "echo_floor_ms": "a bare echo through the wall",
    "posture_prove_ms": "posture step of a launch",
    "roundtrip_many_registered_ms": "round trip with many sessions registered",
}
"""What is measured without a target, to compare with."""


def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer samples: about a minute.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with an error when a target is missed, for CI.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure every budget, and the floor beside it in the same run."""
    mine, config = chosen()
    began = time.monotonic()
    launch.claim_directories(mine)
    asyncio.run(launch.have_image(mine))
    core = [
        sys.executable,
        "-s",
        "-P",
        "-m",
        "ironclaw.bench.worker",
        *([] if quick else ["--full"]),
    ]
    more = {"IRONCLAW_SANDBOX_MAX_BOXES": "1000", "IRONCLAW_SANDBOX_IDLE_STOP_S": "3600"}
    with private_house(mine, config, purpose="bench", core=core, more=more) as private:
        raw = worker.result_of(
            private, file="bench.json", says="bench: ", what="The benchmark", limit_s=LIMIT_S
        )
        found: dict[str, Any] = json.loads(raw)
        found["api_roundtrip_ms"] = _api(private)
    found["cold_over_floor_ms"] = round(found["cold_ms"]["p50"] - found["floor_ms"]["p50"], 1)
    found["missed"] = [target.row for target in TARGETS if not _is_met(target, found)]
    found["machine"] = _machine()
    found["took_s"] = round(time.monotonic() - began, 1)
    report(found, strict=strict, as_json=as_json)


def report(found: dict[str, Any], *, strict: bool, as_json: bool) -> None:
    """Show what was measured.

    Args:
        found: With the rows of missed targets as `missed`.
        strict: Whether a missed target is an error.
        as_json: Print it as it is.

    Raises:
        typer.Exit: `TARGETS_MISSED`.
    """
    if as_json:
        render.data(found)
    else:
        _show(found)
    if strict and found["missed"]:
        raise typer.Exit(CODES[Code.TARGETS_MISSED].exit_code)


def _show(found: dict[str, Any]) -> None:
    render.table(
        ("BUDGET", "MEASURED", "TARGET", ""),
        [
            (
                target.row,
                _value(target, found),
                f"{'>=' if target.at_least else '<='} {target.limit:g}",
                "missed" if target.row in found["missed"] else "",
            )
            for target in TARGETS
        ],
    )
    render.line()
    render.table(
        ("WHERE A ROUND TRIP GOES", "MS", ""),
        [(name, value, STAGES[name]) for name, value in found["profile_ms"].items()],
    )
    render.line()
    beside: dict[str, object] = {
        row: _spread(found[name]) for name, row in _BESIDE.items() if name in found
    }
    took = {"took": f"{found['took_s']:.0f} s"}
    render.fields(beside | {"machine": _in_words(found["machine"])} | took)
    render.line()
    if missed := len(found["missed"]):
        verb = "is" if missed == 1 else "are"
        render.line(f"{missed} of {len(TARGETS)} targets {verb} missed.", tone="bad")
    else:
        render.line(f"All {len(TARGETS)} targets are met.", tone="good")


def _spread(values: dict[str, Any]) -> str:
    return f"p50 {values['p50']:g} ms, p99 {values['p99']:g} ms, of {values['n']}"


def _in_words(machine: dict[str, Any]) -> str:
    return (
        f"{machine['cpus']} processors ({machine['model'] or 'unknown'}), "
        f"{machine['memory_gib']:g} GiB, Linux {machine['kernel']}, Python {machine['python']}, "
        f"{machine['user']} user, load {machine['load_1m']:.1f}"
    )


def _api(private: Settings) -> dict[str, float]:
    """Round trips as a client of the HTTP API sees them."""
    render.note("bench: round trips of an API client")
    client = Client(private)
    taken = []
    try:
        for _ in range(_API_MESSAGES + 5):
            began = time.perf_counter()
            client.call(
                "POST",
                *("v1", "agents", "demo", "chats", "bench", "messages"),
                query="wait=30",
                body={"text": "measure"},
            )
            taken.append(time.perf_counter() - began)
    finally:
        client.close()
    # The first ones start the box and warm it up.
    return spread(taken[5:])._asdict()


def _value(target: Target, found: dict[str, Any]) -> float:
    value: Any = found
    for name in target.key:
        value = value[name]
    return float(value)


def _is_met(target: Target, found: dict[str, Any]) -> bool:
    value = _value(target, found)
    return value >= target.limit if target.at_least else value <= target.limit


def _machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    model = ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpus": os.cpu_count(),
        "model": model,
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "load_1m": os.getloadavg()[0],
    }
