"""Templates with one fault each: what `fixtures/faulty/faults.yaml` changes in a good one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from samwire.template.intrinsics import TemplateError
from samwire.template.loader import load_template, parse, read_text
from samwire.template.problems import Problem, problems_of
from samwire.template.reader import read_stack

FOLDER = Path(__file__).parents[1] / "fixtures" / "faulty"
GOOD = load_template(FOLDER / "template.yaml")
FAULTS: dict[str, dict[str, Any]] = parse(FOLDER / "faults.yaml", read_text(FOLDER / "faults.yaml"))


def changed(template: Any, change: Any) -> Any:
    """The template with other values; None takes one away, a function is put in whole."""
    if not isinstance(template, dict) or not isinstance(change, dict) or _is_function(change):
        return change
    found = dict(template)
    for key, value in change.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = changed(found.get(key), value)
    return found


def faulty(*names: str) -> dict[str, Any]:
    """The template with these faults."""
    template: Any = GOOD
    for name in names:
        template = changed(template, FAULTS[name]["change"])
    return dict(template)


def written(folder: Path, template: dict[str, Any]) -> Path:
    """A file of a template, beside its code."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "app.py").write_text("def handler(event, context): pass\n")
    path = folder / "template.yaml"
    path.write_text(json.dumps(template))
    return path


def problems_with(path: Path) -> list[Problem]:
    """What the reader says of a template."""
    try:
        read_stack(path, {}, "us-east-1", "localhost:1")
    except TemplateError as error:
        return problems_of(error)
    return []


def is_about(problem: Problem, logical_id: str) -> bool:
    """Whether a problem names a logical id."""
    said = str(problem)
    return said.startswith(f"{logical_id}:") or f"The parameter {logical_id} " in said


def _is_function(value: dict[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))
