"""The clean tools: both sides go by this one list when they ask what a turn has read."""

from __future__ import annotations

from typing import Final

CLEAN: Final = frozenset(
    {
        "ask_user",
        "clock",
        "edit_file",
        "memory_write",
        "my_rights",
        "request_change",
        "run_task",
        "send_file",
        "send_message",
        "tasks",
        "tell",
        "withdraw_change",
        "write_file",
    }
)
"""Tools whose results are the host's or the box's own words, or those of the agent's people, and
hold nothing that was read. The host taints turns by it, and the box marks notes."""
