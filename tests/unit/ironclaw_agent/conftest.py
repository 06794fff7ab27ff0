"""A host for the agent program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.ironclaw_agent.agent_host import Host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose box has been started."""
    made = Host(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.close()
