"""Ids: a prefix that says what it names, and 80 random bits in base32 (lower case, no padding)."""

from __future__ import annotations

import base64
import secrets
from typing import NewType

AgentId = NewType("AgentId", str)
"""`agt_…`"""
SessionId = NewType("SessionId", str)
"""`ses_…`"""
MessageId = NewType("MessageId", str)
"""`msg_…`: one inbound message."""
DeliveryId = NewType("DeliveryId", str)
"""`dlv_…`: one thing to say to one chat."""
ChatId = NewType("ChatId", str)
"""`cht_…`"""
WiringId = NewType("WiringId", str)
"""`wir_…`"""
SlotId = NewType("SlotId", str)
"""`slt_…`: also the runsc container id, with `ironclaw-` in front."""
TokenId = NewType("TokenId", str)
"""`tok_…`"""
ChangeId = NewType("ChangeId", str)
"""`chg_…`: one request to alter what an agent is or may do."""
GrantId = NewType("GrantId", str)
"""`grn_…`: what one applied change gave."""
TaskId = NewType("TaskId", str)
"""`tsk_…`: something to do at a time."""
QuestionId = NewType("QuestionId", str)
"""`qst_…`: something that a turn asked people."""
FileId = NewType("FileId", str)
"""`fil_…`: a file that came with a message; of the box's making when it goes out with words."""
PrincipalId = NewType("PrincipalId", str)
"""`<channel>:<handle>`; not of our making."""


def new_id(prefix: str) -> str:
    """Make a fresh id, for example `ses_k3v…`; wrap it in the NewType it is for."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(10)).decode().lower()}"
