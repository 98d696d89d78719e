"""What it costs a handshake that somebody must show a token, and where it is best checked.

Four stacks side by side, each asked in turn so that all meet the same noise: no authentication,
a shared secret checked in the connect function, an issuer's token checked there, and the same
token checked by a Lambda authorizer before the connect function.

    python -m benchmarks.handshake [--times 40] [--cold 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from benchmarks.first_audio import Series
from tests.e2e.issuer import AUDIENCE, Issuer
from tests.e2e.stack import ROOT, process
from tests.unit.tokens import SECRET, SigningKey, shared_token

PLAIN = "no authentication"
AUTHORIZER = "issuer, authorizer before the connect function"
OWN_TEMPLATE = ROOT / "benchmarks" / "authorizer" / "template.yaml"


@contextlib.contextmanager
def started(template: Path, folder: Path, **parameters: str) -> Iterator[str]:
    """A stack without warm environments; its WebSocket URL."""
    command = [sys.executable, "-m", "samwire", "start", "--json", "--template", str(template)]
    command += ["--port", "0", "--tls-port", "0", "--quiet", "--parameter-overrides"]
    command += [f"{name}={value}" for name, value in parameters.items()]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    with process(command, folder / "stack.log", environment) as info:
        yield info["websocket_url"]


@contextlib.contextmanager
def cases(issuer: Issuer) -> Iterator[dict[str, tuple[str, str]]]:
    """URL and token of each case."""
    template, keys = ROOT / "template.yaml", {"ElevenLabsApiKey": "x"}
    checked = {"AuthIssuer": issuer.url, "AuthAudience": AUDIENCE}
    secret = shared_token({"sub": "ada", "exp": int(time.time()) + 3600})
    token = issuer.token("ada", exp=int(time.time()) + 3600)
    with contextlib.ExitStack() as running:

        def start(template: Path, **parameters: str) -> str:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
            return running.enter_context(started(template, folder, **parameters))

        yield {
            PLAIN: (start(template, **keys), ""),
            "secret, connect function": (
                start(template, **keys, AuthMode="secret", AuthSecret=SECRET),
                secret,
            ),
            "issuer, connect function": (
                start(template, **keys, AuthMode="oidc", **checked),
                token,
            ),
            AUTHORIZER: (start(OWN_TEMPLATE, **checked), token),
        }


async def handshake_ms(url: str, token: str) -> float:
    """From the first packet to 101."""
    offered = [Subprotocol("parley"), Subprotocol(token or "nothing")]
    began = time.perf_counter()
    async with connect(url, subprotocols=offered, open_timeout=60):
        return (time.perf_counter() - began) * 1000


async def measure(times: int, cold: int) -> tuple[dict[str, Series], dict[str, Series]]:
    """Warm and cold handshakes of every case."""
    warm: dict[str, Series] = {}
    first: dict[str, Series] = {}
    with Issuer(SigningKey("key")).serving() as issuer:
        for round_ in range(cold):
            with cases(issuer) as running:
                for name, (url, token) in running.items():
                    took = await handshake_ms(url, token)
                    first.setdefault(name, Series(name)).add(took)
                if round_ + 1 < cold:
                    continue
                for _ in range(times):
                    for name, (url, token) in running.items():
                        took = await handshake_ms(url, token)
                        warm.setdefault(name, Series(name)).add(took)
    return warm, first


def main() -> None:
    """Measure and print; with `--json`, write the figures to a file too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--cold", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warm, cold = asyncio.run(measure(options.times, options.cold))
    for kind, found in (("warm", warm), ("cold", cold)):
        columns = f"{'median':>8s} {'min':>8s} {'p90':>8s} {'max':>8s}     n  ratio"
        print(f"\n{kind + ', ms':48s} {columns}")
        for each in found.values():
            print(f"{each.name:48s} {each.row()}  {each.median / found[PLAIN].median:.2f}")
    if options.json:
        figures = {
            kind: {name: each.as_json() for name, each in found.items()}
            for kind, found in (("warm", warm), ("cold", cold))
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
