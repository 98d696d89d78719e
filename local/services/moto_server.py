"""moto's server as a process of its own, with connections kept alive.

moto's own command speaks HTTP/1.0: every call opens a connection. Prints its port on
stdout when it is ready, then a line for every call that was not allowed.

    python -m local.services.moto_server PARENT_PID [PORT]
"""

from __future__ import annotations

import logging
import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from local.lifeline import end_with_parent
from local.permissions.wsgi import PermissionsInFront
from local.services.moto_knowledge import name_secrets_as_the_template_does, partition_key
from local.services.moto_speed import make_quick, one_at_a_time
from local.services.throttling import ThrottlingInFront
from local.strangers import StrangersKeptOut
from local.template.intrinsics import ACCOUNT_ID


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # header and body leave in one packet

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: a line for each call would be most of the log."""


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    """Serve until killed."""
    end_with_parent(int(sys.argv[1]))
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    make_quick()
    name_secrets_as_the_template_does()
    app = one_at_a_time(DomainDispatcherApplication(create_backend_app))
    app = PermissionsInFront(ThrottlingInFront(app), ACCOUNT_ID, partition_key, _say)
    app = StrangersKeptOut(app)
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
