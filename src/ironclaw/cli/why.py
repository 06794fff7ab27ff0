"""`ironclaw why`: what the audit has of an id, in order, in words."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.options import Json, settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError


def why(
    ref: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Id of a message, session, delivery, agent, slot, chat, wiring or token; a "
            "receipt's digest; a principal.",
        ),
    ],
    *,
    records: Annotated[
        int, typer.Option("--records", "-n", min=1, max=1000, help="Newest records told.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """Tell what the audit has of an id, oldest first, also while no daemon runs."""
    from ironclaw.domain.audit_kinds import in_words  # noqa: PLC0415 - only here

    try:
        with daemon() as client:
            found = client.get("v1", "why", query=f"id={quote(ref, safe='')}&limit={records}")
    except UserError as error:
        if error.code is not Code.NOT_RUNNING:
            raise
        from ironclaw.offline import open_audit  # noqa: PLC0415 - heavy

        with open_audit(settings()) as house:
            story = house.story(ref, limit=records)
        found = {
            "kind": story.kind,
            "records": msgspec.to_builtins(story.records),
            "words": [in_words(one) for one in story.records],
        }
    if not found["records"]:
        raise UserError(
            Code.NOT_FOUND,
            f"The audit has nothing of {ref[:80]!r}.",
            hint="It has ids, receipts' digests, principals; `ironclaw audit tail` shows some.",
        )
    if as_json:
        render.data(found)
        return
    render.line(f"{ref} ({found['kind']})", tone="strong")
    for record, words in zip(found["records"], found["words"], strict=True):
        render.line(f"  {when(record['at_ms'])}  #{record['number']}  {words}")
