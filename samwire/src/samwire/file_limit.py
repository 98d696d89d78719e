"""How many files, sockets included, a process may have open.

A connection is one, and shells allow 1024 (Linux) or 256 (macOS) unless told otherwise. The stack
takes more; its functions get what Lambda gives them.
"""

from __future__ import annotations

import contextlib
import resource

STACK_FILES = 10_240
"""The most that macOS lets a process ask for (OPEN_MAX)."""
FUNCTION_FILES = 1024
"""Of an execution environment ("Lambda quotas")."""


def allow_the_stack() -> None:
    """Raise this process's limit, as far as the system allows it; lower it never."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = STACK_FILES if hard == resource.RLIM_INFINITY else min(STACK_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit_the_function() -> None:
    """Lower this process's limit to Lambda's, for good; a lower one stays."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = FUNCTION_FILES if hard == resource.RLIM_INFINITY else min(FUNCTION_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
