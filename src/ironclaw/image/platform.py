"""What this machine is called by OCI images and by the distribution."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError


class Machine(NamedTuple):
    """One architecture in three tongues."""

    oci: str
    debian: str
    multiarch: str


_MACHINES: Final = {
    "x86_64": Machine("amd64", "amd64", "x86_64-linux-gnu"),
    "aarch64": Machine("arm64", "arm64", "aarch64-linux-gnu"),
}


def this_machine() -> Machine:
    """Name this machine.

    Raises:
        HostError: `HOST_UNSUITED`, gVisor does not run here.
    """
    name = os.uname().machine
    try:
        return _MACHINES[name]
    except KeyError:
        raise HostError(
            Code.HOST_UNSUITED,
            f"There is no sandbox image for the architecture {name}.",
            hint="Use an x86-64 or a 64-bit ARM machine.",
        ) from None
