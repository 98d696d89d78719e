"""Write what follows from the types: JSON Schema, AsyncAPI, OpenAPI, the clients' messages.

`python docs/generate.py` writes the files; `--check` only says whether they are current.
The one description of the protocol is `layers/parley/parley/protocol/messages.py`; OpenAPI is
`docs/openapi.py`'s.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generator.json_schema import asyncapi, json_schema
from generator.protocol_tables import protocol_page
from generator.python_client import python_messages
from generator.python_reference import python_reference
from generator.typescript import typescript
from openapi import write_openapi

ROOT = Path(__file__).parent.parent

FILES = {
    ROOT / "docs" / "protocol.schema.json": json_schema,
    ROOT / "docs" / "asyncapi.yaml": asyncapi,
    ROOT / "docs" / "protocol.md": protocol_page,
    ROOT / "docs" / "openapi.yaml": write_openapi,
    ROOT / "client" / "js" / "messages.d.ts": typescript,
    ROOT / "client" / "python" / "src" / "parley_client" / "messages.py": python_messages,
    ROOT / "docs" / "client-python-reference.md": python_reference,
}


def main() -> int:
    """Write the files, or check them."""
    check = "--check" in sys.argv[1:]
    stale = []
    for path, make in FILES.items():
        text = make()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not check:
            path.write_text(text)
    for name in stale:
        print(("stale: " if check else "wrote ") + name)
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
