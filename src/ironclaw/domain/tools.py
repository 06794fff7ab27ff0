"""The tools that an agent may be given, by name. Pure.

The program in the box has them (`ironclaw_agent.tools`), and the host never imports that program;
a test keeps the two lists together.
"""

from __future__ import annotations

from typing import Final

TOOLS: Final = {
    "ask_user": "Ask the people you talk with, and wait for their answer, which is the result.",
    "clock": "Tell the time in UTC.",
    "conversation_search": "Search what was said in this chat and thread, long ago or before /new.",
    "edit_file": "Put a new text in place of an old one that is in a file of the workspace exactly "
    "once.",
    "list_files": "List one directory of the workspace, or of what people share: /shared.",
    "memory_list": "List the topics of this agent's memory, with their sizes.",
    "memory_read": "Read a topic of this agent's memory, up to 32 KiB at a time.",
    "memory_search": "Search the notes of this agent's memory for words, the best ones first.",
    "memory_write": "Note something in this agent's memory, for all of its conversations and for "
    "good.",
    "my_rights": "Tell what this agent may do and use now, and which of its requests are open.",
    "read_file": "Read a text file of the workspace or below /shared, up to 32 KiB at a time.",
    "request_change": "Ask the people of this agent for a change of what it is or may do.",
    "research": "Have up to four questions worked on side by side, by readers that only look.",
    "run_task": "Have one of this agent's tasks told now, beside its times.",
    "search_files": "Search the files of the workspace or below /shared for a text, line by line.",
    "send_file": "Send a file of the workspace, at most 16 MiB, to the chat you are in, or to one "
    "of the destinations of this agent.",
    "send_message": "Send a message to one of the destinations of this agent.",
    "tasks": "List what this agent does at times of its own, and what came of it last.",
    "tell": "Say something to the chat you are in while you go on: it is not the answer.",
    "todo": "Keep the list of what is to be done in long work, in /workspace/.todo.md.",
    "withdraw_change": "Take back a request of this agent that nobody has decided on.",
    "write_file": "Write a text file of the workspace: replace it, or append to it.",
}
"""Every tool's name, and what it does."""

HOST_TOOLS: Final = frozenset(
    {
        "conversation_search",
        "my_rights",
        "request_change",
        "run_task",
        "send_message",
        "tasks",
        "withdraw_change",
    }
)
"""Those that the host carries out: a box that has one of them is offered `tools.sock`."""
