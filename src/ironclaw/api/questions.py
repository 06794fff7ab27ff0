"""Questions of agents: those that one may answer, and answering one by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.api.access import speaks_in
from ironclaw.api.bodies import AnswerQuestion, QuestionAnswered, QuestionList, QuestionOut
from ironclaw.api.endpoint import Call, Endpoint, encode
from ironclaw.core.ids import QuestionId
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from starlette.responses import Response

    from ironclaw.domain.questions import Question


async def list_questions(call: Call) -> Response:
    """The open questions that the caller may answer, oldest first."""
    waiting = await call.parts.house.questions.open()
    shown = [_view(question) for question in waiting if await _may_answer(call, question)]
    return encode(QuestionList(questions=shown))


async def _may_answer(call: Call, question: Question) -> bool:
    """Whether the caller may talk to the agent, and does in the chat that it asks in."""
    house = call.parts.house
    if Right.TALK not in await house.gateway.rights(call.actor, question.agent):
        return False
    return speaks_in(call.actor, await house.place_of(question.chat))


async def answer_question(call: Call) -> Response:
    """Answer one; the first answer counts."""
    body: AnswerQuestion = call.body
    question = QuestionId(call.path("question"))
    principal = call.actor.principal
    answered = await call.parts.house.questions.answer(question, body.text, principal=principal)
    message = answered.message
    return encode(
        QuestionAnswered(
            question=question,
            session=message.session,
            message=answered.turn or message.id,
            chat=message.chat,
            event=answered.event,
        )
    )


def _view(question: Question) -> QuestionOut:
    return QuestionOut(
        id=question.id,
        agent=question.agent,
        agent_name=question.agent_name,
        session=question.session,
        message=question.turn,
        chat=question.chat,
        thread=question.thread,
        text=question.text,
        options=list(question.choice.options),
        free_text=question.choice.free_text,
        asked_ms=question.asked_ms,
        expires_ms=question.expires_ms,
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/questions",
        Right.TALK,
        "any",
        "List the questions of agents that one may answer",
        list_questions,
        reply=QuestionList,
    ),
    Endpoint(
        "POST",
        "/v1/questions/{question}/answer",
        Right.TALK,
        "question",
        "Answer a question of an agent; the first answer counts",
        answer_question,
        body=AnswerQuestion,
        reply=QuestionAnswered,
    ),
)
