#!/bin/sh
# fastjsonschema 2.22.3
# Guess: compiling a schema is a computation. A `$ref` that leads out of it is refused, or needs a
#   handler.
# Behaviour: the compiler opens every URL that the schema names, `file:` too, with urllib and without a
#   time limit. A schema of somebody else's, such as an MCP server's, so has a function read its own
#   files and ask hosts of its network. A handler for each scheme is the way to refuse.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fastjsonschema==2.22.3
echo '{"type": "integer"}' > "$folder/secret.json"
"$folder/venv/bin/python" - "$folder/secret.json" <<'PYTHON'
import sys

import fastjsonschema

SCHEMA = {"type": "object", "properties": {"a": {"$ref": f"file://{sys.argv[1]}"}}}
try:
    fastjsonschema.compile(SCHEMA)({"a": "text"})
    told = "nothing"
except fastjsonschema.JsonSchemaValueException as error:
    told = error.message
print("of the other file:", told)
sys.exit(told != "data.a must be integer")
PYTHON
