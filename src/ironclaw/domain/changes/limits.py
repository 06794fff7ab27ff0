"""How much of the machine, of time and of its model an agent may use."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import Spec, Topic

Amount = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Unlimited = Literal["disk_bytes", "disk_files", "turn_s", "calls_per_day", "tokens_per_day"]


class SetLimits(Spec, frozen=True, kw_only=True, tag="limits"):
    """Change what an agent may use."""

    topic: ClassVar = Topic.LIMITS
    title: ClassVar = "Change what an agent may use"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "memory_bytes": "memory",
        "cpu_millis": "processor, thousandths of a core",
        "pids": "processes",
        "files": "open files",
        "file_bytes": "largest file",
        "disk_bytes": "disk",
        "disk_files": "files on disk",
        "pool_size": "blank slots kept ready",
        "max_steps": "model calls in a turn",
        "turn_s": "seconds of a turn without progress",
        "calls_per_day": "model calls in a day",
        "tokens_per_day": "tokens in a day",
        "unlimited": "back to the house's own limit, or to none",
    }

    agent: AgentId
    memory_bytes: Amount | None = None
    cpu_millis: Amount | None = None
    pids: Amount | None = None
    files: Amount | None = None
    file_bytes: Amount | None = None
    disk_bytes: Amount | None = None
    disk_files: Amount | None = None
    pool_size: Amount | None = None
    max_steps: Amount | None = None
    turn_s: Amount | None = None
    calls_per_day: Amount | None = None
    tokens_per_day: Amount | None = None
    unlimited: Annotated[tuple[Unlimited, ...], msgspec.Meta(max_length=8)] = ()
