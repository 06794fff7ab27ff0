"""The four roots of errors. Anything else that is raised is our bug.

IronClawError
  UserError     the caller can mend it
  PolicyError   a rule refused it; audited, no traceback
  PeerError     a box lied or broke; its session ends, audited
    PostureError  it was launched less sealed than its spec says; it gets no session
  HostError     machine, runsc, disk, network, provider
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import CODES, Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.codes import CodeRow


class IronClawError(Exception):
    """Base of the four roots.

    `message` may reach the user, `hint` is the next step, `detail` is for operators only. None of
    them may hold a secret.
    """

    def __init__(self, code: Code, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.detail = detail

    @property
    def row(self) -> CodeRow:
        """Exit code, HTTP status and meaning."""
        return CODES[self.code]


class UserError(IronClawError):
    """The caller can mend it."""


class PolicyError(IronClawError):
    """A rule refused it."""


class PeerError(IronClawError):
    """A sandbox lied or broke."""


class PostureError(PeerError):
    """A launched box is not as sealed as its spec says (`POSTURE_FAILED`)."""

    def __init__(self, checks: Sequence[str], *, hint: str, detail: str = "") -> None:
        super().__init__(
            Code.POSTURE_FAILED,
            f"The sandbox is not sealed as its spec says: {', '.join(checks)}.",
            hint=hint,
            detail=detail,
        )
        self.checks = tuple(checks)
        """Names of the checks that failed."""


class HostError(IronClawError):
    """The machine, runsc, the disk, the network or a provider failed."""
