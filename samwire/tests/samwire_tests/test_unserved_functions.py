"""An API whose functions cannot run here does not start, and a missing package is named."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from samwire.runtime.call import Result
from samwire.runtime.interpreter import refuse_what_cannot_run
from samwire.runtime.packages import import_advice
from samwire.template.intrinsics import TemplateError
from samwire.template.model import Function
from samwire_tests.app_stack import app_here, refused_here
from samwire_tests.test_template_details import api, function, read

FN = {"FunctionArn": {"Fn::GetAtt": ["F", "Arn"]}}
OTHER = {"FunctionArn": {"Fn::GetAtt": ["G", "Arn"]}}
IMPORT = "Unable to import module 'app':"
INSTALL = "pip install"
IMAGE = {
    "Type": "AWS::Serverless::Function",
    "Properties": {"PackageType": "Image", "ImageUri": "x"},
}


def http(name: str) -> dict[str, Any]:
    return {"Events": {name: {"Type": "HttpApi", "Properties": {"Path": "/x", "Method": "GET"}}}}


def alias() -> dict[str, Any]:
    return {"AutoPublishAlias": "live"}


@pytest.mark.parametrize(
    "runtime", ["nodejs22.x", "java21", "dotnet8", "ruby3.4", "provided.al2023"]
)
@pytest.mark.parametrize(
    ("resources", "needed"),
    [
        ({"A": api({"$connect": FN, "go": OTHER})}, "A: $connect"),
        ({"A": api({"go": FN, "$default": FN})}, "A: go, $default"),
        ({"A": api({"go": {"FunctionArn": {"Ref": "F"}}})}, "A: go"),
        (
            {
                "A": api(
                    {"$connect": OTHER},
                    Auth={
                        "AuthType": "CUSTOM",
                        "AuthArn": {"Fn::GetAtt": ["F", "Arn"]},
                        "IdentitySource": ["route.request.header.Auth"],
                    },
                )
            },
            "A: $connect (its authorizer)",
        ),
        ({}, "ServerlessHttpApi: GET /x"),
    ],
    ids=["route", "two routes", "by name", "authorizer", "http"],
)
def test_an_api_that_needs_a_function_of_another_runtime_does_not_start(
    tmp_path: Path, runtime: str, resources: dict[str, Any], needed: str
) -> None:
    more = {} if resources else http("E")
    stack = read(tmp_path, {"F": function(Runtime=runtime, **more), "G": function(), **resources})
    with pytest.raises(TemplateError) as refused:
        refuse_what_cannot_run(stack)
    said = str(refused.value)
    assert said.startswith(f"F: the runtime {runtime} is not served here, only Python. ")
    assert f"({needed})" in said


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (function(CodeUri="s3://bucket/key"), "its code is not a local folder"),
        (IMAGE, "container images are not run here"),
    ],
)
def test_images_and_code_elsewhere_are_refused_likewise(
    tmp_path: Path, broken: dict[str, Any], reason: str
) -> None:
    stack = read(tmp_path, {"F": broken, "A": api({"go": FN})})
    with pytest.raises(TemplateError, match=f"F: {reason}"):
        refuse_what_cannot_run(stack)


def test_a_function_that_no_api_needs_is_only_named(tmp_path: Path) -> None:
    own = {"F": function(Runtime="nodejs22.x"), "G": function(), "A": api({"go": OTHER})}
    stack = read(tmp_path, own)
    refuse_what_cannot_run(stack)
    assert [notice for notice in stack.notices if "nodejs22.x" in notice]


def test_every_function_that_is_missing_is_in_the_refusal(tmp_path: Path) -> None:
    own = {name: function(Runtime="nodejs22.x", **alias()) for name in ("F", "G")}
    stack = read(tmp_path, {**own, "A": api({"go": FN, "come": OTHER})})
    with pytest.raises(TemplateError) as refused:
        refuse_what_cannot_run(stack)
    assert [line[0] for line in str(refused.value).splitlines()] == ["F", "G"]


def written(folder: Path, handler: str, code: str, **files: str) -> Path:
    """A template with a WebSocket API and an HTTP API of one function."""
    source = folder / "src"
    source.mkdir(parents=True)
    (source / "app.py").write_text(code)
    for name, content in files.items():
        (source / name.replace("_txt", ".txt")).write_text(content)
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    fn = function(CodeUri="src", Handler=handler, Runtime=runtime, **http("Get"))
    path = folder / "template.yaml"
    resources = {"F": fn, "A": api({"$connect": FN})}
    own = {"Transform": "AWS::Serverless-2016-10-31", "Resources": resources}
    path.write_text(yaml.safe_dump(own))
    return path


@pytest.mark.parametrize(
    ("runtime", "sentence"),
    [
        ("nodejs22.x", "F: the runtime nodejs22.x is not served here, only Python. "),
        ("java21", "F: the runtime java21 is not served here, only Python. "),
        ("nodejs3.14", "F: Runtime must be one of "),  # AWS has none of that name
    ],
)
def test_the_start_ends_with_the_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runtime: str, sentence: str
) -> None:
    path = written(tmp_path, "app.handler", "")
    path.write_text(re.sub(r"python3[.]\d+", runtime, path.read_text()))
    said = refused_here(path, capsys, "--no-lint")
    assert said.startswith(sentence)
    assert "Traceback" not in said


@pytest.mark.parametrize("late", [False, True], ids=["at the start", "when it is called"])
async def test_a_missing_package_names_the_command_that_mends_it(
    tmp_path: Path, late: bool
) -> None:
    line = "import not_there_at_all.part"
    code = f"def handler(e, c):\n    {line}" if late else f"{line}\ndef handler(e, c): ..."
    folder = tmp_path / "a folder"
    path = written(folder, "app.handler", code, requirements_txt="not-there-at-all==1\n")
    listed = shlex.quote(str(folder / "src" / "requirements.txt"))
    advice = (
        "F: the module not_there_at_all is not installed. "
        f"Run `{shlex.quote(sys.executable)} -m {INSTALL} -r {listed}`, or run `sam build` and "
        "start with --template .aws-sam/build/template.yaml."
    )
    async with app_here(path, tmp_path) as app:
        with pytest.raises(InvalidStatus) as refused:
            await connect(app.url("A"))
        assert refused.value.response.status_code == 502
        body = json.loads(refused.value.response.body or b"")
        assert body == {"message": "Internal server error", "advice": advice}
        url = next(iter(app.info["http_apis"].values()))["http_url"] + "/x"
        with pytest.raises(urllib.error.HTTPError) as error:
            await asyncio.to_thread(urllib.request.urlopen, url, timeout=30)
        assert json.load(error.value) == {"message": "Internal Server Error", "advice": advice}
        assert f"| {advice}" in app.log.read_text()


def a_function(folder: Path, handler: str = "app.handler", **more: Any) -> Function:
    given = {
        "logical_id": "F",
        "name": "f",
        "arn": "a",
        "handler": handler,
        "runtime": "",
        "code": folder,
        "layers": (),
        "environment": {},
        "timeout_s": 1.0,
        "memory_mb": 128,
        "reserved_concurrency": None,
        "aliases": frozenset(),
    }
    return Function(**{**given, **more})


@pytest.mark.parametrize(
    ("kind", "message", "said"),
    [
        ("Runtime.ImportModuleError", f"{IMPORT} No module named 'a.b'", "a.b is not"),
        ("ModuleNotFoundError", "No module named 'numpy'", "the module numpy is not installed"),
        ("Runtime.ImportModuleError", f"{IMPORT} No module named 'app'", "Mend Handler"),
        ("Runtime.ImportModuleError", f"{IMPORT} cannot import name 'x'", ""),
        ("Runtime.HandlerNotFound", "Handler 'x' missing on module 'app'", ""),
        ("ValueError", "No module named 'numpy'", ""),
    ],
)
def test_advice_is_for_imports_alone(tmp_path: Path, kind: str, message: str, said: str) -> None:
    found = import_advice(a_function(tmp_path), Result.failure(kind, message))
    assert (said in found) if said else found == ""


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b'{"errorType": 1}', b"\xff"])
def test_errors_of_every_shape_are_looked_at(tmp_path: Path, payload: bytes) -> None:
    assert import_advice(a_function(tmp_path), Result(payload, error=True)) == ""
    assert import_advice(a_function(tmp_path), Result(payload, error=False)) == ""


def test_without_a_list_of_packages_no_name_is_guessed(tmp_path: Path) -> None:
    error = Result.failure("ModuleNotFoundError", "No module named 'yaml'")
    said = import_advice(a_function(tmp_path), error)
    assert f"{INSTALL} yaml" not in said
    assert f"{tmp_path} has no requirements.txt" in said
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "requirements.txt").write_text("pyyaml==6")
    said = import_advice(a_function(tmp_path, layers=(layer,)), error)
    assert f"{INSTALL} -r {layer / 'requirements.txt'}" in said
