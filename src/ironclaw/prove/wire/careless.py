"""A zygote whose airlocks lack one control, or a pile of them: the twins of queue and sockets.

    python -c … ironclaw.prove.wire.careless TWIN     (as `airlock.starter` boots a zygote)

A row alone changes nothing: `main` applies one, in the zygote's process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from ironclaw.airlock import zygote
from ironclaw.airlock.confine import CAPABILITIES, LANDLOCK, ROOT, SECCOMP
from ironclaw.prove.model import Twin
from ironclaw.prove.wire import careless_queue as q
from ironclaw.prove.wire import careless_sockets as s

if TYPE_CHECKING:
    from collections.abc import Callable

MODULE: Final = "ironclaw.prove.wire.careless"
GAP, ORDER, MAC = q.GAP, q.ORDER, q.MAC
NOFOLLOW: Final = "open O_NOFOLLOW"
REGULAR: Final = "fstat regular file"
ONE_LINK: Final = "fstat one link"
FILE_OWNER: Final = "fstat owner"
SEGMENT_SIZE: Final = "segment size limit"
WHOLE_PAGES: Final = "segment of whole pages"
RECORDS: Final = "segment record count limit"
BODY_SIZE: Final = "record body size limit"
SESSION_KEY: Final = "key of each session"
DIRECTION_KEY: Final = "key of each direction"
EPOCH: Final = "epoch in the genesis hash"
SESSION: Final = "session in the MAC"
CLOSED_BODIES: Final = "closed union of outbound bodies"
ENCRYPTED: Final = "page encryption"
EXACT_SCHEMA: Final = "exact schema text"
HARDENED: Final = "SQLite defensive settings and limits"
PRIVATE_COPY: Final = "private copy in memory"
SWEEP: Final = "sweep of foreign names"
SWEEP_STRICT: Final = "refusal of what does not go"
NAME_PATTERN: Final = "pattern of segment names"
FINAL_NAME: Final = "names of segments in the making"
HELLO_SIZE: Final = "hello size limit"
FRAME_SIZE: Final = "model frame size limit"
HELLO_TIME: Final = "hello deadline"
HELLO_TYPE: Final = "closed type of a hello"
ONE_HELLO: Final = "one hello and nothing behind it"
BELL_BYTES: Final = "closed set of bell bytes"
IN_SEQ: Final = "bound on what a box may have read"
ASK_UNION: Final = "closed union of model frames"
CLAIMED_FIRST: Final = "no questions before a claim"
OWN_CALLS: Final = "calls belong to their connection"
CALL_CAP: Final = "open calls limit"
CONNECTION_CAP: Final = "connections limit"
NEVER_BLOCKING: Final = "reading without waiting"
GONE: Final = "dropping of closed connections"

_ROWS: Final[dict[Twin, Callable[[], None]]] = {
    Twin("follows-links", (NOFOLLOW,)): q.follow_links,
    Twin("follows-links-anywhere", (NOFOLLOW, FILE_OWNER)): q.together(
        q.follow_links, q.believe_owners
    ),
    Twin("reads-any-kind", (REGULAR, ONE_LINK)): q.allow_any_kind,
    Twin("reads-shared-files", (ONE_LINK,)): q.allow_links,
    Twin("reads-any-size", (SEGMENT_SIZE,)): q.allow_any_size,
    Twin("reads-parts-of-pages", (WHOLE_PAGES,)): q.allow_parts_of_pages,
    Twin("reads-many-records", (RECORDS,)): q.allow_many_records,
    Twin("reads-long-bodies", (BODY_SIZE,)): q.allow_long_bodies,
    Twin("trusts-numbers", (GAP,)): q.trust(GAP),
    Twin("trusts-order", (ORDER,)): q.trust(ORDER),
    Twin("trusts-macs", (MAC,)): q.trust(MAC),
    Twin("trusts-everything", (GAP, ORDER, MAC)): q.trust(GAP, ORDER, MAC),
    Twin("one-key-for-all", (SESSION_KEY,)): q.one_key_for_all,
    Twin("one-key-for-both", (DIRECTION_KEY,)): q.one_key_for_both,
    Twin("forgets-epoch", (EPOCH,)): q.forget_epoch,
    Twin("forgets-session", (SESSION,)): q.forget_session,
    Twin("reads-any-body", (CLOSED_BODIES,)): q.read_any_body,
    Twin("reads-plain", (ENCRYPTED,)): q.read_plain,
    Twin("reads-any-schema", (EXACT_SCHEMA,)): q.read_any_schema,
    Twin("reads-views", (EXACT_SCHEMA, HARDENED)): q.together(q.read_any_schema, q.soften),
    Twin("reads-without-bounds", (HARDENED, RECORDS)): q.read_without_bounds,
    Twin("reads-in-place", (PRIVATE_COPY, ROOT, LANDLOCK, SECCOMP, CAPABILITIES)): q.read_in_place,
    Twin("reads-with-rights", (CAPABILITIES,)): q.keep_capabilities,
    Twin("races", (NOFOLLOW, MAC)): q.together(q.follow_links, q.trust(MAC)),
    Twin("sweeps-nothing", (SWEEP,)): q.sweep_nothing,
    Twin("passes-over", (SWEEP_STRICT,)): q.leave_what_does_not_go,
    Twin("reads-any-digit", (NAME_PATTERN,)): q.read_any_digit,
    Twin("reads-unfinished", (FINAL_NAME,)): q.read_what_is_being_written,
    Twin("large-hellos", (HELLO_SIZE,)): s.allow_large_hellos,
    Twin("large-frames", (FRAME_SIZE,)): s.allow_large_frames,
    Twin("patient", (HELLO_TIME,)): s.wait_for_hello,
    Twin("greets-anybody", (HELLO_TYPE,)): s.greet_anybody,
    Twin("talkative", (ONE_HELLO,)): s.allow_more_than_hello,
    Twin("deaf", (BELL_BYTES,)): s.pass_over_bytes,
    Twin("believes", (IN_SEQ,)): s.believe_in_seq,
    Twin("asks-anything", (ASK_UNION,)): s.ask_anything,
    Twin("asks-early", (CLAIMED_FIRST,)): s.ask_at_any_time,
    Twin("cancels-for-anybody", (OWN_CALLS,)): s.cancel_for_anybody,
    Twin("many-calls", (CALL_CAP,)): s.allow_many_calls,
    Twin("many-connections", (CONNECTION_CAP,)): s.allow_many_connections,
    Twin("waits-for-frames", (NEVER_BLOCKING,)): s.wait_for_frames,
    Twin("keeps-the-gone", (GONE,)): s.keep_the_gone,
}
TWINS: Final = tuple(_ROWS)
"""Twins whose airlock is weaker; the box is production's."""
_BY_NAME: Final = {twin.name: change for twin, change in _ROWS.items()}


def main(control_fd: int) -> None:
    """Be a zygote without a control. The last argument names the twin."""
    _BY_NAME[sys.argv[-1]]()
    zygote.main(control_fd)
