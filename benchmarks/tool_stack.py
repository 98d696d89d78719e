"""The local stack with two tools that take a tenth of a second: a function and a webhook."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.tool_wait.app import WORK_S
from tests.e2e.stack import ROOT, Stack, running_stack, running_standins

DESCRIPTION = "Where an order is. Use it when the user asks about a delivery."
ORDER = {"type": "string", "description": "Order number such as A-123"}
SECRET = "whsec_cGFybGV5IHN0YW5kLWluIHdlYmhvb2sga2V5"
"""That the stand-in of a webhook takes."""
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tools"
"""Of a secret that the template is to have; its own one stands in for it."""
TOOLS = """
[order_status]
description = {description}
parameters.order = {{ type = "string", description = {order} }}
lambda = "book-table"
effect = "read"

[webhook_status]
description = {description}
parameters.order = {{ type = "string", description = {order} }}
http = "{url}/tools/order_status"
secret = "shop"
effect = "read"
"""


@contextlib.contextmanager
def running_tool_stack(folder: Path) -> Iterator[Stack]:
    """The local stack, whose demo is these two tools.

    Args:
        folder: for log files, the template and the file of tools.
    """
    with running_standins(folder) as standins:
        standins.control("tools").put(delays={"before_ms": WORK_S * 1000})
        url = standins.urls["tools"]
        with running_stack(
            folder,
            template=write_template(folder, url),
            parameters=parameters(url),
            standins=standins,
            prewarm=0,
        ) as stack:
            yield stack


def parameters(url: str) -> dict[str, str]:
    """Return what the template needs to be told.

    Args:
        url: of the service with the webhook.
    """
    return {
        "ToolsFile": "demo.toml",
        "ToolSecretsArn": ARN,
        "PrivateToolHosts": urlsplit(url).netloc,
    }


def write_template(folder: Path, url: str) -> Path:
    """Write a copy of the template beside a copy of the functions, whose demo waits."""
    for name in ("functions", "layers"):
        (folder / name).mkdir()
        for each in (ROOT / name).iterdir():
            (folder / name / each.name).symlink_to(each)
    demo = folder / "functions" / "tool_book_table"
    demo.unlink()
    shutil.copytree(ROOT / "benchmarks" / "tool_wait", demo)
    (folder / "tools").mkdir()
    text = {"description": json.dumps(DESCRIPTION), "order": json.dumps(ORDER["description"])}
    (folder / "tools" / "demo.toml").write_text(TOOLS.format(url=url, **text))
    template = folder / "template.yaml"
    template.write_text(_with_secret((ROOT / "template.yaml").read_text()))
    return template


def _with_secret(text: str) -> str:
    """Return a template that has the secret of its tools itself."""
    head, resources = text.split("\nResources:\n")
    properties = {"SecretString": json.dumps({"shop": SECRET})}
    secret = {"Type": "AWS::SecretsManager::Secret", "Properties": properties}
    resources = resources.replace("!Ref ToolSecretsArn", "!Ref ToolSecrets")
    return f"{head}\nResources:\n  ToolSecrets: {json.dumps(secret)}\n{resources}"
