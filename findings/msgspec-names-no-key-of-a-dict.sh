#!/bin/sh
# msgspec 0.22.0
# Guess: an error names the place of what is wrong: `$.prices[2]` in a list, `$.prices.tea` in a dict.
# Behaviour: in a dict it names neither. A wrong value is at `$.prices[...]`, whichever of a thousand
#   it is, and a wrong key is at "`key` in `$.prices`", without the key. Who shows the error to
#   whoever wrote the dict has to look for it again.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0
"$folder/venv/bin/python" - <<'PYTHON'
from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(pattern="^[a-z]+$")]


class Lists(msgspec.Struct):
    prices: list[int]


class Dicts(msgspec.Struct):
    prices: dict[Name, int]


def error(text: str, kind: type) -> str:
    """Return what is said of JSON that is not of a type."""
    try:
        msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as problem:
        return str(problem)
    return ""


in_list = error('{"prices": [1, 2, "three"]}', Lists)
value = error('{"prices": {"milk": 1, "tea": "two"}}', Dicts)
key = error('{"prices": {"milk": 1, "Green tea": 2}}', Dicts)
for what, said in (("a list", in_list), ("a value of a dict", value), ("a key", key)):
    print(f"{what}: {said}")
raise SystemExit(
    not (
        in_list.endswith("at `$.prices[2]`")
        and value.endswith("at `$.prices[...]`")
        and key.endswith("at `key` in `$.prices`")
        and "tea" not in value + key
    )
)
PYTHON
