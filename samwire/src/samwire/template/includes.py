"""Transforms that a template names: which are run here, and what `AWS::Include` includes.

See "AWS::Include transform" and "Using CloudFormation macros".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from samwire.template.intrinsics import TemplateError
from samwire.template.language_extensions import LANGUAGE_EXTENSIONS
from samwire.template.loader import parse, read_text
from samwire.template.problems import Problem, TemplateProblems

SERVERLESS = "AWS::Serverless-2016-10-31"
INCLUDE = "AWS::Include"
_TRANSFORM = "Fn::Transform"
_SECRETS = "AWS::SecretsManager-"
"""Makes functions that rotate secrets, and changes nothing else."""


def transforms_of(source: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    """Return the names of a template's transforms, and what its own `AWS::Include`s say.

    Raises:
        TemplateProblems: one is not run here.
    """
    given = source.get("Transform", [])
    listed = given if isinstance(given, list) else [given]
    names: list[str] = []
    includes: list[Any] = []
    problems: list[Problem] = []
    for each in listed:
        name = each.get("Name") if isinstance(each, dict) else each
        if name == INCLUDE:
            includes.append(each)
        elif name in (SERVERLESS, LANGUAGE_EXTENSIONS) or str(name).startswith(_SECRETS):
            names.append(str(name))
        else:
            problems.append(_not_run("Transform", name))
    if problems:
        raise TemplateProblems(problems)
    return names, includes


def included(
    source: Mapping[str, Any], own: list[Any], folder: Path, resolve: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return the template with the files that it includes.

    Args:
        own: what the template as a whole includes.
        folder: that of the template, which paths are relative to.
        resolve: resolves parameters in a location.

    Raises:
        TemplateProblems: a file is in S3, is not there, or a macro is not run here.
    """
    files = _Files(folder, resolve)
    whole: dict[str, Any] = {key: value for key, value in source.items() if key != "Transform"}
    for each in own:
        for section, content in files.content("Transform", each).items():
            there = whole.get(section)
            if isinstance(there, dict) and isinstance(content, dict):
                content = {**content, **there}
            whole[section] = content
    found = {name: files.section(name, content) for name, content in whole.items()}
    if files.problems:
        raise TemplateProblems(files.problems)
    if "Transform" in source:
        found["Transform"] = source["Transform"]
    return found


class _Files:
    """Puts the content of files where they are included."""

    def __init__(self, folder: Path, resolve: Callable[[Any], Any]) -> None:
        self._folder = folder
        self._resolve = resolve
        self.problems: list[Problem] = []

    def section(self, name: str, content: Any) -> Any:
        """Return a section of the template with what it includes."""
        if not isinstance(content, dict):
            return content
        own = {key: self.of(key, item) for key, item in content.items() if key != _TRANSFORM}
        if _TRANSFORM not in content:
            return own
        return {**self.content(name, content[_TRANSFORM]), **own}

    def of(self, where: str, value: Any) -> Any:
        """Return a value with what it includes; `where` is what messages call it."""
        if isinstance(value, list):
            return [self.of(where, item) for item in value]
        if not isinstance(value, dict):
            return value
        found = {key: self.of(where, item) for key, item in value.items() if key != _TRANSFORM}
        if _TRANSFORM in value:
            found = {**self.content(where, value[_TRANSFORM]), **found}
        return found

    def content(self, where: str, transform: Any) -> dict[str, Any]:
        """Return what one `AWS::Include` stands for."""
        given = transform if isinstance(transform, dict) else {}
        if given.get("Name") != INCLUDE:
            return self._refused(_not_run(where, given.get("Name", transform)))
        parameters = given.get("Parameters")
        location = parameters.get("Location") if isinstance(parameters, dict) else None
        try:
            path = self._resolve(location)
            if not isinstance(path, str) or not path:
                raise TemplateError(f"{INCLUDE} needs a Location.")
            if path.startswith(("s3://", "https://", "http://")):
                raise TemplateError(
                    f"{INCLUDE} of {path}: what lies in S3 is not read here; name a local file."
                )
            file = (self._folder / path).resolve()
            found = parse(file, read_text(file)) if file.exists() else None
        except (OSError, ValueError):  # too long, NUL, half of a surrogate pair
            sentence = f"{INCLUDE} of {path!r:.120}: no file can be called so."
            return self._refused(Problem(where, sentence, f'AWS, "{INCLUDE} transform"'))
        except TemplateError as error:
            return self._refused(Problem(where, str(error), f'AWS, "{INCLUDE} transform"'))
        if not isinstance(found, dict):
            sentence = f"{INCLUDE} of {path}: there is no such file with a map in it."
            return self._refused(Problem(where, sentence, f'AWS, "{INCLUDE} transform"'))
        return found

    def _refused(self, problem: Problem) -> dict[str, Any]:
        self.problems.append(problem)
        return {}


def _not_run(where: str, name: object) -> Problem:
    return Problem(
        where,
        f"the macro {name} is run by CloudFormation in an "
        f"account; here are only {SERVERLESS}, {LANGUAGE_EXTENSIONS} and {INCLUDE}.",
        'AWS, "Using CloudFormation macros"',
    )
