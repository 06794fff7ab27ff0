"""Where things are in the box. Constants of the image; only tests put a root before them."""

from __future__ import annotations

from typing import NamedTuple


class Places(NamedTuple):
    """Paths of the mounts."""

    key: str
    bell: str
    model: str
    tools: str
    queue_in: str
    queue_out: str
    workspace: str
    memory: str
    shared: str


def places(root: str = "") -> Places:
    """The paths, below `root`."""
    return Places(
        key=f"{root}/run/ironclaw/key",
        bell=f"{root}/run/ironclaw/bell.sock",
        model=f"{root}/run/ironclaw/model.sock",
        tools=f"{root}/run/ironclaw/tools.sock",
        queue_in=f"{root}/queue/in",
        queue_out=f"{root}/queue/out",
        workspace=f"{root}/workspace",
        memory=f"{root}/memory",
        shared=f"{root}/shared",
    )
