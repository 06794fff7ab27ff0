"""Structured logs, redacted at the sink. Never message content.

`get_logger(name)` everywhere; `configure` once, in the process's main.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Literal, TextIO, cast

from ironclaw.core.log_file import BoundedLog
from ironclaw.core.log_limit import LineLimit
from ironclaw.core.structured import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

_SECRET_NAME = re.compile(
    r"(?i)(?:^|_)(?:key|secret|token|password|passwd|credential|auth|authorization|bearer|cookie)s?$"
)
_SECRET_VALUE = re.compile(
    r"(?i)\b(?:icl_[a-z0-9]{8,}|bearer\s+\S+|sk-[A-Za-z0-9_\-]{8,}|[0-9a-f]{64})\b"
)
REDACTED = "[redacted]"


Sink = TextIO | BoundedLog


def get_logger(name: str) -> FilteringBoundLogger:
    """Return a logger bound to the module's name."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=name))


def redact(value: str) -> str:
    """Return `value` with everything that looks like a secret replaced."""
    return _SECRET_VALUE.sub(REDACTED, value)


def configure(*, level: str = "info", form: Literal["json", "text"], sink: Sink) -> None:
    """Set up logging for this process.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        form: One JSON object a line, or text for people.
        sink: Where lines go.
    """
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sink.isatty())
    )
    structlog.configure(
        processors=[
            LineLimit(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact_event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", sink)),
        cache_logger_on_first_use=True,
    )


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = REDACTED
        elif isinstance(value, str):
            event[name] = redact(value)
    return event


configure(form="text", sink=sys.stderr)
