"""The environment variables that Lambda gives a function's process, and no others.

See "Using Lambda environment variables" in the Lambda developer guide.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from samwire.template.model import Function

_INHERITED = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What a Python of this machine may need; never the developer's credentials or settings."""


def function_variables(
    function: Function,
    version: str,
    stream: str,
    endpoints: Mapping[str, str],
    address: str,
    temporary: Path,
) -> dict[str, str]:
    """Return the environment of one process.

    Args:
        version: `$LATEST` or a published one.
        stream: tells the environments of a version apart.
        endpoints: credentials, and where the services are.
        address: of the Runtime API.
        temporary: the folder for its temporary files.
    """
    day = datetime.now(UTC).strftime("%Y/%m/%d")
    snap_start = function.snap_start and version != "$LATEST"
    return {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        **endpoints,
        "AWS_LAMBDA_RUNTIME_API": address,
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(function.code),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{day}/[{version}]{stream}",
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if snap_start else "on-demand",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "LC_CTYPE": "C.UTF-8",
        "TMPDIR": str(temporary),
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(map(str, [function.code, *function.layers])),
        **function.environment,
    }
