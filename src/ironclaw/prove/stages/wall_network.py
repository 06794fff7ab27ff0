"""What a box must not reach, and by what it is kept from it."""

from __future__ import annotations

from typing import Final

from ironclaw.prove import controls as w
from ironclaw.prove.model import Check

_REFUSED: Final = frozenset({"EPERM"})
_CLAIM: Final = "A box cannot open a {} socket."
_REACH: Final = "A box cannot reach {}."


def _socket(kind: str, word: str, twin: str = "no-filter", control: str = w.SECCOMP) -> Check:
    return Check(
        f"network.{kind}_socket",
        _CLAIM.format(word),
        f"socket() of family and type {word}",
        control,
        _REFUSED,
        twin=twin,
    )


def _reach(name: str, what: str, attack: str) -> Check:
    return Check(
        f"network.{name}", _REACH.format(what), attack, w.SECCOMP, _REFUSED, twin="host-network"
    )


CHECKS: Final = (
    Check(
        "network.bell_answers",
        "The box can reach the one socket it is given, so silence elsewhere means something.",
        "connect to /run/ironclaw/bell.sock",
        w.HOST_UDS,
        frozenset({"done"}),
        twin="no-host-uds",
    ),
    Check(
        "network.interfaces",
        "A box has no network interface but its own loopback.",
        "read /proc/net/dev",
        w.NO_NETWORK,
        frozenset({"lo"}),
        twin="host-network-filtered",
    ),
    Check(
        "network.routes",
        "A box has no route to anywhere.",
        "read /proc/net/route",
        w.NO_NETWORK,
        frozenset({"0"}),
        twin="host-network-filtered",
    ),
    _socket("tcp", "TCP"),
    _socket("tcp6", "TCP over IPv6"),
    _socket("udp", "UDP"),
    _socket("netlink", "netlink"),
    _socket("vsock", "virtual machine (vsock)"),
    _socket("raw", "raw IP", "raw-sockets"),
    _socket("packet", "packet", "raw-sockets"),
    _reach(
        "host_loopback",
        "a service on the host's loopback",
        "connect to 127.0.0.1, where one listens",
    ),
    _reach(
        "host_loopback6",
        "a service on the host's IPv6 loopback",
        "connect to ::1, where one listens",
    ),
    _reach("private_address", "a private address", "connect to 10.77.0.1, where one listens"),
    _reach(
        "metadata_address",
        "the metadata service of a cloud",
        "connect to 169.254.169.254 port 80, where one listens",
    ),
    _reach("resolver", "a name server", "ask 127.0.0.53 port 53, where one answers"),
    Check(
        "network.listen",
        "A box cannot listen on a port.",
        "bind and listen on 127.0.0.1",
        w.SECCOMP,
        _REFUSED,
        twin="no-filter",
    ),
    Check(
        "network.bind_unix_socket",
        "A box cannot offer a unix socket.",
        "bind a socket in /workspace",
        w.SECCOMP,
        _REFUSED,
        twin="no-filter",
    ),
    Check(
        "network.host_unix_socket",
        "A box cannot reach a unix socket of the host that it was not given.",
        "connect to a socket that listens in a directory of the host, open to every id",
        w.MOUNT_TABLE,
        frozenset({"ENOENT"}),
        twin="shown-sockets",
    ),
    Check(
        "network.abstract_socket",
        "A box cannot reach an abstract socket of the host.",
        "connect to an abstract name on which the host listens",
        "gVisor's own abstract names",
        frozenset({"ECONNREFUSED"}),
        why_no_twin="gVisor keeps abstract names to itself; no flag opens the host's.",
    ),
)
