"""Writing past the system's cache of files, where it can be: what is flushed in any case need not be copied there first.

The copy, and the system's later search for it, take as long as hashing the same bytes five times. Linux only; a file
system or memory that does not suit (it has to begin and end at a multiple of 4096 bytes) is written to as always.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Final

LEAST: Final = 1 << 18  # bytes that are worth it
_UNIT: Final = 4096


def write_past_cache(file: int, data: memoryview) -> int:
    """Write the beginning of some memory to an open file, which holds whole units; how many bytes of it, which may be none.

    What is left is for an ordinary write. It is on the disk after a flush, as what is written otherwise.
    """
    if sys.platform != "linux":
        return 0
    import fcntl

    done, whole = 0, len(data) - len(data) % _UNIT
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, flags | os.O_DIRECT)
        while done < whole:
            done += os.write(file, data[done:whole])
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        fcntl.fcntl(file, fcntl.F_SETFL, flags)
    return done
