"""What the model is told of the tools that run in the box. What the host carries out is in `host`.

Each tool's strict arguments are a struct of its own module; a test keeps the two equal. Those
modules are loaded when a tool is first called: an agent that uses none does not pay for them.
"""

from __future__ import annotations

from typing import Final

from ironclaw_contract.rpc import ToolSpec

_PATH: Final = '"path":{"type":"string","description":"Path of the file, from /workspace."}'
_READ_PATH: Final = (
    '"path":{"type":"string","description":"Path of the file, from /workspace; or below /shared, '
    'where it begins with /shared/."}'
)
_TOPIC: Final = (
    '"topic":{"type":"string","minLength":1,"maxLength":100,'
    '"description":"Name of the topic: a-z, 0-9 and -, at most 48 of them."}'
)


def _object(properties: str, *required: str) -> str:
    names = ",".join(f'"{name}"' for name in required)
    must = f'"required":[{names}],' if required else ""
    return f'{{"type":"object","properties":{{{properties}}},{must}"additionalProperties":false}}'


ASK: Final = ToolSpec(
    name="ask_user",
    description="Ask the people you talk with, and wait for their answer, which is the result. Ask "
    "where you cannot go on without them: a choice that is theirs, something only they know. Give "
    "options where there are few answers: they are shown as buttons. Your turn stands still until "
    "they answer; if nobody does in time, or they write something else, you are told so.",
    parameters='{"type":"object","properties":{'
    '"question":{"type":"string","minLength":1,"maxLength":4000,"description":"What you ask, all '
    'of it: people see nothing else of your work."},'
    '"options":{"type":"array","maxItems":10,"items":{"type":"string","minLength":1,'
    '"maxLength":80},"description":"Answers to choose from, each different and one line."},'
    '"free_text":{"type":"boolean","description":"Whether words of their own are an answer too; '
    'true if left out. Without options it is."},'
    '"wait_s":{"type":"integer","minimum":60,"maximum":604800,'
    '"description":"Seconds to wait for an answer; a day if left out."}},'
    '"required":["question"],"additionalProperties":false}',
)
"""Not run as a tool: the turn waits for people (`ironclaw_agent.asking`)."""

RESEARCH: Final = ToolSpec(
    name="research",
    description="Have up to four questions worked on side by side, by readers that only look. Each "
    "has the files, notes and former conversations that you may read, and nothing of this turn: "
    "say in the question all that its reader must know, and what you want back. What they find "
    "comes back as data, in the order of the questions. Each step of theirs is a model call of "
    "yours: what a few reads would tell, read yourself.",
    parameters=_object(
        '"questions":{"type":"array","minItems":1,"maxItems":4,'
        '"items":{"type":"string","minLength":1,"maxLength":4000},'
        '"description":"What is to be found out; each stands for itself."},'
        '"max_steps":{"type":"integer","minimum":1,"maximum":8,'
        '"description":"Model calls of each reader, at most; 6 if left out."}',
        "questions",
    ),
)
"""Not run as a tool: the turn machine works on the questions (`ironclaw_agent.research`)."""

SEND_FILE: Final = ToolSpec(
    name="send_file",
    description="Send a file of the workspace, at most 16 MiB, to the chat you are in, or to one "
    "of the destinations of this agent. Say in the caption what it is.",
    parameters=_object(
        f"{_PATH},"
        '"caption":{"type":"string","maxLength":4000,"description":"Words that go with it."},'
        '"destination":{"type":"string","maxLength":63,'
        '"description":"Name of a destination; the chat you are in if left out."}',
        "path",
    ),
)
"""Of the program's table, and not of those that only look and write."""

TELL: Final = ToolSpec(
    name="tell",
    description="Say something to the chat you are in while you go on: it is not the answer. Say "
    "what you have found so far, or that it takes longer. People wait for your answer still, and "
    "what comes at the end belongs in it. At most 8 times in a turn.",
    parameters=_object(
        '"text":{"type":"string","minLength":1,"maxLength":4000,"description":"What you say."}',
        "text",
    ),
)
"""Of the program's table as well."""

SPECS: Final = (
    ToolSpec(name="clock", description="Tell the time in UTC.", parameters=_object("")),
    ToolSpec(
        name="edit_file",
        description="Put a new text in place of an old one that is in a file of the workspace "
        "exactly once. Copy the old text exactly, with enough around it that it is there once.",
        parameters=_object(
            f"{_PATH},"
            '"old":{"type":"string","minLength":1,"description":"Text that is there now."},'
            '"new":{"type":"string","description":"Text to have instead; empty takes it out."}',
            "path",
            "old",
            "new",
        ),
    ),
    ToolSpec(
        name="list_files",
        description="List one directory of the workspace, or of what people share: /shared.",
        parameters=_object(
            '"path":{"type":"string","description":"Directory, from /workspace, or /shared and '
            'below; /workspace if left out."}'
        ),
    ),
    ToolSpec(
        name="memory_list",
        description="List the topics of this agent's memory, with their sizes.",
        parameters=_object(""),
    ),
    ToolSpec(
        name="memory_read",
        description="Read a topic of this agent's memory, up to 32 KiB at a time. Each note stands "
        "below a line that says who had it written, when, and whether it is tainted.",
        parameters=_object(
            f"{_TOPIC},"
            '"offset":{"type":"integer","minimum":0,'
            '"description":"Byte to begin at; 0 if left out."}',
            "topic",
        ),
    ),
    ToolSpec(
        name="memory_search",
        description="Search the notes of this agent's memory for words, the best ones first.",
        parameters=_object(
            '"query":{"type":"string","minLength":1,"maxLength":500,'
            '"description":"Words to look for."}',
            "query",
        ),
    ),
    ToolSpec(
        name="memory_write",
        description="Note something in this agent's memory, for all of its conversations and for "
        "good. People can read and edit it. Keep no secrets there, and nothing that was said in "
        "confidence.",
        parameters=_object(
            f"{_TOPIC},"
            '"text":{"type":"string","maxLength":8000,"description":"The note, as Markdown."},'
            '"replace":{"type":"boolean","description":"Put it in place of all that the topic '
            'holds; without text, forget the topic."}',
            "topic",
            "text",
        ),
    ),
    ToolSpec(
        name="read_file",
        description="Read a text file of the workspace or below /shared, up to 32 KiB at a time.",
        parameters=_object(
            f"{_READ_PATH},"
            '"offset":{"type":"integer","minimum":0,'
            '"description":"Byte to begin at; 0 if left out."}',
            "path",
        ),
    ),
    ToolSpec(
        name="search_files",
        description="Search the files of the workspace or below /shared for a text, line by line. "
        "Gives at most 100 lines, as path:line: text. Files that are no text are passed over.",
        parameters=_object(
            '"text":{"type":"string","minLength":1,"maxLength":500,'
            '"description":"What to look for, within a line."},'
            '"path":{"type":"string",'
            '"description":"Directory to look below, from /workspace, or /shared and below; '
            '/workspace if left out."},'
            '"ending":{"type":"string","maxLength":100,'
            '"description":"Only files whose names end so, for example .md."},'
            '"ignore_case":{"type":"boolean","description":"Take A for a."},'
            '"stars":{"type":"boolean",'
            '"description":"Let each * of the text stand for anything within the line."}',
            "text",
        ),
    ),
    ToolSpec(
        name="todo",
        description="Keep the list of what is to be done in long work, in /workspace/.todo.md. "
        "The whole list comes back; without arguments, show it.",
        parameters=_object(
            '"done":{"type":"array","maxItems":100,'
            '"items":{"type":"integer","minimum":1,"maximum":100},'
            '"description":"Numbers of the items that are done."},'
            '"clear":{"type":"boolean","description":"Take away all that is done."},'
            '"add":{"type":"array","maxItems":100,'
            '"items":{"type":"string","minLength":1,"maxLength":300},'
            '"description":"Items to add at the end, each one line."}'
        ),
    ),
    ToolSpec(
        name="write_file",
        description="Write a text file of the workspace: replace it, or append to it. Directories "
        "on the way are made.",
        parameters=_object(
            f"{_PATH},"
            '"text":{"type":"string","description":"What to write."},'
            '"append":{"type":"boolean","description":"Add to the end instead of replacing."}',
            "path",
            "text",
        ),
    ),
)
