"""moto's server as a process of its own, with connections kept alive.

moto's own command speaks HTTP/1.0: every call opens a connection. Prints its port on
stdout when it is ready, and behind it what there is to know of the file with the tables; then a
line for every call that was not allowed.

    python -m samwire.services.moto_server PARENT_PID [PORT]

Only what is signed with a key of the stack is answered. Its own key comes in the environment
(`samwire.services.own_key`): no other user of the machine can read that.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from samwire.cross_site import CrossSiteGuard
from samwire.faults.latency import LATENCY, Delays, Latency
from samwire.parent_process import end_with_parent
from samwire.permissions.wsgi import PermissionsInFront
from samwire.services.db_path import DB_PATH
from samwire.services.dynamodb_front import DynamoDbInFront
from samwire.services.moto_knowledge import (
    issued_secret,
    key_names,
    name_secrets_as_the_template_does,
    partition_key,
)
from samwire.services.moto_speed import make_quick
from samwire.services.own_key import OwnKey
from samwire.services.signed_calls import SignedCallsOnly
from samwire.services.signed_links import is_signed_link
from samwire.services.table_changes import TableChanges
from samwire.services.table_file import TableFile
from samwire.services.throttling import ThrottlingInFront
from samwire.services.wsgi import Wsgi, serving
from samwire.template.intrinsics import ACCOUNT_ID


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    """Serve until killed."""
    end_with_parent(int(sys.argv[1]))
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    own = OwnKey.from_variables(os.environ)
    make_quick()
    name_secrets_as_the_template_does()
    others: Wsgi = DomainDispatcherApplication(create_backend_app)
    app: Wsgi = DynamoDbInFront(others, ACCOUNT_ID, lambda key: stacks_secret(key) is not None)
    folder = os.environ.get(DB_PATH)
    file = TableFile(Path(folder)) if folder else None
    if file is not None:
        app = TableChanges(app, file, key_names)
    asked = PermissionsInFront(ThrottlingInFront(app), ACCOUNT_ID, partition_key, _say)

    def stacks_secret(access_key_id: str) -> str | None:
        return own.secret_of(access_key_id) or asked.secret_of(access_key_id)

    def secret_of(access_key_id: str) -> str | None:
        return stacks_secret(access_key_id) or issued_secret(access_key_id)

    is_given = partial(is_signed_link, secret_of=secret_of)
    signed = SignedCallsOnly(asked, secret_of, is_given, own.hint)
    gc.freeze()  # what is imported is there for good: no collection need look at it
    latency = msgspec.json.decode(os.environ.get(LATENCY, "{}"), type=Latency)
    asyncio.run(_serve(CrossSiteGuard(signed, is_given), port, Delays(latency), file))


async def _serve(app: Wsgi, port: int, delays: Delays, file: TableFile | None) -> None:
    def delay(environ: Mapping[str, Any]) -> float:
        is_dynamodb = str(environ.get("HTTP_X_AMZ_TARGET", "")).startswith("DynamoDB_")
        return delays.next_s("dynamodb_ms") if is_dynamodb else 0.0

    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with serving(app, "127.0.0.1", port, delay) as bound:
        print(bound, file.notice if file else "", flush=True)
        keep_task = asyncio.create_task(file.keep()) if file else None
        await over.wait()
    if keep_task is not None:
        keep_task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keep_task


if __name__ == "__main__":
    main()
