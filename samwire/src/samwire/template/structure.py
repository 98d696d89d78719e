"""How a template is built: sections that are maps, resources with types, names of letters.

What is read afterwards relies on it. See "Template sections" in CloudFormation's user guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from samwire.template.problems import Problem, TemplateProblems

MAX_RESOURCES = 500
"""Of a template ("CloudFormation quotas"); SAM's own are counted after its transform."""

_SECTIONS = ("Parameters", "Mappings", "Conditions", "Resources", "Outputs")
_LOGICAL_ID = re.compile(r"[A-Za-z0-9]{1,255}")
_PAGE = 'AWS, "CloudFormation template sections"'
_OF_MAPS = ("Parameters", "Resources", "Outputs")
_MAPS_OF_A_RESOURCE = ("Properties", "Metadata")


def check_structure(source: Mapping[str, Any], sections: tuple[str, ...] = _SECTIONS) -> None:
    """Look at sections of a template.

    Raises:
        TemplateProblems: they are not built as CloudFormation wants them.
    """
    problems = [problem for name in sections for problem in _section(name, source.get(name))]
    if problems:
        raise TemplateProblems(problems)


def _section(name: str, content: Any) -> Iterator[Problem]:
    if content is None:
        return
    if not isinstance(content, dict):
        yield Problem(name, "it must be a map.", _PAGE)
        return
    for given, item in content.items():
        if (name, given) == ("Mappings", "Fn::Transform"):  # what it includes is not there yet
            continue
        logical_id = given or name
        if not _LOGICAL_ID.fullmatch(given):
            sentence = f"a name in {name} has letters and digits, and nothing else."
            yield Problem(logical_id, sentence, _PAGE)
        if name == "Mappings":
            yield from _mapping(logical_id, item)
        elif name in _OF_MAPS and not isinstance(item, dict):
            yield Problem(logical_id, f"in {name}, it must be a map.", _PAGE)
        elif name == "Resources":
            yield from _resource(logical_id, item)
        elif name == "Outputs" and item.get("Value") is None:
            yield Problem(logical_id, "an output must have a Value.", _PAGE)
        elif name == "Parameters":
            yield from _parameter(logical_id, item)
    if name == "Resources" and len(content) > MAX_RESOURCES:
        sentence = f"there are {len(content)}; a template has at most {MAX_RESOURCES}."
        yield Problem(name, sentence, 'AWS, "CloudFormation quotas"')


def _mapping(name: str, content: Any) -> Iterator[Problem]:
    inner = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(each, dict) for each in inner):
        yield Problem(name, "a mapping must be a map of maps.", _PAGE)


def _parameter(name: str, definition: Mapping[str, Any]) -> Iterator[Problem]:
    if isinstance(definition.get("Default"), (dict, list)):
        yield Problem(name, "its Default must be a text, a number or a list with commas.", _PAGE)
    for key in ("Type", "AllowedPattern", "ConstraintDescription"):
        if isinstance(definition.get(key), (dict, list)):
            yield Problem(name, f"its {key} must be a text.", _PAGE)


def _resource(logical_id: str, resource: Mapping[str, Any]) -> Iterator[Problem]:
    if not isinstance(resource.get("Type"), str) or not resource["Type"]:
        yield Problem(logical_id, "it must have a Type, which is a text.", _PAGE)
    for key in _MAPS_OF_A_RESOURCE:
        if not isinstance(resource.get(key, {}), (dict, type(None))):
            yield Problem(logical_id, f"its {key} must be a map.", _PAGE, (key,))
    if not isinstance(resource.get("Condition", ""), str):
        yield Problem(logical_id, "its Condition must be the name of one.", _PAGE, ("Condition",))
    after = resource.get("DependsOn", [])
    listed = after if isinstance(after, list) else [after]
    if not all(isinstance(each, str) for each in listed):
        yield Problem(
            logical_id,
            "its DependsOn must be a logical id or a list of them.",
            _PAGE,
            ("DependsOn",),
        )
