"""From a template file to plain CloudFormation: SAM's own translator does the work.

The translator insists on code that lies in S3; the local folders are put aside before
it runs and found again by logical id.
"""

from __future__ import annotations

import copy
import functools
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from samwire.template.includes import included, transforms_of
from samwire.template.intrinsics import Resolver, TemplateError, pseudo_parameters
from samwire.template.language_extensions import expanded
from samwire.template.loader import load_template
from samwire.template.parameters import Value, parameter_values
from samwire.template.problems import Problem, TemplateProblems
from samwire.template.structure import check_structure

_PLACEHOLDER_CODE = "s3://local/code"
_SAM_CLI = 'AWS, "sam build"'
_SAM = "SAM's translator"
_OF_A_RESOURCE = re.compile(
    r"Resource with id \[(?P<id>[^\]]+)\] is invalid\. (?P<why>.*)", re.DOTALL
)
_APPLICATION = "AWS::Serverless::Application"


@dataclass(frozen=True, slots=True)
class Transformed:
    """A template after a transform.

    Attributes:
        template: plain data.
        parameters: values of the template's own parameters.
        code: folders of functions and layers, by their logical id in the source.
        notices: what the transform loses without a word, and what has no code here.
    """

    template: dict[str, Any]
    parameters: dict[str, Value]
    code: dict[str, Path] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def written_out(
    path: Path, overrides: Mapping[str, str], region: str, stored: Mapping[str, str]
) -> Transformed:
    """Read a template; what it includes and what its loops make is in it, SAM is still SAM.

    Args:
        stored: what SSM's parameter store holds, by name.

    Raises:
        TemplateError: it cannot be read, lacks a parameter, or is not built as templates are.
    """
    source = load_template(path)
    names, includes = transforms_of(source)
    notices: list[str] = []
    check_structure(source, ("Parameters", "Mappings"))
    parameters = parameter_values(source.get("Parameters") or {}, overrides, stored, notices.append)
    known = {**pseudo_parameters(region), **parameters}

    def resolver(template: Mapping[str, Any]) -> Callable[[Any], Any]:
        conditions, mappings = template.get("Conditions") or {}, template.get("Mappings") or {}
        return Resolver(known, conditions, mappings, _not_yet, _not_yet).resolve

    source = included(source, includes, path.parent, resolver(source))
    check_structure(source, ("Mappings",))
    source = expanded(source, names, resolver(source))
    check_structure(source)
    return Transformed(source, parameters, notices=notices)


def read_transformed(
    path: Path, overrides: Mapping[str, str], region: str, stored: Mapping[str, str] | None = None
) -> Transformed:
    """Read a template and transform it.

    Raises:
        TemplateError: as `written_out` and `transformed` do.
    """
    return transformed(written_out(path, overrides, region, stored or {}), path.parent, region)


def transformed(found: Transformed, folder: Path, region: str) -> Transformed:
    """Transform what `written_out` gave.

    Args:
        folder: the template's, which paths in it are relative to.

    Raises:
        TemplateError: it is no valid SAM.
    """
    source = copy.deepcopy(found.template)
    notices = [*found.notices, *_collisions(source), *_applications(source)]
    code = _put_code_aside(source, folder)
    translated = _translated(source, found.parameters, region)
    return replace(found, template=translated, code=code, notices=notices)


def _not_yet(name: str, *_attribute: str) -> Any:
    raise TemplateError(f"{name} is no parameter; resources are not there yet.")


def _translated(
    source: dict[str, Any], parameters: Mapping[str, Value], region: str
) -> dict[str, Any]:
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    try:
        return _translate(source, parameters, region)
    except InvalidDocumentException as invalid:
        raise TemplateProblems(_of_cause(str(cause.message)) for cause in invalid.causes) from None
    except Exception as error:  # the translator fails in its own ways on what it does not expect
        culprit = _culprit(source, parameters, region)
        raise TemplateProblems(
            [Problem(culprit, f"it fails on this: {type(error).__name__}: {error}", _SAM)]
        ) from None


@functools.cache
def _session(region: str) -> boto3.Session:
    """Return what tells the translator the region: nothing is asked of it, and it takes long to
    make."""
    return boto3.Session(region_name=region)


def _translate(
    source: dict[str, Any], parameters: Mapping[str, Value], region: str
) -> dict[str, Any]:
    translator = Translator({}, Parser(), boto_session=_session(region))
    return dict(translator.translate(copy.deepcopy(source), dict(parameters)))


def _culprit(source: dict[str, Any], parameters: Mapping[str, Value], region: str) -> str:
    """Return the resource that the translator fails on even if it is alone."""
    for logical_id, resource in source["Resources"].items():
        try:
            _translate({**source, "Resources": {logical_id: resource}}, parameters, region)
        except InvalidDocumentException:
            continue
        except Exception:
            return str(logical_id)
    return "Resources"


def _of_cause(message: str) -> Problem:
    found = _OF_A_RESOURCE.fullmatch(message)
    if found is None:
        return Problem("Globals" if "'Globals'" in message else "Transform", message, _SAM)
    return Problem(found["id"], found["why"], _SAM)


def _collisions(source: dict[str, Any]) -> list[str]:
    """Return routes that SAM gives the same logical id, so that the last one wins.

    SAM builds it from the key in lower case without `$`: `sendMessage` and `sendmessage`
    are one to it, and so are `connect` and `$connect`.
    """
    notices = []
    for logical_id, resource in source["Resources"].items():
        routes = (resource.get("Properties") or {}).get("Routes")
        if resource["Type"] != "AWS::Serverless::WebSocketApi" or not isinstance(routes, dict):
            continue
        seen: dict[str, str] = {}
        for key in routes:
            folded = key.removeprefix("$").lower()
            if folded in seen:
                notices.append(
                    f"{logical_id}: SAM takes the routes {seen[folded]} and {key} for one; "
                    "only the last is there."
                )
            seen[folded] = key
    return notices


def _applications(source: dict[str, Any]) -> list[str]:
    """Refuse applications of the Serverless Application Repository: the translator would ask
    AWS."""
    notices = []
    for logical_id, resource in source["Resources"].items():
        if resource["Type"] != _APPLICATION:
            continue
        location = (resource.get("Properties") or {}).get("Location")
        if isinstance(location, dict):
            resource["Properties"] = {"Location": "https://local/application.yaml"}
            notices.append(
                f"{logical_id}: applications of the Serverless Application Repository are not "
                "served here."
            )
    return notices


def _put_code_aside(source: dict[str, Any], folder: Path) -> dict[str, Path]:
    shared = source.get("Globals") or {}
    of_functions = shared.get("Function") if isinstance(shared, dict) else None
    defaults = of_functions if isinstance(of_functions, dict) else {}
    code: dict[str, Path] = {}
    keys = {
        "AWS::Serverless::Function": "CodeUri",
        "AWS::Lambda::Function": "Code",
        "AWS::Serverless::LayerVersion": "ContentUri",
        "AWS::Lambda::LayerVersion": "Content",
    }
    for logical_id, resource in source["Resources"].items():
        key = keys.get(resource["Type"])
        if key is None:
            continue
        properties = resource.get("Properties")
        properties = resource["Properties"] = {} if properties is None else properties
        uri = properties.get(key)
        if uri is None and key == "CodeUri":
            uri = _default_folder(properties, defaults)
        if isinstance(uri, str) and not uri.startswith(("s3://", "https://")):
            code[logical_id] = _local_path(logical_id, key, folder, uri)
            if "Serverless" in resource["Type"]:
                properties[key] = _PLACEHOLDER_CODE
    return code


def _local_path(logical_id: str, key: str, folder: Path, uri: str) -> Path:
    try:
        return (folder / uri).resolve()
    except (OSError, ValueError):  # NUL, half of a surrogate pair
        sentence = f"{key} {uri!r} is no name that a folder can have."
        raise TemplateProblems([Problem(logical_id, sentence, _SAM_CLI)]) from None


def is_folder(path: Path) -> bool:
    """Return whether a folder is there; no folder has a name that is too long."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _default_folder(properties: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    """Return the code of a function that names none: as `sam build`, the template's own folder."""
    if "InlineCode" in properties or "ImageUri" in properties:
        return None
    if "CodeUri" in defaults:
        return defaults["CodeUri"]
    package = properties.get("PackageType", defaults.get("PackageType", "Zip"))
    return None if package == "Image" else "."
