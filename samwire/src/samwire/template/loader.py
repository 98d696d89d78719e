"""From a template file to plain data: maps, lists, texts, numbers, flags and nothing.

A template may be YAML or JSON. What CloudFormation does not take as either is one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from samtranslator.yaml_helper import intrinsics_multi_constructor

from samwire.template.intrinsics import TemplateError

MAX_BYTES = 1024 * 1024
"""Of a template in S3, which is where `sam deploy` puts it ("CloudFormation quotas")."""
MAX_NODES = 200_000
"""Values after all YAML aliases are replaced by what they stand for; far above any template."""

_MERGE_TAG = "tag:yaml.org,2002:merge"


class _Repeated(ValueError):
    """A map has a key twice; CloudFormation refuses what YAML and JSON parsers let through."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """SAM's own `yaml_parse`, but in C where there is libyaml: many times as quick."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a map, each of its keys once."""
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if key.tag == _MERGE_TAG or not isinstance(key, yaml.ScalarNode):
                    continue
                if key.value in seen:
                    raise _Repeated(f"{key.value!r} is there twice, {_place(key.start_mark)}")
                seen.add(key.value)
        return dict(super().construct_mapping(node, deep=deep))


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


def load_template(path: Path) -> dict[str, Any]:
    """Read a template file.

    Raises:
        TemplateError: it cannot be read, is no YAML or JSON, or has no resources.
    """
    source = parse(path, read_text(path))
    if not isinstance(source, dict):
        raise TemplateError(f"{path} is no template: it holds no map with Resources.")
    if not isinstance(source.get("Resources"), dict) or not source["Resources"]:
        raise TemplateError(f"{path} has no Resources.")
    return source


def read_text(path: Path) -> str:
    """Return the text of a template, or of what a template includes.

    Raises:
        TemplateError: it is no file, cannot be read, or is no text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise TemplateError(f"There is no template {path}. Name one with --template.") from None
    except IsADirectoryError:
        raise TemplateError(
            f"{path} is a folder, not a template. Name a file in it with --template."
        ) from None
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise TemplateError(
            f"{path} has {len(data):,} bytes; CloudFormation takes at most {MAX_BYTES:,}."
        )
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise TemplateError(f"{path} is no template: it is no text in UTF-8.") from None


def parse(path: Path, text: str) -> Any:
    """Parse YAML or JSON into plain data.

    Args:
        path: what messages call it.

    Raises:
        TemplateError: it is neither, or has a key twice.
    """
    try:
        if text.lstrip().startswith("{"):
            return _plain(_parsed_json(text))
        return _plain(_Loader(text).get_single_data())
    except _Repeated as error:
        raise TemplateError(f"{path}: {error}; CloudFormation takes each key once.") from None
    except yaml.YAMLError as error:
        if "nesting depth" in str(error):  # PyYAML 6.0.4 counts; before, Python's stack ended
            raise TemplateError(_too_deep(path)) from None
        raise TemplateError(f"{path} is not valid YAML: {_sentence(error)}") from None
    except RecursionError:
        raise TemplateError(_too_deep(path)) from None
    except (ValueError, TypeError, AttributeError) as error:
        # The constructors of dates, numbers and tags raise what their own parsing raises.
        raise TemplateError(f"{path} is not valid YAML: {error}") from None


def _too_deep(path: Path) -> str:
    return f"{path} is no template: it is nested too deeply."


def _parsed_json(text: str) -> Any:
    """Parse JSON, or YAML's flow style, which begins alike."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError:
        return _Loader(text).get_single_data()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _Repeated(f"{repeated!r} is there twice in one object")
    return found


def _place(mark: Any) -> str:
    return f"again in line {mark.line + 1}"


def _sentence(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or str(error).splitlines()[0])
    return f"{said}, line {mark.line + 1}, column {mark.column + 1}." if mark else said


class _Copy:
    """Copies what was parsed: what YAML aliases share is there once for each of them."""

    def __init__(self) -> None:
        self._nodes = 0
        self._within: set[int] = set()

    def of(self, value: Any) -> Any:
        """Return the copy, of plain data alone: dates are texts, names are texts."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ValueError("its aliases stand for more than a template can hold.")
        if isinstance(value, (dict, list, set, tuple)):
            if id(value) in self._within:
                raise ValueError("an alias is part of what it stands for.")
            self._within.add(id(value))
            try:
                return self._of_many(value)
            finally:
                self._within.discard(id(value))
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)

    def _of_many(self, value: Iterable[Any]) -> Any:
        if isinstance(value, dict):
            return {_name(key): self.of(item) for key, item in value.items()}
        return [self.of(item) for item in value]


def _name(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _plain(value: Any) -> Any:
    return _Copy().of(value)
