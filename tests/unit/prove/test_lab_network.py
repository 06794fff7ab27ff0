"""What listens in the laboratory answers: silence there would make an open way look closed."""

from __future__ import annotations

import asyncio

import pytest

from ironclaw.prove.lab import network
from ironclaw.prove.lab.network import Resolver


class _Asker(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        self.heard.set_result(data)


async def test_the_name_server_answers_any_question() -> None:
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(Resolver, local_addr=("127.0.0.1", 0))
    place = server.get_extra_info("sockname")
    client, asker = await loop.create_datagram_endpoint(_Asker, remote_addr=place)
    try:
        client.sendto(b"?" * 600)
        async with asyncio.timeout(5):
            assert await asker.heard == b"?" * 512
    finally:
        client.close()
        server.close()


async def test_a_service_that_does_not_greet_ends_the_proof(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def mute(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    monkeypatch.setattr(network, "PRIVATE", "127.0.0.1")
    monkeypatch.setattr(network, "METADATA", "127.0.0.1")
    monkeypatch.setattr(network, "SERVICE_PORT", 0)
    monkeypatch.setattr(network, "HTTP_PORT", 0)
    monkeypatch.setattr(network, "ABSTRACT", f"ironclaw-lab-{id(mute)}")
    monkeypatch.setattr(network, "_greet", mute)
    with pytest.raises(ConnectionError, match="does not answer"):
        async with network.services():
            pass
