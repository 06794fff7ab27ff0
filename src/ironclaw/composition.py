"""The composition root: opens every part of a core in order, and closes them in reverse.

open_core: settings -> keys -> store -> isolator -> airlocks -> models -> sessions -> delivery
_begin:    adopt what a former core left -> wake what waits -> let the first person in
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import ironclaw
from ironclaw.airlock.starter import AirlockStarter
from ironclaw.api.metrics import Metrics
from ironclaw.api.tokens import ensure_first_token
from ironclaw.channels.agent_channel import AgentChannel
from ironclaw.channels.api_channel import ApiChannel
from ironclaw.config.paths import claim_directory
from ironclaw.core.clock import SystemClock
from ironclaw.core.log import get_logger
from ironclaw.core.tasks import Tasks
from ironclaw.domain.disk import Caps
from ironclaw.domain.wall import Durable
from ironclaw.gatehouse import Books, HostLooks, LateTools, open_gatehouse
from ironclaw.household import Household, Machine
from ironclaw.image.provision import current_rootfs
from ironclaw.keys.custodian import Custodian
from ironclaw.keys.master import find_master
from ironclaw.keys.ring import Ring
from ironclaw.keys.signer import AuditSigner, ReceiptSigner
from ironclaw.modelhouse import open_models
from ironclaw.models.words import FailureWords
from ironclaw.sandbox.isolator import RunscIsolator, open_isolator
from ironclaw.services.auditing import Auditing
from ironclaw.services.commands import LateCommands
from ironclaw.services.delivery import DeliveryService
from ironclaw.services.disk_guard import DiskGuard
from ironclaw.services.files import Files
from ironclaw.services.guests import LateGuests
from ironclaw.services.hub import Hub
from ironclaw.services.memory import Memories
from ironclaw.services.parts import SessionLimits, SessionParts
from ironclaw.services.questions import Questions
from ironclaw.services.receipts import Receipts
from ironclaw.services.refusals import AuditedRefusals
from ironclaw.services.relaying import LateRelay
from ironclaw.services.router import Router
from ironclaw.services.searching import Searching
from ironclaw.services.sessions import Sessions
from ironclaw.services.showing import Showing
from ironclaw.services.slots import Slots
from ironclaw.services.taints import TaintDesk, WatchedModels
from ironclaw.skills.shelf import Shelf
from ironclaw.store.audit_head import HeadFile
from ironclaw.store.audit_rows import TABLE, AuditRows
from ironclaw.store.chatlog import ChatLog
from ironclaw.store.engine import Store
from ironclaw.store.key_rows import KeyRows
from ironclaw.store.ledger import Ledger
from ironclaw.store.receipt_files import ReceiptFiles
from ironclaw.store.registry import Registry
from ironclaw.store.searching import Passages
from ironclaw.store.spent_rows import SpentRows
from ironclaw.store.task_rows import TaskRows
from ironclaw.store.token_rows import TokenRows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ironclaw.config.settings import Settings
    from ironclaw.core.clock import Clock
    from ironclaw.domain.channels import Channel
    from ironclaw.domain.searching import Ranking
    from ironclaw.gatehouse import Gatehouse
    from ironclaw.services.rooms import Rooms

DEMO_AGENT: Final = "demo"

_log = get_logger("daemon")


class Core(NamedTuple):
    """The open parts that the edges, the benchmark and tests work with."""

    house: Household
    registry: Registry
    ledger: Ledger
    sessions: Sessions
    slots: Slots
    isolator: RunscIsolator
    delivery: DeliveryService
    hub: Hub
    custodian: Custodian
    tasks: Tasks
    tokens: TokenRows
    gatehouse: Gatehouse
    rooms: Rooms


@contextlib.asynccontextmanager
async def open_core(
    settings: Settings,
    *,
    metrics: Metrics,
    channels: Sequence[Channel] = (),
    isolator_class: type[RunscIsolator] = RunscIsolator,
    ranking: Ranking | None = None,
) -> AsyncIterator[Core]:
    """Open everything but the API. Leaving it stops every box and closes the store.

    Args:
        settings: Checked settings.
        metrics: Where durations are counted.
        channels: Channels beside `api`.
        isolator_class: What makes boxes; the proof has one that puts hostile programs into some.
        ranking: How well past words answer a search; by words unless told.

    Raises:
        IronClawError: A part cannot be opened; what was open is closed again.
    """
    clock = SystemClock()
    state = claim_directory(settings.state_dir)
    runtime = claim_directory(settings.runtime_dir)
    async with contextlib.AsyncExitStack() as stack:
        ring, store = await _open_store(stack, state)
        custodian = await Custodian.start(ring, KeyRows(store))
        registry = Registry(store, clock)
        words = FailureWords()
        ledger = Ledger(
            store,
            custodian,
            clock,
            why=words.why,
            files_bytes=settings.conversation.files_bytes,
            agent_files_bytes=settings.conversation.agent_files_bytes,
        )
        log_of_chats = ChatLog(store, custodian, clock)
        signer = ReceiptSigner(ring)
        signer.publish(settings.receipt_key_file)
        audit = await _open_audit(store, ring, clock, settings)
        # Before whatever may still record something as it ends, so that it is signed after that.
        stack.push_async_callback(audit.end)
        shelf = Shelf(
            settings.skills_dir,
            trusted=settings.skills.trusted_keys,
            by_digest=settings.skills.by_digest,
        )
        isolator = await open_isolator(
            state_dir=state,
            runtime_dir=runtime,
            clock=clock,
            runsc=settings.sandbox.runsc,
            platform=settings.sandbox.platform,
            made_by=isolator_class,
            shelf=shelf,
        )
        rootfs = await current_rootfs(settings.image_dir)
        airlocks = await stack.enter_async_context(AirlockStarter())
        tasks = await stack.enter_async_context(Tasks("core", on_failure=_task_failed))
        audit.start(tasks)
        hub = Hub(log_of_chats)
        relay = LateRelay()
        every: list[Channel] = [ApiChannel(hub.show), AgentChannel(relay.carry), *channels]
        by_name = {channel.name: channel for channel in every}
        delivery = DeliveryService(
            outbox=ledger,
            channels=by_name,
            hub=hub,
            clock=clock,
            showing=Showing(by_name, registry.chat),
        )
        tasks.start(delivery.run(), name="delivery")
        slots = Slots(
            isolator=isolator,
            airlocks=airlocks,
            rootfs=lambda: rootfs,
            audit=audit,
            meters=metrics,
            clock=clock,
            tasks=tasks,
            freeze_after_s=settings.sandbox.freeze_after_s,
        )
        files = Files(ledger.files)
        models = open_models(
            settings,
            tasks,
            book=SpentRows(store, custodian, clock),
            agents=registry,
            files=files,
            words=words,
            announce=delivery,
            counters=metrics,
            clock=clock,
            hidden=(state, runtime),
        )
        stack.push_async_callback(models.host.close)
        tasks.start(models.book.keep(), name="usage")
        stack.push_async_callback(models.book.flush)
        books = Books(
            registry,
            ledger,
            TaskRows(store),
            models.usage,
            Searching(Passages(store, custodian), clock, ranking=ranking),
            files,
            TaintDesk(ledger),
        )
        tools = LateTools()
        sessions = Sessions(
            SessionParts(
                ledger=ledger,
                registry=registry,
                custodian=custodian,
                isolator=isolator,
                slots=slots,
                receipts=Receipts(
                    signer=signer,
                    store=registry,
                    copies=ReceiptFiles(settings.receipts_dir),
                    clock=clock,
                ),
                models=WatchedModels(models.budgets, books.taints),
                announce=delivery,
                meters=metrics,
                clock=clock,
                guard=DiskGuard(
                    isolator=isolator,
                    airlocks=airlocks,
                    caps=Caps(settings.sandbox.disk_bytes, settings.sandbox.disk_files),
                    roots=(state / Durable.WORKSPACE, state / Durable.MEMORY),
                    clock=clock,
                    tasks=tasks,
                ),
                limits=SessionLimits(
                    idle_stop_s=settings.sandbox.idle_stop_s,
                    max_boxes=settings.sandbox.max_boxes,
                    steers=settings.conversation.new_messages == "steer",
                ),
                tools=tools,
                files=files,
                rooms=models.rooms,
            ),
            tasks,
        )
        models.rooms.watch(sessions.resize)
        stack.push_async_callback(slots.close)
        stack.push_async_callback(sessions.close)
        commands = LateCommands()
        guests = LateGuests()
        questions = Questions(book=ledger, hub=hub, wake=sessions.wake, clock=clock)
        ledger.asked = questions.look_again
        router = Router(
            directory=registry,
            intake=ledger,
            refusals=AuditedRefusals(log_of_chats, audit.note),
            keys=custodian,
            hub=hub,
            wake=sessions.wake,
            commands=commands,
            guests=guests,
            questions=questions,
        )
        memories = Memories(
            isolator=isolator,
            airlocks=airlocks,
            record=audit.append,
            agent=registry.agent,
            foreign=ledger.tainted_sessions,
        )
        gatehouse = open_gatehouse(
            books=books,
            memories=memories,
            sessions=sessions,
            router=router,
            hub=hub,
            delivery=delivery,
            audit=audit,
            looks=HostLooks(settings, models.names, tuple(by_name), clock, shelf),
            clock=clock,
            tasks=tasks,
            tools=tools,
            commands=commands,
            guests=guests,
            relay=relay,
            raising=models.raising,
        )
        house = Household(
            registry=registry,
            ledger=ledger,
            log_of_chats=log_of_chats,
            router=router,
            sessions=sessions,
            slots=slots,
            audit=audit,
            hub=hub,
            machine=Machine(
                started_ms=clock.now_ms(),
                rootless=isolator.rootless,
                runtime_version=isolator.version,
                platform=settings.sandbox.platform,
                rootfs=rootfs,
                weaker=isolator.weaker(),
                providers=models.views,
            ),
            gateway=gatehouse.gateway,
            schedules=gatehouse.schedules,
            tasks=books.tasks,
            kept_skills=shelf.kept,
            questions=questions,
            memories=memories,
            past=books.past,
            usage=models.usage,
        )
        core = Core(
            house=house,
            registry=registry,
            ledger=ledger,
            sessions=sessions,
            slots=slots,
            isolator=isolator,
            delivery=delivery,
            hub=hub,
            custodian=custodian,
            tasks=tasks,
            tokens=await TokenRows.open(store, clock, old_file=state / "tokens.json"),
            gatehouse=gatehouse,
            rooms=models.rooms,
        )
        await _begin(core, settings)
        yield core


async def _open_store(stack: contextlib.AsyncExitStack, state: Path) -> tuple[Ring, Store]:
    """Open the keys and what they open. Raises HostError."""
    path, keys = state / "store.db", state / "keys"
    ring = Ring.open(keys, find_master(keys, os.environ), store_exists=path.exists())
    return ring, await stack.enter_async_context(await Store.open(path, ring.store_key))


async def _open_audit(store: Store, ring: Ring, clock: Clock, settings: Settings) -> Auditing:
    """Begin the audit of this core. Raises HostError."""
    signer = AuditSigner(ring)
    signer.publish(settings.audit_key_file)
    audit = Auditing(
        rows=AuditRows(store, clock), head=HeadFile(settings.audit_head_file), signer=signer
    )
    await store.watch(TABLE, audit.appended)
    await audit.begin(version=ironclaw.__version__)
    return audit


def _settle() -> None:
    """Trade a little memory and throughput of threads for short pauses of the loop.

    What is open now lives until the end, so no collection need look at it again. The store's
    threads hold the interpreter for Python's 5 ms at a time otherwise, and replies wait for it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    sys.setswitchinterval(0.0005)


async def _begin(core: Core, settings: Settings) -> None:
    """Go on where a former core stopped, and let the first person in."""
    await _resume(core, pool_size=settings.sandbox.pool_size)
    await ensure_first_token(
        core.tokens, settings.token_file, ensure_owner=core.registry.ensure_first_owner
    )
    _settle()


async def _resume(core: Core, *, pool_size: int) -> None:
    """Take over what a former core left, clear what nobody needs, wake what waits."""
    boxes = await core.isolator.survivors()
    await core.sessions.adopt(boxes)
    # What was approved, revoked or came to its end meanwhile holds before anybody is answered.
    await core.gatehouse.gateway.resume()
    alive = {box.slot for box in boxes}
    for slot in await core.isolator.slots():
        if slot not in alive:
            await core.isolator.discard(slot)
    await core.ledger.files.sweep()
    await core.isolator.clear_workspaces(keep=await core.registry.workspaces())
    # One that was archived was not wanted: it does not come back.
    if not await core.registry.agents(archived=True):
        await core.registry.create_agent(
            name=DEMO_AGENT,
            persona="You are the agent that a new house begins with. People try things out with "
            "you before they make agents of their own: show them that a sealed round trip works.",
            tools=("clock", "list_files", "read_file", "write_file"),
            pool_size=pool_size,
        )
    for agent in await core.registry.agents():
        core.slots.keep(agent)
    for session in await core.registry.waiting():
        core.sessions.wake(session)
    core.delivery.due()
    core.tasks.start(core.gatehouse.gateway.run(), name="deadlines")
    core.tasks.start(core.gatehouse.schedules.run(), name="schedules")
    core.tasks.start(core.house.questions.run(), name="questions")
    core.tasks.start(core.tokens.keep_uses(), name="token uses")


def _task_failed(name: str, error: BaseException) -> None:
    _log.error("task_failed", task=name, exc_info=error)
