"""What an attacker in an airlock's place is told: the attack, and where what it wants is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    import socket


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attack, as the core orders it over the link. It knows more than any real attacker."""

    attack: str
    core_pid: int = 0
    zygote_pid: int = 0
    neighbour_pid: int = 0
    """An airlock of the same uid."""
    address: int = 0
    """Where in the core's memory a secret lies."""
    length: int = 0
    store: str = ""
    master_key: str = ""
    token: str = ""
    state_dir: str = ""
    core_socket: str = ""
    host_file: str = ""
    """A file of the host's that everybody may read."""
    slot: str = ""
    """Its own slot's directory."""
    sibling: str = ""
    """Another slot's directory: the same agent's, so that ids keep nothing away."""
    greeting: str = ""
    """What a service says that was reached."""
    loopback: str = ""
    service_port: int = 0
    metadata: str = ""
    http_port: int = 0
    abstract: str = ""


class Prey(NamedTuple):
    """An order, and what the attacker holds open."""

    order: Order
    dirs: dict[str, int]
    spares: list[socket.socket]
    """Sockets that are not bound."""
