"""What the verbs that change something share: ask, show the card, decide where one may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import typer

from ironclaw.cli import cards, render
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.options import seconds
from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.domain.cards import Card
from ironclaw.domain.changes.checking import NOTHING_TO_DO

if TYPE_CHECKING:
    from ironclaw.cli.client import Client

WORDS: Final = {
    "pending": "waits for a decision",
    "approved": "approved; about to be applied",
    "applied": "applied; running boxes are being told",
    "done": "done, and in force",
    "failed": "approved, but could not be applied",
    "denied": "denied",
    "expired": "expired: nobody decided on it",
    "withdrawn": "withdrawn",
    "overtaken": "over: nothing was left to do",
}


def ask_for(
    spec: dict[str, Any],
    *,
    reason: str = "",
    lasts: str | None = None,
    despite: str | None = None,
    yes: bool = False,
    as_json: bool = False,
) -> None:
    """Ask for a change; show its card; approve it where the caller may and says so.

    What is so already is asked of nobody, and is no error: whoever runs a command twice has what
    they want.

    Args:
        spec: What shall be; `kind` names the sort of change, `agent` may be a name.
        reason: Why.
        lasts: How long, as people write it; None: for good.
        despite: A denial to be set aside.
        yes: Approve without asking.
        as_json: Print the change as it is in the end, and nothing else.
    """
    body = {"change": spec, "reason": reason, "grant_s": seconds(lasts), "despite": despite}
    with daemon() as client:
        try:
            view = client.call("POST", "v1", "changes", body=body)
        except UserError as error:
            if not is_so_already(error):
                raise
            tell_so(error, as_json=as_json)
            return
        if not as_json:
            show_card(view)
        is_open, is_mine = view["row"]["status"] == "pending", view["may_decide"]
        if is_open and is_mine:
            view = _settle(client, view, yes=yes, as_json=as_json)
    tell(view, as_json=as_json)
    if yes and is_open and not is_mine:
        render.note("Not approved: --yes is a yes only where the decision is yours.", tone="warn")


def is_so_already(error: UserError) -> bool:
    """Whether a change was refused as there is nothing to change."""
    return (error.code, error.hint) == (Code.CONFLICT, NOTHING_TO_DO)


def tell_so(error: UserError, *, as_json: bool) -> None:
    """Say how it is already."""
    if as_json:
        render.data({"unchanged": True, "message": error.message})
    else:
        render.line(f"{error.message} Nothing is asked for.")


def _settle(client: Client, view: dict[str, Any], *, yes: bool, as_json: bool) -> dict[str, Any]:
    """Decide on one's own request, where that is allowed; it stays pending otherwise."""
    if not yes and (as_json or view["not_yet"] or not render.is_seen()):
        return view
    name = view["row"]["change"]["id"]
    back = f"`ironclaw change withdraw {name}` takes it back."
    if not yes and not agreed(view, "Approve this? [y/N] ", otherwise=back):
        return view
    return decide(client, view, approve=True, words="")


def agreed(view: dict[str, Any], question: str, *, otherwise: str) -> bool:
    """Whether a person types yes to the card that they see.

    Else they are told that it waits, and `otherwise`: what they may do instead.
    """
    name = view["row"]["change"]["id"]
    try:
        said = render.ask(question) or ""
    except (KeyboardInterrupt, typer.Abort):
        render.note("")
        _say_waits(name, otherwise)
        raise
    if said.strip().lower() in {"y", "yes"}:
        return True
    _say_waits(name, otherwise)
    return False


def _say_waits(name: str, otherwise: str) -> None:
    render.note(f"Nothing was decided: {name} stays pending. {otherwise}", tone="warn")


def decide(client: Client, view: dict[str, Any], *, approve: bool, words: str) -> dict[str, Any]:
    """Send a decision on exactly what `view` has shown."""
    card = view["card"]
    body = {
        "approve": approve,
        "hash": card["hash"],
        "state": card["state"],
        "card": card["version"],
        "words": words,
    }
    decided: dict[str, Any] = client.call(
        "POST", "v1", "changes", view["row"]["change"]["id"], "decision", body=body
    )
    return decided


def show_card(view: dict[str, Any]) -> None:
    """Show the card of a change to a person."""
    try:
        card = msgspec.convert(view["card"], Card)
    except msgspec.ValidationError as error:
        raise HostError(
            Code.UNAVAILABLE,
            "The daemon shows its changes in a form that this command does not know.",
            hint="Command and daemon are of different versions: restart the daemon.",
        ) from error
    cards.show(card)
    render.line()


def tell(view: dict[str, Any], *, as_json: bool) -> None:
    """Say where a change is, and what comes next.

    Raises:
        UserError: It could not be applied.
        typer.Exit: As that, after its JSON was printed.
    """
    row = view["row"]
    name, status = row["change"]["id"], row["status"]
    if as_json:
        render.data(view)
        if status == "failed":
            raise typer.Exit(CODES[_code(row["code"])].exit_code)
        return
    if status == "failed":
        raise UserError(
            _code(row["code"]),
            f"{name} was approved, but could not be applied: {row['problem']}",
            hint=f"`ironclaw change retry {name}` tries again; nothing was changed.",
        )
    tone: render.Tone = {"done": "good", "denied": "bad"}.get(status, "plain")  # type: ignore[assignment] # two of its words
    render.line(f"{name}: {_where(view)}", tone="plain" if _ended(row) else tone)
    if view["is_twin"]:
        asked = when(row["change"]["created_ms"])
        render.note(
            f"Nothing new was asked for: this is what you asked for at {asked}.", tone="warn"
        )
    if status == "pending":
        _say_who(view)


def _where(view: dict[str, Any]) -> str:
    """Where a change is, in words; of what it gave, how that has ended."""
    row = view["row"]
    if row["status"] == "pending" and view["approvals"]:
        return (
            f"recorded: {view['approvals']} of {view['people']} have approved it; it needs another "
            "person"
        )
    if ended := _ended(row):
        return f"done; what it gave {ended}"
    if row["status"] == "overtaken":
        return f"over, as nothing was left to do. {row['problem']}"
    return WORDS.get(row["status"], str(row["status"]))


def _ended(row: dict[str, Any]) -> str:
    """How what a change gave has ended; empty when it has not, or gave nothing that can."""
    grant = row["grant"]
    if grant is None or grant["ended_ms"] is None:
        return ""
    how = {
        "revoked": f"was taken back by {grant['ended_by']}",
        "expired": "has expired: its time is over",
    }.get(grant["ended_why"], "is gone: another change took its place")
    because = f": {grant['ended_words']}" if grant["ended_words"] else ""
    return f"{how}, at {when(grant['ended_ms'])}{because}"


def _say_who(view: dict[str, Any]) -> None:
    name = view["row"]["change"]["id"]
    if view["not_yet"]:
        no = f" `ironclaw reject {name}` says no to it." if view["may_decide"] else ""
        render.note(
            f"It cannot be approved as things are. {view['not_yet']} {view['way_on']}{no}",
            tone="warn",
        )
        return
    if view["may_decide"]:
        render.note(f"Yours to decide: `ironclaw approve {name}` or `ironclaw reject {name}`.")
        return
    why_not = view["why_not"] or "It is not yours to decide."
    roles = " or ".join(view["deciders"]) or "nobody"
    people = "" if view["people"] == 1 else f", {view['people']} different people"
    # A reason that names them says it all.
    needs = "" if "It needs: " in why_not else f" It needs: {roles}{people}."
    render.note(f"{why_not}{needs}")


def _code(text: str) -> Code:
    return Code(text) if text in set(Code) else Code.UNAVAILABLE
