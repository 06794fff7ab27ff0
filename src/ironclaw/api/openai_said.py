"""What a client says, out of everything that it sends again with each request. Pure.

of_chat | of_response -> Said: the newest words of the user, and what they follow

Only the newest words are news. The rest is a client's word for what was said before: it serves to
find the conversation (`openai_chats`) and is never delivered, so nobody can plant a memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ironclaw.api.openai_bodies import (
    ChatMessage,
    ChatRequest,
    Content,
    Format,
    Item,
    ResponsesRequest,
)
from ironclaw.api.openai_files import FILE_TYPES, NO_WORDS, uploads, without_note
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.domain.model import Upload

_TEXTS: Final = {"text", "input_text", "output_text"}
_RULES: Final = {"system", "developer"}


class Line(NamedTuple):
    """Something that was said before, as the client has it."""

    speaker: Literal["user", "assistant"]
    text: str


class Said(NamedTuple):
    """One request, understood."""

    text: str
    """The newest words of the user; not blank."""
    files: tuple[Upload, ...] = ()
    """What came with them."""
    past: tuple[Line, ...] = ()
    """What came before, without the host's and the client's own rules."""
    ignores_rules: bool = False
    """Whether it had system or developer messages: they would change who the agent is."""

    @property
    def first(self) -> str:
        """What the user said first."""
        return next((line.text for line in self.past if line.speaker == "user"), self.text)

    @property
    def is_opening(self) -> bool:
        """Whether the user has said nothing before."""
        return all(line.speaker != "user" for line in self.past)

    def of(self, speaker: Literal["user", "assistant"]) -> list[str]:
        """What one of them said, from the user's first words on and without the newest."""
        begin = next(
            (n for n, line in enumerate(self.past) if line.speaker == "user"), len(self.past)
        )
        return [line.text for line in self.past[begin:] if line.speaker == speaker]


def of_chat(body: ChatRequest) -> Said:
    """Understand a chat completion.

    Raises:
        UserError: `INVALID`, for what an agent cannot be asked for.
    """
    _check_tools(bool(body.tools or body.functions) or body.web_search_options is not None)
    if body.n not in {None, 1}:
        raise _cannot("`n` is over 1", "An agent answers once: ask again for another answer.")
    if body.logprobs:
        raise _cannot("`logprobs` is true", "An agent's words have no probabilities.")
    if "audio" in (body.modalities or ()):
        raise _cannot("`modalities` has audio", "Ask for text.")
    _check_format("response_format", body.response_format)
    return _said(body.messages, ignores_rules=False)


def of_response(body: ResponsesRequest) -> Said:
    """Understand a response.

    Raises:
        UserError: `INVALID`, for what an agent cannot be asked for.
    """
    _check_tools(bool(body.tools))
    if body.background:
        raise _cannot(
            "`background` is true",
            "Leave the request: the agent goes on, and its reply is kept in the chat.",
        )
    if body.prompt is not None:
        raise _cannot("`prompt` names a template", "Send the words themselves as `input`.")
    if body.previous_response_id is not None and body.conversation is not None:
        raise _cannot(
            "`previous_response_id` and `conversation` are both there", "Send one of the two."
        )
    _check_format("text.format", None if body.text is None else body.text.format)
    has_rules = bool(body.instructions)
    if isinstance(body.input, str):
        return _said((Item(role="user", content=body.input),), ignores_rules=has_rules)
    return _said(body.input, ignores_rules=has_rules)


def _said(entries: Sequence[ChatMessage | Item], *, ignores_rules: bool) -> Said:
    lines: list[Line] = []
    newest: ChatMessage | Item | None = None
    for entry in entries:
        if entry.role in _RULES:
            ignores_rules = True
            continue
        newest = None
        if isinstance(entry, Item) and entry.type != "message":
            continue
        if entry.role == "user" or entry.role == "assistant":  # noqa: PLR1714 - for the type
            newest = entry
            lines.append(Line(entry.role, _line(entry)))
    if newest is None or newest.role != "user":
        raise _cannot(
            "the last message is not the user's",
            "Send what is said to the agent as the last message; results of tools and beginnings "
            "of answers are not taken.",
        )
    _check_parts(newest.content)
    text = lines[-1].text
    if not text.strip():
        raise _cannot("the user's last message has no text", "Say something.")
    past = tuple(line for line in lines[:-1] if line.text.strip())
    files = () if isinstance(newest.content, str) else uploads(newest.content or ())
    return Said(text, files, past, ignores_rules)


def _text_of(content: Content) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text or "" for part in content if part.type in _TEXTS)


def _line(entry: ChatMessage | Item) -> str:
    """What a message says, as it is kept: a file alone has words of ours."""
    text = _text_of(entry.content)
    if entry.role == "assistant":
        return without_note(text)
    has_files = not isinstance(entry.content, str) and any(
        part.type in FILE_TYPES for part in entry.content or ()
    )
    return NO_WORDS if has_files and not text.strip() else text


def _check_parts(content: Content) -> None:
    for part in () if content is None or isinstance(content, str) else content:
        if part.type not in _TEXTS and part.type not in FILE_TYPES:
            raise _cannot(
                f"it has a part of type {part.type!r}",
                "Send text, images, sound and files.",
            )


def _check_tools(brings_tools: bool) -> None:  # noqa: FBT001 - its one argument
    if brings_tools:
        raise _cannot(
            "it brings tools",
            "An agent has tools of its own and takes no others: leave `tools`, `functions` and "
            "`web_search_options` out. `ironclaw agent tools` changes what it has.",
        )


def _check_format(name: str, form: Format | None) -> None:
    if form is not None and form.type != "text":
        raise _cannot(
            f"`{name}` asks for {form.type!r}",
            "An agent answers in text: say in words what you need.",
        )


def _cannot(what: str, hint: str) -> UserError:
    return UserError(Code.INVALID, f"The request cannot be taken: {what}.", hint=hint)
