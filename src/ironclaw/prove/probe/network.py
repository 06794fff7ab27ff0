"""Attacks on the network wall."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

from ironclaw.prove.probe.attempt import DONE, read

if TYPE_CHECKING:
    from ironclaw.prove.probe.attempt import Attempt, Context

_WAIT_S: Final = 1.0
_QUESTION: Final = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03lab\x00\x00\x01\x00\x01"


def _interfaces(_context: Context) -> str:
    lines = read("/proc/net/dev").splitlines()[2:]
    return ",".join(sorted(line.partition(":")[0].strip() for line in lines))


def _routes(_context: Context) -> int:
    return max(0, len(read("/proc/net/route").splitlines()) - 1)


def _socket(family: int, kind: int, protocol: int = 0) -> Attempt:
    return lambda _context: socket.socket(family, kind, protocol).close()


def _reach(family: int, host: str, port: str) -> Attempt:
    def go(context: Context) -> str:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(_WAIT_S)
            sock.connect((context[host], context[port]))
            return "reached: " + sock.recv(64).decode().strip()

    return go


def _ask_resolver(context: Context) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_WAIT_S)
        sock.sendto(_QUESTION, (context["resolver"], context["dns_port"]))
        return f"reached: {len(sock.recv(512))} bytes"


def _listen(_context: Context) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)


def _abstract(context: Context) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_WAIT_S)
        sock.connect("\0" + context["abstract"])
        return "reached: " + sock.recv(64).decode().strip()


def _host_socket(context: Context) -> str:
    """A unix socket of the host that no mount of a box shows."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(context["host_socket"])
        return "reached: " + sock.recv(64).decode().strip()


def _bind_unix(_context: Context) -> None:
    path = "/workspace/.bound.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.bind(path)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - no pathlib here


def _bell(_context: Context) -> str:
    """The one socket that is meant to be there answers: the box is not just broken."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_WAIT_S)
        sock.connect("/run/ironclaw/bell.sock")
    return DONE


ATTEMPTS: Final[dict[str, Attempt]] = {
    "network.interfaces": _interfaces,
    "network.routes": _routes,
    "network.bell_answers": _bell,
    "network.tcp_socket": _socket(socket.AF_INET, socket.SOCK_STREAM),
    "network.tcp6_socket": _socket(socket.AF_INET6, socket.SOCK_STREAM),
    "network.udp_socket": _socket(socket.AF_INET, socket.SOCK_DGRAM),
    "network.raw_socket": _socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "network.packet_socket": _socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300),
    "network.netlink_socket": _socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "network.vsock_socket": _socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "network.host_loopback": _reach(socket.AF_INET, "loopback", "service_port"),
    "network.host_loopback6": _reach(socket.AF_INET6, "loopback6", "service_port"),
    "network.private_address": _reach(socket.AF_INET, "private", "service_port"),
    "network.metadata_address": _reach(socket.AF_INET, "metadata", "http_port"),
    "network.resolver": _ask_resolver,
    "network.listen": _listen,
    "network.abstract_socket": _abstract,
    "network.host_unix_socket": _host_socket,
    "network.bind_unix_socket": _bind_unix,
}
