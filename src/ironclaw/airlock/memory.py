"""Looking into an agent's memory and changing it, in a confined process with the box's own uid.

What is there was written by boxes: nothing is followed, every size is bounded, and only plain files
of topics' names are looked at. The process ends after one act.

    run: confine.enter, take_ids, seal -> tend -> report
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, assert_never

from ironclaw.airlock import confine, landlock
from ironclaw.airlock.messages import MemoryTold, TopicTold, pack_control
from ironclaw.domain.memories import MemoryAct, MemoryAsk, unpack
from ironclaw_contract.hashing import sha256
from ironclaw_contract.memory_dir import (
    MAX_TOPIC_BYTES,
    MemoryDirError,
    change_topic,
    list_topics,
    read_topic,
    replace_topic,
)
from ironclaw_contract.memory_notes import parse, render

if TYPE_CHECKING:
    import socket
    from collections.abc import Set as AbstractSet

    from ironclaw.airlock.messages import StartMemory
    from ironclaw_contract.memory_dir import Topic

_RIGHTS: Final = (
    landlock.READ_DIR
    | landlock.READ_FILE
    | landlock.WRITE_FILE
    | landlock.MAKE_REG
    | landlock.MAKE_DIR  # a directory is moved out of the way
    | landlock.REMOVE_FILE
    | landlock.REMOVE_DIR
    | landlock.TRUNCATE
)
_MS: Final = 1_000_000
_WRITING: Final = frozenset({MemoryAct.WRITE, MemoryAct.FORGET, MemoryAct.PURGE})


class _ChangedError(Exception):
    """What is there is not what was to be replaced."""


def run(request: StartMemory, report: socket.socket, controls: confine.Controls) -> None:
    """Do one thing and report, once.

    Args:
        request: What the core asked of the zygote.
        report: Where the outcome goes, and what is to be written comes from.
        controls: What the zygote has shut already.
    """
    try:
        parent, name = os.path.split(request.path.rstrip("/"))
        top = confine.enter(controls, parent, (name,))[name]
        confine.take_ids(controls, request.uid, request.gid)
        confine.seal(controls, {top: _RIGHTS})
        data = _receive(report, request.size)
        ask = MemoryAsk(request.act, request.topic, request.session, data, request.was)
        told = tend(top, ask if ask.act in _WRITING else ask._replace(foreign=unpack(data)))
    except OSError as error:
        told = MemoryTold(error=f"{type(error).__name__} {error.errno}")
    report.sendall(pack_control(told))


def tend(top: int, ask: MemoryAsk) -> MemoryTold:
    """Do what is asked of an open memory.

    Raises:
        OSError: The file system refused it.
    """
    try:
        match ask.act:
            case MemoryAct.LIST:
                return _list(top, frozenset(ask.foreign))
            case MemoryAct.READ:
                return _read(top, ask.topic, frozenset(ask.foreign))
            case MemoryAct.WRITE:
                _replace(top, ask, ask.data)
            case MemoryAct.FORGET:
                _replace(top, ask, None)
            case MemoryAct.PURGE:
                return _purge(top, ask.session)
            case _:
                assert_never(ask.act)
    except MemoryDirError as error:
        return MemoryTold(refused=str(error))
    except _ChangedError:
        return MemoryTold(is_changed=True)
    return MemoryTold()


def digest_of(data: bytes) -> str:
    """What `MemoryAsk.was` is compared with."""
    return f"sha256:{sha256(data).hex()}"


def _receive(report: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < min(size, MAX_TOPIC_BYTES):
        piece = report.recv(size - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data


def _list(top: int, foreign: AbstractSet[str]) -> MemoryTold:
    listing = list_topics(top)
    return MemoryTold(
        topics=tuple(_look_at(top, topic, foreign) for topic in listing.topics),
        is_whole=listing.is_whole,
    )


def _look_at(top: int, topic: Topic, foreign: AbstractSet[str]) -> TopicTold:
    try:
        content = read_topic(top, topic.name)
    except (OSError, MemoryDirError):
        content = None
    return _told(topic, b"" if content is None else content.data, foreign)


def _told(topic: Topic, data: bytes, foreign: AbstractSet[str]) -> TopicTold:
    """What a topic is. What a note says of itself only adds to what the host knows."""
    notes = parse(data.decode("utf-8", "replace")) if data else []
    tainted = sum(note.tainted or note.session in foreign for note in notes)
    changed_ms = max(0, topic.changed_ns // _MS)
    return TopicTold(topic.name, topic.size, len(notes), tainted, changed_ms)


def _read(top: int, name: str, foreign: AbstractSet[str]) -> MemoryTold:
    content = read_topic(top, name)
    if content is None:
        return MemoryTold()
    found = tuple(
        _told(topic, content.data, foreign)
        for topic in list_topics(top).topics
        if topic.name == name
    )
    return MemoryTold(text=content.data, is_whole=content.size <= len(content.data), topics=found)


def _replace(top: int, ask: MemoryAsk, after: bytes | None) -> None:
    def checked(before: bytes | None) -> bytes | None:
        if before is None or digest_of(before) != ask.was:
            raise _ChangedError
        return after

    if ask.was:
        change_topic(top, ask.topic, checked)
    else:
        # Whatever is there, and however long: it need not be read.
        replace_topic(top, ask.topic, after)


def _purge(top: int, session: str) -> MemoryTold:
    """Take away every note of a session; what cannot be looked through is told, not skipped."""
    listing = list_topics(top)
    removed, is_whole = 0, listing.is_whole
    for topic in listing.topics:
        gone: list[int] = []

        def without(before: bytes | None, gone: list[int] = gone) -> bytes | None:
            notes = parse((before or b"").decode("utf-8", "surrogateescape"))
            kept = [note for note in notes if note.session != session]
            gone.append(len(notes) - len(kept))
            return render(kept).encode("utf-8", "surrogateescape") if kept else None

        try:
            content = read_topic(top, topic.name)
            if content is None or (
                content.size <= len(content.data) and session.encode() not in content.data
            ):
                continue
            change_topic(top, topic.name, without)
        except MemoryDirError:
            is_whole = False
        else:
            removed += gone[-1]
    return MemoryTold(removed=removed, is_whole=is_whole)
