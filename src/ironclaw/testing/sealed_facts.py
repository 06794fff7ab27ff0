"""What a well sealed box says of itself, for fakes and tests."""

from __future__ import annotations

from typing import Final

from ironclaw_contract.limits import SANDBOX_GID, SANDBOX_UID
from ironclaw_contract.rpc import Facts

SEALED: Final = Facts(
    uid=SANDBOX_UID,
    gid=SANDBOX_GID,
    groups=(),
    cap_eff=0,
    cap_prm=0,
    cap_bnd=0,
    no_new_privs=True,
    seccomp=2,
    interfaces=("lo",),
    routes=0,
    root_writable=False,
    in_writable=False,
    kernel="Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016",
    processes=1,
    environment=("PATH",),
)
