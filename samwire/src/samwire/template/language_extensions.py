"""`Fn::ForEach` of the transform `AWS::LanguageExtensions`: loops become what they stand for.

The transform's other functions (`Fn::Length`, `Fn::ToJsonString`, defaults of `Fn::FindInMap`)
are resolved with the rest. See "AWS::LanguageExtensions transform" and "Fn::ForEach".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from samwire.template.intrinsics import TemplateError
from samwire.template.problems import Problem, TemplateProblems

LANGUAGE_EXTENSIONS = "AWS::LanguageExtensions"
FOR_EACH = "Fn::ForEach"
SECTIONS = ("Conditions", "Resources", "Outputs")
"""Where loops may be."""
MAX_RESULTS = 5_000
"""Of all loops together; a template has at most 500 resources."""

_PAGE = 'AWS, "Fn::ForEach"'
_NAME = re.compile(r"[A-Za-z0-9]+")


def expanded(
    source: Mapping[str, Any], transforms: Iterable[str], resolve: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return the template without loops.

    Args:
        transforms: names of those that the template asks for.
        resolve: resolves what a collection may be made of: parameters, mappings, conditions.

    Raises:
        TemplateProblems: a loop is not as it should be.
    """
    allowed = LANGUAGE_EXTENSIONS in transforms
    taken = frozenset(source.get("Parameters") or {})
    loops = _Loops(resolve, taken, allowed)
    found = {
        key: loops.of(value, {}) if key in SECTIONS else value for key, value in source.items()
    }
    if loops.problems:
        raise TemplateProblems(loops.problems)
    return found


class _Loops:
    """Replaces loops.

    Args:
        taken: names that no identifier may have.
        allowed: whether the template asks for the transform.
    """

    def __init__(self, resolve: Callable[[Any], Any], taken: frozenset[str], allowed: bool) -> None:
        self._resolve = resolve
        self._taken = taken
        self._allowed = allowed
        self._results = 0
        self.problems: list[Problem] = []

    def of(self, value: Any, bound: Mapping[str, str]) -> Any:
        """Return a value with its loops replaced, and with the identifiers of those around it."""
        if isinstance(value, str):
            return _with_values(value, bound)
        if isinstance(value, list):
            return [self.of(item, bound) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and isinstance(value.get("Ref"), str) and value["Ref"] in bound:
            return bound[value["Ref"]]
        found: dict[str, Any] = {}
        for key, item in value.items():
            if key == FOR_EACH or key.startswith(f"{FOR_EACH}::"):
                self._add(key, found, self._loop(key, item, bound))
            else:
                self._add(key, found, {_with_values(key, bound): self.of(item, bound)})
        return found

    def _add(self, where: str, found: dict[str, Any], more: Mapping[str, Any]) -> None:
        for key, value in more.items():
            if key in found:
                self._refuse(where, f"it makes {key} twice; its key must name its identifier")
            found[key] = value

    def _loop(self, key: str, item: Any, bound: Mapping[str, str]) -> dict[str, Any]:
        if not self._allowed:
            return self._refuse(key, f"it needs the transform {LANGUAGE_EXTENSIONS}")
        if not _NAME.fullmatch(key.removeprefix(f"{FOR_EACH}::")):
            return self._refuse(key, f"it must be called {FOR_EACH}:: and letters or digits")
        if not isinstance(item, list) or len(item) != 3 or not isinstance(item[2], dict):
            return self._refuse(key, "it must be a list of identifier, collection and a map")
        identifier, _, body = item
        if not isinstance(identifier, str) or not _NAME.fullmatch(identifier):
            return self._refuse(key, "its identifier must be letters and digits")
        if identifier in self._taken or identifier in bound:
            return self._refuse(key, f"the identifier {identifier} is taken already")
        made: dict[str, Any] = {}
        for value in self._collection(key, item[1], bound):
            self._results += 1
            if self._results > MAX_RESULTS:
                self._refuse(key, f"loops make more than {MAX_RESULTS:,} results")
                break
            self._add(key, made, self.of(body, {**bound, identifier: value}))
        return made

    def _collection(self, key: str, given: Any, bound: Mapping[str, str]) -> list[str]:
        try:
            values = self._resolve(self.of(given, bound))
        except TemplateError as error:
            self._refuse(key, f"its collection cannot be resolved before all else: {error}")
            return []
        if not isinstance(values, list) or any(isinstance(v, (list, dict)) for v in values):
            self._refuse(key, "its collection must be a list of texts")
            return []
        return [str(v).lower() if isinstance(v, bool) else str(v) for v in values]

    def _refuse(self, key: str, sentence: str) -> dict[str, Any]:
        self.problems.append(Problem(key, f"{sentence}.", _PAGE))
        return {}


def _with_values(text: str, bound: Mapping[str, str]) -> str:
    """Return the text with `${Name}`, and `&{Name}` for no more than letters and digits of it."""
    for name, value in bound.items():
        text = text.replace(f"${{{name}}}", value)
        text = text.replace(f"&{{{name}}}", re.sub("[^A-Za-z0-9]", "", value))
    return text
