"""Says what to do about a function that cannot be imported: mostly, its packages are missing.

On AWS `sam build` has put them beside the code. Here functions run on the Python of this command,
so they must be installed in it, or be taken from what `sam build` made.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

from samwire.runtime.call import Result
from samwire.template.model import Function

_KINDS = ("Runtime.ImportModuleError", "ModuleNotFoundError")
_MODULE = re.compile(r"No module named '([^']+)'")
_REQUIREMENTS = "requirements.txt"
_BUILT = ".aws-sam/build/template.yaml"


def import_advice(function: Function, error: Result) -> str:
    """Return a sentence with the command that mends an import; empty for other errors."""
    if error.error_type not in _KINDS:
        return ""
    found = _MODULE.search(str(json.loads(error.payload).get("errorMessage", "")))
    if found is None:
        return ""
    module = found[1].partition(".")[0]
    if module == _handlers_module(function):
        return (
            f"{function.logical_id}: {function.code} has no module {found[1]}, which Handler "
            f"{function.handler} names. Mend Handler or CodeUri."
        )
    return f"{function.logical_id}: the module {found[1]} is not installed. {_command(function)}"


def _handlers_module(function: Function) -> str:
    return re.split(r"[./]", function.handler, maxsplit=1)[0]


def _command(function: Function) -> str:
    built = f"run `sam build` and start with --template {_BUILT}"
    requirements = _requirements(function)
    if requirements is None:
        return (
            f"{function.code} has no {_REQUIREMENTS}: name the package that has it in one, then "
            f"{built}; or install it in the Python that runs functions here, {sys.executable}."
        )
    install = f"{shlex.quote(sys.executable)} -m pip install -r {shlex.quote(str(requirements))}"
    return f"Run `{install}`, or {built}."


def _requirements(function: Function) -> Path | None:
    """Return the list of packages of the function or of a layer, as `sam build` looks for it."""
    folders = [function.code, *(f for layer in function.layers for f in (layer, layer.parent))]
    files = [folder / _REQUIREMENTS for folder in folders]
    return next((file for file in files if file.is_file()), None)
