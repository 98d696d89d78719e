"""From a template file to plain CloudFormation: SAM's own translator does the work.

The translator insists on code that lies in S3; the local folders are put aside before
it runs and found again by logical id.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

from local.template.intrinsics import TemplateError
from local.template.parameters import Value, parameter_values

_PLACEHOLDER_CODE = "s3://local/code"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """SAM's own `yaml_parse`, but in C where there is libyaml: many times as quick."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


@dataclass(frozen=True, slots=True)
class Transformed:
    """A template after the SAM transform.

    Attributes:
        parameters: values of the template's own parameters.
        code: folders of functions and layers, by their logical id in the source.
        notices: what the transform loses without a word, and what has no code here.
    """

    template: dict[str, Any]
    parameters: dict[str, Value]
    code: dict[str, Path]
    notices: list[str]


def transformed(path: Path, overrides: Mapping[str, str], region: str) -> Transformed:
    """Read and transform a template.

    Raises:
        TemplateError: it cannot be read, is no valid SAM, or lacks a parameter.
    """
    source = _parsed(path)
    parameters = parameter_values(source.get("Parameters") or {}, overrides)
    notices = _collisions(source)
    code = _put_code_aside(source, path.parent)
    before = os.environ.get("AWS_DEFAULT_REGION")
    os.environ["AWS_DEFAULT_REGION"] = region  # the translator reads it from nowhere else
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    try:
        translated = Translator(managed_policy_map={}, sam_parser=Parser()).translate(
            source, dict(parameters)
        )
    except InvalidDocumentException as invalid:
        causes = "; ".join(str(cause.message) for cause in invalid.causes)
        raise TemplateError(f"{path}: {causes}") from None
    finally:
        if before is None:
            del os.environ["AWS_DEFAULT_REGION"]
        else:
            os.environ["AWS_DEFAULT_REGION"] = before
    return Transformed(translated, parameters, code, notices)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        source = _Loader(path.read_text()).get_single_data()
    except FileNotFoundError:
        raise TemplateError(f"There is no template {path}. Name one with --template.") from None
    except yaml.YAMLError as error:
        raise TemplateError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(source, dict) or not isinstance(source.get("Resources"), dict):
        raise TemplateError(f"{path} has no Resources.")
    return dict(_unshared(source))


def _unshared(value: Any) -> Any:
    """A copy in which what a YAML anchor shares is there twice: it is changed in place."""
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, list) else value


def _collisions(source: dict[str, Any]) -> list[str]:
    """Routes that SAM gives the same logical id, so that the last one wins.

    SAM builds it from the key in lower case without `$`: `sendMessage` and `sendmessage`
    are one to it, and so are `connect` and `$connect`.
    """
    notices = []
    for logical_id, resource in source["Resources"].items():
        if resource.get("Type") != "AWS::Serverless::WebSocketApi":
            continue
        seen: dict[str, str] = {}
        for key in (resource.get("Properties") or {}).get("Routes") or {}:
            folded = str(key).removeprefix("$").lower()
            if folded in seen:
                notices.append(
                    f"{logical_id}: SAM takes the routes {seen[folded]} and {key} for one; "
                    "only the last is there."
                )
            seen[folded] = str(key)
    return notices


def _put_code_aside(source: dict[str, Any], folder: Path) -> dict[str, Path]:
    global_uri = ((source.get("Globals") or {}).get("Function") or {}).get("CodeUri")
    code: dict[str, Path] = {}
    keys = {
        "AWS::Serverless::Function": "CodeUri",
        "AWS::Lambda::Function": "Code",
        "AWS::Serverless::LayerVersion": "ContentUri",
        "AWS::Lambda::LayerVersion": "Content",
    }
    for logical_id, resource in source["Resources"].items():
        key = keys.get(resource.get("Type", ""))
        if key is None:
            continue
        properties = resource.setdefault("Properties", {})
        uri = properties.get(key)
        if uri is None and key == "CodeUri" and "InlineCode" not in properties:
            uri = global_uri
        if isinstance(uri, str) and not uri.startswith("s3://"):
            code[logical_id] = (folder / uri).resolve()
            if "Serverless" in resource["Type"]:
                properties[key] = _PLACEHOLDER_CODE
    return code
