"""Put the program together, serve one slot, and end with a code that says why.

Exit codes: 0 told to end, 1 a fault of ours, 3 the host's records were refused, 4 a mount is not
as it must be.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from ironclaw_agent import facts
from ironclaw_agent.link import Link
from ironclaw_agent.places import places
from ironclaw_agent.tools.host import HostTools
from ironclaw_agent.tools.table import Toolbox
from ironclaw_contract.codes import WireCode
from ironclaw_contract.records import ContractError

if TYPE_CHECKING:
    from types import FrameType

EXIT_FAULT: Final = 1
EXIT_REFUSED: Final = 3
EXIT_MOUNTS: Final = 4
_HEAP_BYTES: Final = 1024 * 1024


def run(root: str = "") -> int:
    """Serve until the end; return the exit code.

    Args:
        root: Put before every path; only tests say anything but the empty text.
    """
    signal.signal(signal.SIGTERM, _end)
    # Segments are read by the airlock through their group.
    os.umask(0o007)
    _keep_heap()
    where = places(root)
    try:
        toolbox = Toolbox(
            where.workspace, HostTools(where.tools), memory=where.memory, shared=where.shared
        )
        link = Link(where, toolbox, facts.gather(where.queue_in))
    except OSError as error:
        facts.complain(f"a mount is not as it must be (errno {error.errno})")
        return EXIT_MOUNTS
    try:
        link.serve()
    except ContractError as error:
        facts.complain(f"refused: {error}")
        return EXIT_REFUSED
    except OSError as error:
        facts.complain(f"a mount is not as it must be (errno {error.errno})")
        link.give_up(WireCode.INTERNAL, "a mount of the sandbox failed")
        return EXIT_MOUNTS
    except Exception as error:  # noqa: BLE001 - the link's edge: the host is told, then we end
        facts.complain(f"fault: {_place(error)}")
        link.give_up(WireCode.INTERNAL, "the agent program has a fault")
        return EXIT_FAULT
    return 0


def _keep_heap() -> None:
    """Make the C library keep freed memory up to twice `_HEAP_BYTES` instead of returning it.

    Otherwise every segment grows and shrinks the heap, and each page that comes back costs a fault,
    which is dear inside the sandbox. No page of this block is ever touched.

    Source:
        glibc's mallopt(3), M_MMAP_THRESHOLD: freeing a mapped block raises both thresholds.
    """
    bytes(_HEAP_BYTES)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _place(error: BaseException) -> str:
    """Type and place of an error, without its text: that may hold a person's words."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    module = code.co_filename.rsplit("/", 1)[-1]
    return f"{type(error).__name__} in {module}:{trace.tb_lineno} ({code.co_name})"
