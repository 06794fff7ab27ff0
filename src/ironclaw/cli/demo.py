"""`ironclaw demo`: a private house, two messages to a sealed agent, and everything away again.

The first message finds no box: what it takes is a cold start, reply included. The second finds the
first one's box warm. Whatever is said about the wall is taken from the launch's receipt.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ironclaw.cli import launch, render
from ironclaw.cli.client import Client
from ironclaw.cli.nouns.changing import decide
from ironclaw.cli.options import Json, chosen
from ironclaw.cli.private_house import private_house
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PeerError

if TYPE_CHECKING:
    from ironclaw.config.settings import Settings

AGENT: Final = "guide"
FIRST: Final = "Hello! Who are you, and where do you run?"
SECOND: Final = "And what did I just ask you?"
REPLY_S: Final = 60


class _Heard(NamedTuple):
    """One message and its reply."""

    text: str
    session: str
    took_ms: float


def demo(*, as_json: Json = False) -> None:
    """Show a sealed round trip, from nothing, and leave nothing behind but the image."""
    mine, config = chosen()
    began = time.monotonic()
    launch.claim_directories(mine)
    asyncio.run(launch.have_image(mine))
    with private_house(mine, config, purpose="demo") as private:
        client = Client(private)
        try:
            _have_agent(client)
            render.note("Saying something to an agent that has no box yet …")
            cold = _ask(client, FIRST)
            receipt = client.get("v1", "sessions", cold.session, "receipt")
            warm = _ask(client, SECOND)
        finally:
            client.close()
        told = _told(cold, warm, receipt)
        if not as_json:
            _show(told, receipt, cold, warm)
    if as_json:
        render.data(told | {"total_ms": round(1000 * (time.monotonic() - began))})
        return
    render.note(f"Everything is down again; {time.monotonic() - began:.1f} s in all.")
    for text in left(mine):
        render.note(text)


def left(mine: Settings) -> tuple[str, ...]:
    """What is left of the demo, and what to do next."""
    first = launch.FIRST_AGENT
    return (
        f"The image stays, in {mine.image_dir}.",
        f"The agent `{AGENT}`, its house and all that was said are gone.",
        "Your own house: ./run ironclaw up",
        f"  A new one has one agent, `{first}`, to try things out with. Talk to it:",
        f'    ./run ironclaw chat {first} "hello"',
        "  When you have made one of your own (./run ironclaw agent create NAME), it may go:",
        f"    ./run ironclaw agent archive {first}",
    )


def _have_agent(client: Client) -> None:
    """Make the agent, as the only person of this house: its owner."""
    policy = client.get("v1", "policy") | {"solo": True}
    for spec in (
        {"kind": "policy", "policy": policy},
        {
            "kind": "agent.create",
            "name": AGENT,
            "persona": "You show visitors around.",
            "pool_size": 0,
        },
    ):
        view = client.call("POST", "v1", "changes", body={"change": spec})
        decide(client, view, approve=True, words="")


def _ask(client: Client, text: str) -> _Heard:
    """Say something and wait for the reply. Raises HostError, PeerError."""
    began = time.perf_counter()
    sent: dict[str, Any] = client.call(
        "POST",
        *("v1", "agents", AGENT, "chats", "demo", "messages"),
        query=f"wait={REPLY_S}",
        body={"text": text},
        timeout_s=REPLY_S + 5,
    )
    took_ms = 1000 * (time.perf_counter() - began)
    if sent["status"] == "failed":
        raise PeerError(
            Code(sent["code"]), sent["reply"], hint="`ironclaw doctor` tries each part of the wall."
        )
    if sent["status"] != "answered":
        raise HostError(
            Code.LAUNCH_TIMEOUT,
            f"No reply within {REPLY_S} s ({sent['reason']}).",
            hint="`ironclaw doctor` tries each part of the wall.",
        )
    return _Heard(sent["reply"], sent["session"], took_ms)


def _told(cold: _Heard, warm: _Heard, receipt: dict[str, Any]) -> dict[str, Any]:
    taken = ("runtime", "runtime_version", "platform", "network", "uid", "rootless", "image_digest")
    told = {name: receipt[name] for name in taken}
    told["runsc_version"] = told.pop("runtime_version")
    return {
        "reply": cold.text,
        "second_reply": warm.text,
        **told,
        "cold_ms": round(cold.took_ms, 1),
        "warm_ms": round(warm.took_ms, 1),
        "weaker": receipt["weaker"],
    }


def _show(told: dict[str, Any], receipt: dict[str, Any], cold: _Heard, warm: _Heard) -> None:
    render.line(f"you>   {FIRST}", tone="strong")
    render.block(f"agent> {cold.text}")
    render.line(f"you>   {SECOND}", tone="strong")
    render.block(f"agent> {warm.text}")
    inside = receipt["inside"]
    where = "as an ordinary user" if told["rootless"] else "as root"
    render.line()
    render.fields(
        {
            "ran in": f"{told['runtime']} {told['runsc_version']} ({told['platform']}), {where}",
            "image": told["image_digest"],
            "network": f"{told['network']} (interfaces {', '.join(inside['interfaces'])})",
            "user": f"uid {inside['uid']}, capabilities {inside['cap_eff']:#x}, "
            f"no_new_privs {inside['no_new_privs']}, seccomp mode {inside['seccomp']}",
            "file system": "read-only root" if not inside["root_writable"] else "writable root",
            "cold": f"{told['cold_ms']} ms from message to reply, launch included",
            "warm": f"{told['warm_ms']} ms",
        }
    )
    for words in told["weaker"] or ("nothing",):
        render.edge(f"weaker here: {words}")
