"""A network for the proof alone: a namespace with addresses that a box must not reach.

Everything a box could want stands in it and really listens: loopback, a private address, the
address of cloud metadata, a name server, an abstract unix socket. A twin with its network wall
taken away meets these and never the machine's own network.

Source: netdevice(7) for the ioctls, rtnetlink(7) for the interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from ironclaw.sandbox import kernel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLONE_NEWNET: Final = 0x4000_0000
PRIVATE: Final = "10.77.0.1"
METADATA: Final = "169.254.169.254"
OUTWARD: Final = "192.0.2.2"
"""Address of the interface that looks like a way out (TEST-NET-1)."""
INTERFACE: Final = "eth0"
RESOLVER: Final = "127.0.0.53"
HTTP_PORT: Final = 80
DNS_PORT: Final = 53
SERVICE_PORT: Final = 8077
GREETING: Final = b"ironclaw lab\n"
ABSTRACT: Final = "ironclaw-lab"
_GREETED_S: Final = 10.0

_SIOCADDRT: Final = 0x890B
_SIOCSIFFLAGS: Final = 0x8914
_SIOCSIFADDR: Final = 0x8916
_UP_RUNNING: Final = 0x1 | 0x40
_RTF_UP_GATEWAY: Final = 0x3
_RTM_NEWLINK: Final = 16
_NEW_REQUEST: Final = 0x1 | 0x4 | 0x200 | 0x400  # REQUEST, ACK, EXCL, CREATE
_KINDS: Final = ("veth", "bridge", "dummy")
"""Kinds of interface, the first that this kernel has."""


def enter() -> None:
    """Move this process into a network namespace and furnish it. Call it before any thread.

    Raises:
        OSError: The namespace or an address cannot be had.
    """
    kernel.unshare(CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _up(control, "lo")
        _address(control, "lo:1", PRIVATE)
        _address(control, "lo:2", METADATA)
        _add_interface(INTERFACE)
        _address(control, INTERFACE, OUTWARD)
        _up(control, INTERFACE)
        _default_route(control, "192.0.2.1")


@contextlib.asynccontextmanager
async def services() -> AsyncIterator[None]:
    """Listen everywhere, until left.

    Raises:
        OSError: An address cannot be had, or does not answer.
        TimeoutError: As that.
    """
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        for host, port in (
            ("127.0.0.1", SERVICE_PORT),
            ("::1", SERVICE_PORT),
            (PRIVATE, SERVICE_PORT),
            (METADATA, HTTP_PORT),
        ):
            server = await asyncio.start_server(_greet, host, port)
            stack.callback(server.close)
        server = await asyncio.start_unix_server(_greet, "\0" + ABSTRACT)
        stack.callback(server.close)
        # No twin reaches this one, so here it is seen that there is something to reach.
        await _check_greeted("\0" + ABSTRACT)
        transport, _ = await loop.create_datagram_endpoint(
            Resolver, local_addr=(RESOLVER, DNS_PORT)
        )
        stack.callback(transport.close)
        yield


async def _check_greeted(address: str) -> None:
    reader, writer = await asyncio.open_unix_connection(address)
    try:
        async with asyncio.timeout(_GREETED_S):
            said = await reader.read(len(GREETING))
    finally:
        writer.close()
    if said != GREETING:
        raise ConnectionError(f"{address!r} of the lab does not answer: {said!r}")


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    with contextlib.suppress(OSError):
        await writer.drain()
    writer.close()


class Resolver(asyncio.DatagramProtocol):
    """Answers any question with as many bytes: enough to show that it was reached."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go through."""
        # The event loop's own transport of datagrams does not derive from its interface.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        self._transport.sendto(data[:512], addr)


def _up(control: socket.socket, name: str) -> None:
    fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), _UP_RUNNING))


def _address(control: socket.socket, name: str, address: str) -> None:
    fcntl.ioctl(control, _SIOCSIFADDR, name.encode().ljust(16, b"\0") + _sockaddr(address))


def _default_route(control: socket.socket, gateway: str) -> None:
    entry = struct.pack("L", 0) + b"".join(map(_sockaddr, ("0.0.0.0", gateway, "0.0.0.0")))  # noqa: S104 - a route
    fcntl.ioctl(control, _SIOCADDRT, entry + struct.pack("H", _RTF_UP_GATEWAY) + bytes(60))


def _sockaddr(address: str) -> bytes:
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def _add_interface(name: str) -> None:
    status = 0
    for kind in _KINDS:
        status = _new_link(kind, name)
        if status == 0:
            return
    raise OSError(-status, "no kind of interface can be made here")


def _new_link(kind: str, name: str) -> int:
    def attribute(number: int, data: bytes) -> bytes:
        return struct.pack("HH", len(data) + 4, number) + data + bytes(-len(data) % 4)

    # IFLA_IFNAME is 3, IFLA_LINKINFO 18 (nested), IFLA_INFO_KIND 1.
    what = attribute(18 | 0x8000, attribute(1, kind.encode() + b"\0"))
    body = struct.pack("BxHiII", 0, 0, 0, 0, 0) + attribute(3, name.encode() + b"\0") + what
    head = struct.pack("IHHII", 16 + len(body), _RTM_NEWLINK, _NEW_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.send(head + body)
        status: int = struct.unpack_from("i", netlink.recv(4096), 16)[0]
    return status
