"""Tells channels what an agent is at, where they can show it. Best effort, the newest words only.

One at a time for each thread of a chat: a channel that is slow shows less, and holds up nobody.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.channels import Lively

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ironclaw.core.ids import ChatId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.channels import Channel
    from ironclaw.domain.model import Chat, Message

MAX_LANES: Final = 256
"""Threads of chats at once in which something is shown."""
TIMEOUT_S: Final = 5.0

_Lane = tuple["ChatId", str | None]

_log = get_logger("showing")


class Showing:
    """Shows what is done in chats of channels that can show it.

    Args:
        channels: By name.
        chats: Looks a chat up. Raises UserError, HostError.
    """

    def __init__(
        self, channels: Mapping[str, Channel], chats: Callable[[ChatId], Awaitable[Chat]]
    ) -> None:
        self._lively = {
            name: channel for name, channel in channels.items() if isinstance(channel, Lively)
        }
        self._chats = chats
        self._newest: dict[_Lane, str] = {}

    def show(self, tasks: Tasks, message: Message, text: str) -> None:
        """Show it where the message was said, unless too much is being shown already."""
        if not self._lively:
            return
        lane = (message.chat, message.thread)
        is_busy = lane in self._newest
        if not is_busy and len(self._newest) >= MAX_LANES:
            return
        self._newest[lane] = text
        if not is_busy:
            tasks.start(self._play(lane), name=f"show {message.chat}")

    async def _play(self, lane: _Lane) -> None:
        try:
            chat = await self._chats(lane[0])
            channel = self._lively.get(chat.channel)
            while channel is not None and (text := self._newest[lane]):
                self._newest[lane] = ""
                async with asyncio.timeout(TIMEOUT_S):
                    await channel.doing(chat, lane[1], text)
        except (IronClawError, TimeoutError) as error:
            _log.info("doing_not_shown", error=type(error).__name__)
        except Exception as bug:  # noqa: BLE001 - an adapter's bug must not end the service
            _log.error("channel_bug", error=type(bug).__name__)
        finally:
            del self._newest[lane]
