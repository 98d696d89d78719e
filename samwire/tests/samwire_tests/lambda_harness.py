"""Lambda alone: real environments of functions that a test writes, without gateway or moto."""

from __future__ import annotations

import contextlib
import json
import textwrap
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samwire.faults.faults import Faults
from samwire.faults.plan import Plan, read_plan
from samwire.runtime.call import Result
from samwire.runtime.environment import Surroundings
from samwire.runtime.options import ServiceOptions
from samwire.runtime.service import LambdaService
from samwire.template.model import Function


@dataclass
class Harness:
    """A running Lambda service with one function, `F`.

    Attributes:
        lines: of the function's log.
        observed: what was reported of invocations.
        fired: kinds of the faults that have happened.
    """

    service: LambdaService
    code: Path
    folder: Path
    faults: Faults
    lines: list[str] = field(default_factory=list)
    observed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)

    async def invoke(self, **event: Any) -> Any:
        """What the function returns."""
        result = await self.invoked(**event)
        assert not result.error, result.payload
        return json.loads(result.payload)

    async def invoked(self, **event: Any) -> Result:
        """What an invocation comes to."""
        return await self.service.invoke("f", json.dumps(event).encode())

    def plan(self, *faults: Mapping[str, Any], seed: int = 0) -> None:
        """Have things go wrong."""
        self.faults.replace(read_plan(json.dumps({"seed": seed, "faults": list(faults)})))


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    source: str,
    *,
    options: ServiceOptions | None = None,
    freeze: bool = True,
    limit_processor: bool = False,
    files: Mapping[str, str] | None = None,
    prewarm: int = 0,
    **changed: Any,
) -> AsyncIterator[Harness]:
    """A function with a source, as a service of its own.

    Args:
        files: others in its folder, by name.
        prewarm: environments from the start.
    """
    code = folder / "code"
    code.mkdir()
    for name, text in (files or {}).items():
        (code / name).parent.mkdir(exist_ok=True)
        (code / name).write_text(text)
    (code / "app.py").write_text(textwrap.dedent(source))
    lines: list[str] = []
    observed: list[tuple[str, dict[str, Any]]] = []
    fired: list[str] = []
    faults = Faults(Plan(), lambda kind, _to: fired.append(kind))
    around = Surroundings(
        endpoints={"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        folder=folder,
        log=lambda _source, line: lines.append(line),
        observe=lambda kind, fields: observed.append((kind, dict(fields))),
        freeze=freeze,
        limit_processor=limit_processor,
    )
    service = LambdaService([function(code, **changed)], around, options, faults)
    await service.start(prewarm)
    try:
        yield Harness(service, code, folder, faults, lines, observed, fired)
    finally:
        await service.stop()


def function(code: Path, **changed: Any) -> Function:
    """A function whose sources are in a folder."""
    given: dict[str, Any] = {
        "logical_id": "F",
        "name": "f",
        "arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "handler": "app.handler",
        "runtime": "python3.13",
        "code": code,
        "layers": (),
        "environment": {},
        "timeout_s": 10.0,
        "memory_mb": 128,
        "reserved_concurrency": None,
        "aliases": frozenset(),
        **changed,
    }
    return Function(**given)
