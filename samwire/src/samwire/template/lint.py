"""What cfn-lint says of a template, as problems and notices.

cfn-lint takes seconds: most of them to import. It runs in a process of its own while the stack
starts, and what it said of a template is kept, so that one that has not changed costs nothing.
Its errors are what AWS refuses; its warnings are notices. A template says itself which rules do
not apply to it, in `Metadata: cfn-lint: config: ignore_checks`.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samwire.template.intrinsics import TemplateError
from samwire.template.problems import Problem
from samwire.template.transform import written_out

TIMEOUT_S = 120
"""Far above what it needs, also on a machine that is busy."""
_MAX_KEPT = 64
_RULES = "https://github.com/aws-cloudformation/cfn-lint/blob/main/docs/rules.md"
"""For a rule that names no page."""
_OWN_CRASH = "E0002"
"""A rule that raised an exception: nothing that AWS says."""
_FORMAT = "1"
"""Of what is kept; changes when its meaning does."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What cfn-lint found.

    Attributes:
        notices: its warnings, or why it did not look.
    """

    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


async def lint(
    path: Path,
    overrides: Mapping[str, str],
    region: str,
    stored: Mapping[str, str],
    announce: Callable[[str], None],
) -> Findings:
    """Have a template looked at, unless what was said of it is known.

    Args:
        announce: takes a sentence before what takes seconds.
        overrides: values of parameters, which loops may be made of.
        stored: what SSM's parameter store holds, by name.
    """
    try:
        template = written_out(path, overrides, region, stored).template
    except TemplateError:
        return Findings()  # the reader says it
    text = json.dumps({"region": region, "template": template})
    kept = _kept(text)
    said = _read(kept)
    if said is None:
        announce("looking at the changed template with cfn-lint …")
        said = await _asked(text)
        if said is None:
            return Findings(notices=["cfn-lint did not look at the template: it failed."])
        _write(kept, said)
    return findings_of(said)


def findings_of(matches: list[dict[str, Any]]) -> Findings:
    """Return what matches of cfn-lint mean; each has `rule`, `page`, `message` and `path`."""
    found = Findings()
    for match in matches:
        path = [str(part) for part in match["path"]]
        section, logical_id, *rest = [*path, "", ""][: max(len(path), 2)]
        about = tuple(part for part in rest if part and part != "Properties")
        name = logical_id or section or "Template"
        problem = Problem(
            name,
            _sentence(match["message"], about),
            f"cfn-lint {match['rule']}, {match['page'] or _RULES}",
            about,
        )
        if match["rule"] == _OWN_CRASH:
            found.notices.append(f"cfn-lint failed at a rule: {problem}")
        elif match["rule"].startswith("E"):
            found.problems.append(problem)
        elif match["rule"].startswith("W"):
            found.notices.append(str(problem))
    return found


def _sentence(message: str, about: tuple[str, ...]) -> str:
    text = " ".join(message.split()).rstrip(".")
    return f"{'.'.join(about)}: {text}." if about else f"{text}."


async def _asked(text: str) -> list[dict[str, Any]] | None:
    """Return what cfn-lint says; None if it fails."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "samwire.template.lint_worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal is for the stack alone
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, _ = await child.communicate(text.encode())
        return list(json.loads(said)) if child.returncode == 0 else None
    except (TimeoutError, ValueError):
        return None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


# --- what is kept -----------------------------------------------------------------------------


def _kept(text: str) -> Path:
    """Return where the answer about a template is kept; it holds no value of a parameter."""
    version = importlib.metadata.version("cfn-lint")
    digest = hashlib.sha256(f"{_FORMAT} {version} {text}".encode()).hexdigest()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "samwire-cfn-lint" / f"{digest}.json"


def _read(kept: Path) -> list[dict[str, Any]] | None:
    try:
        return list(json.loads(kept.read_text()))
    except (OSError, ValueError):
        return None


def _write(kept: Path, said: list[dict[str, Any]]) -> None:
    """Keep an answer, and forget the oldest; where that is not possible, it is asked again."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        half = kept.with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(said))
        half.replace(kept)  # others may read it meanwhile
        files = sorted(kept.parent.glob("*.json"), key=lambda file: file.stat().st_mtime)
        for file in files[:-_MAX_KEPT]:
            file.unlink(missing_ok=True)
    except OSError:
        return
