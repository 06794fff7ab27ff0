"""`ironclaw question`."""

from __future__ import annotations

from typing import Annotated

import typer

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import daemon, when
from ironclaw.cli.options import Json
from ironclaw.domain.questions import as_text

question_app = typer.Typer(
    help="What agents ask people: list, answer.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@question_app.command("list")
def question_list(*, as_json: Json = False) -> None:
    """List the questions that you may answer, oldest first."""
    with daemon() as client:
        found = client.get("v1", "questions")
    if as_json:
        render.data(found)
        return
    for number, one in enumerate(found["questions"]):
        if number:
            render.line()
        head = f"{one['id']} {one['agent_name']}, until {when(one['expires_ms'])}"
        render.line(head, tone="strong")
        render.block(as_text(one["text"], one["options"], free_text=one["free_text"]))
    if not found["questions"]:
        render.note("Nobody asks anything.")


@question_app.command("answer")
def question_answer(
    question: Annotated[str, typer.Argument(help="Id of the question, qst_…")],
    text: Annotated[
        str,
        typer.Argument(
            help="The words of an option, its number, or words of your own where it takes them."
        ),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Answer a question; the first answer counts."""
    with daemon() as client:
        told = client.call("POST", "v1", "questions", question, "answer", body={"text": text})
    if as_json:
        render.data(told)
    else:
        render.line(f"answered {question}; the agent goes on")
