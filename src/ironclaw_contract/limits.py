"""Every number that bounds what may cross the wall. Sizes are bytes unless the name says else."""

from __future__ import annotations

from typing import Final

CONTRACT_VERSION: Final = 1
"""Both sides refuse any other version in the hello and in a segment."""

KEY_BYTES: Final = 32
"""Session keys and everything derived from them."""

MAX_TEXT_BYTES: Final = 256 * 1024
"""One message or one reply, as UTF-8."""

MAX_BODY_BYTES: Final = 1024 * 1024
"""The encoded body of one record."""

MAX_RECORDS: Final = 256
"""Records in one segment."""

MAX_SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""One segment file; also the sandbox's RLIMIT_FSIZE on the queue."""

MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
"""One frame on an RPC socket, without its length prefix. Holds a whole model context."""

MAX_HELLO_BYTES: Final = 16 * 1024
"""The first frame on the bell."""

OUT_DIR_BYTES: Final = 32 * 1024 * 1024
OUT_DIR_INODES: Final = 512
"""What `/queue/out` may hold at once: the size and nr_inodes of its tmpfs."""

MAX_ARGUMENTS_CHARS: Final = 32 * 1024
"""The arguments of one use of a host tool."""

MAX_USED_CHARS: Final = 64 * 1024
"""The answer to it."""

MAX_TOOL_FRAME_BYTES: Final = 4 * MAX_USED_CHARS + 4096
"""One frame on `tools.sock`: holds the longest answer, whatever its characters are."""

MAX_ENTRIES: Final = 4096
"""Conversation entries in one model call or one history record."""

MAX_TOOLS: Final = 128
MAX_NAME_CHARS: Final = 128
MAX_ID_CHARS: Final = 64

MAX_PART_BYTES: Final = 512 * 1024
"""Bytes of a file in one record."""

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""One file that comes with a message, or goes out with words."""

MAX_FILES: Final = 8
"""Files of one message, or of one thing said."""

MAX_OPAQUE_CHARS: Final = 64 * 1024
"""What a provider wants back with its model's thoughts, word for word."""

SANDBOX_UID: Final = 65532
SANDBOX_GID: Final = 65532
"""`nonroot` inside the box."""
