"""How much processor time the processes of a local stack have used, by what they are.

From `/proc`, so on Linux only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
SETTLE_S = 60.0
LOOK_S = 0.3
IDLE_MS = 30.0
"""What a stack that is idle uses between two looks, at most."""
STANDINS = "stand-ins"
_FUNCTION = b"AWS_LAMBDA_FUNCTION_NAME="
_COMMANDS = {
    b"parley_standins": STANDINS,
    b"samwire.services": "AWS services",
    b"samwire": "gateway",
}


def cpu_ms() -> dict[str, float]:
    """Return what the descendants of this process have used so far, in ms, by role.

    A function's processes have its name: that of the template. What belongs to no stack is left
    out, and so is a process that has ended.
    """
    used: dict[str, float] = {}
    for pid in _descendants():
        try:
            role = _role(pid)
            if role:
                used[role] = used.get(role, 0.0) + _used_ms(pid)
        except OSError:  # it has ended meanwhile
            continue
    return used


def cpu_since(before: Mapping[str, float]) -> dict[str, float]:
    """Return what the stack, without its stand-ins, has used since `cpu_ms` said so, in ms."""
    used = {role: ms - before.get(role, 0.0) for role, ms in cpu_ms().items() if role != STANDINS}
    return {role: ms for role, ms in used.items() if ms > 0}


async def settle() -> None:
    """Wait until the stack has no more to do: what follows is not to share the machine with it.

    Raises:
        TimeoutError: it goes on and on.
    """
    async with asyncio.timeout(SETTLE_S):
        while True:
            before = cpu_ms()
            await asyncio.sleep(LOOK_S)
            if sum(cpu_since(before).values()) < IDLE_MS:
                return


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int(_fields(int(folder.name))[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _role(pid: int) -> str:
    for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if variable.startswith(_FUNCTION):
            return variable.rpartition(b"-")[2].decode()
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return next((role for part, role in _COMMANDS.items() if part in command), "")


def _used_ms(pid: int) -> float:
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) * TICK_MS


def _fields(pid: int) -> list[str]:
    """Return the fields of a process behind its name, which may have blanks in it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
