"""What freezing costs: warm invocations of a bare handler, frozen in between and not.

python benchmarks/warm_invocation.py [--count 300]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from samwire.runtime.environment import Surroundings
from samwire.runtime.options import ServiceOptions
from samwire.runtime.service import LambdaService
from samwire.template.model import Function

PAUSE_S = 0.01
"""Between invocations, so that the environment does come to stand still."""


def bare_function(folder: Path) -> Function:
    """A function that does nothing."""
    (folder / "bare.py").write_text("def handler(event, context):\n    return None\n")
    return Function(
        logical_id="Bare",
        name="bare",
        arn="arn:aws:lambda:us-east-1:123456789012:function:bare",
        handler="bare.handler",
        runtime="python3.13",
        code=folder,
        layers=(),
        environment={},
        timeout_s=10,
        memory_mb=128,
        reserved_concurrency=None,
        aliases=frozenset(),
    )


async def measure(folder: Path, count: int, *, freeze: bool) -> list[float]:
    """Milliseconds of warm invocations."""
    endpoints = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    around = Surroundings(endpoints, folder, lambda _source, _line: None, freeze=freeze)
    service = LambdaService([bare_function(folder)], around, ServiceOptions())
    await service.start(1)
    times = []
    for _ in range(count):
        await asyncio.sleep(PAUSE_S)
        began = time.perf_counter()
        await service.invoke("bare", b"{}")
        times.append((time.perf_counter() - began) * 1000)
    await service.stop()
    return times


def main() -> None:
    """Print the medians, two rounds of each in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        for freeze in (False, True, False, True):
            times = asyncio.run(measure(Path(folder), count, freeze=freeze))
            deciles = statistics.quantiles(times, n=10)
            print(
                f"{'frozen' if freeze else 'running':8} median {statistics.median(times):.2f} ms,"
                f" 10 % {deciles[0]:.2f} ms, 90 % {deciles[-1]:.2f} ms"
            )


if __name__ == "__main__":
    main()
