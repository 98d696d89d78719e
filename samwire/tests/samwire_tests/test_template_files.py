"""Files that are named as templates: whatever they hold, the answer is a stack or a sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from samwire.template.intrinsics import TemplateError
from samwire.template.reader import read_stack
from samwire_tests.app_stack import refused_here

GOOD = """\
Transform: AWS::Serverless-2016-10-31
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.13, Handler: app.handler, InlineCode: "def handler(e, c): pass"}
"""
AS_JSON = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Resources": {
        "F": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"Runtime": "python3.13", "Handler": "app.handler", "InlineCode": "pass"},
        }
    },
}


@pytest.mark.parametrize(
    "data",
    [
        GOOD.encode(),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.encode("utf-16"),
        GOOD.replace("\n", "\r\n").encode(),
        b"---\n" + GOOD.encode() + b"...\n",
        json.dumps(AS_JSON).encode(),
        json.dumps(AS_JSON, indent="\t").encode(),
        b"\n\n" + json.dumps(AS_JSON, indent=2).encode(),
        b"{Transform: AWS::Serverless-2016-10-31, Resources: {F: {Type: AWS::Serverless::Function,"
        b" Properties: {Runtime: python3.13, Handler: a.b, InlineCode: pass}}}}",
        (GOOD + "Metadata:\n  At: 2026-01-01\n  Yes: yes\n  Half: 0.5\n  1: one\n").encode(),
        (GOOD + "Metadata: &a {b: &c [1], d: *c}\n").encode(),
        (GOOD + "Metadata: {<<: {a: 1}, b: 2}\n").encode(),
    ],
    ids=[
        "plain",
        "byte order mark",
        "UTF-16",
        "CRLF",
        "document marks",
        "JSON",
        "JSON with tabs",
        "JSON after empty lines",
        "flow style",
        "other scalars",
        "aliases",
        "merge key",
    ],
)
def test_a_template_is_read_however_it_is_written(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "template.yaml"
    path.write_bytes(data)
    assert [f.logical_id for f in read_stack(path, {}, "us-east-1", "localhost:1").functions] == [
        "F"
    ]


BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "holds no map"),
    "only comments": (b"# nothing\n", "holds no map"),
    "a list": (b"- a\n", "holds no map"),
    "a text": (b"hello", "holds no map"),
    "a number": (b"7", "holds no map"),
    "no resources": (b"Description: x", "has no Resources"),
    "resources that are none": (b"Resources:\n", "has no Resources"),
    "resources that are a list": (b"Resources: [a]\n", "has no Resources"),
    "resources that are empty": (b"Resources: {}\n", "has no Resources"),
    "broken YAML": (b"Resources: [", "is not valid YAML: .*line 2"),
    "broken JSON": (b'{"Resources": {', "is not valid YAML"),
    "a tab for indentation": (b"Resources:\n\tF: x\n", "is not valid YAML"),
    "an image": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "no text in UTF-8"),
    "zeros": (b"\x00" * 100, "is not valid YAML"),
    "Latin-1": ("Description: größe\n".encode("latin-1"), "no text in UTF-8"),
    "two documents": (b"Resources: {A: {Type: x}}\n---\na: 1\n", "is not valid YAML"),
    "a key twice": (GOOD.encode() + b"Resources: {}\n", "'Resources' is there twice"),
    "a logical id twice": (
        GOOD.encode() + b"  F: {Type: AWS::SQS::Queue}\n",
        r"'F' is there twice, again in line 6",
    ),
    "a key twice in JSON": (
        b'{"Resources": {"A": {"Type": "x"}, "A": {"Type": "y"}}}',
        "'A' is there twice in one object",
    ),
    "an object of Python": (
        b"Resources: {A: !!python/object/apply:os.system [true]}",
        "could not determine a constructor",
    ),
    "an unknown tag": (b"Resources: {A: {Type: !Foo bar}}", "A: it must have a Type"),
    "an alias of nothing": (b"Resources: *nothing", "undefined alias"),
    "an alias of itself": (b"Resources: &a {A: {Type: x, Metadata: *a}}", "part of what it stands"),
    "a date that is none": (b"Resources: {A: {Type: 2026-13-45}}", "is not valid YAML"),
    "a map as a key": (b"Resources: {{a: b}: c}", "is not valid YAML"),
    "a short form of a map": (b"Resources: {A: {Type: !GetAtt {a: b}}}", "is not valid YAML|A: "),
    "nested without end": (b"Resources: " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
    "aliases of aliases": (
        b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10))
                   for n in range(1, 9))
        + b"Resources: {A: {Type: x}}\n",
        "stand for more than a template can hold",
    ),
    "two megabytes": (b"# " + b"x" * 2_000_000, "CloudFormation takes at most"),
    "parameters that are a list": (b"Parameters: [a]\n" + GOOD.encode(), "Parameters: it must be"),
    "a parameter that is a text": (b"Parameters: {P: x}\n" + GOOD.encode(), "P: in Parameters"),
    "outputs that are a text": (b"Outputs: x\n" + GOOD.encode(), "Outputs: it must be a map"),
    "conditions that are a list": (b"Conditions: [a]\n" + GOOD.encode(), "Conditions: it must be"),
    "a mapping of texts": (b"Mappings: {M: {a: b}}\n" + GOOD.encode(), "M: a mapping must be"),
    "globals that are a list": (b"Globals: [a]\n" + GOOD.encode(), "'Globals' section is invalid"),
    "a DependsOn of a map": (
        b"Resources: {A: {Type: AWS::SQS::Queue, DependsOn: {a: b}}}",
        "A: its DependsOn must be",
    ),
    "a condition of a list": (
        b"Resources: {A: {Type: AWS::SQS::Queue, Condition: [a]}}",
        "A: its Condition must be",
    ),
    "properties of a text": (
        b"Resources: {A: {Type: AWS::Serverless::Function, Properties: x}}",
        "A: its Properties must be a map",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_template_is_a_sentence(tmp_path: Path, name: str) -> None:
    data, sentence = BAD[name]
    path = tmp_path / "template.yaml"
    path.write_bytes(data)
    with pytest.raises(TemplateError, match=sentence):
        read_stack(path, {}, "us-east-1", "localhost:1")


def test_a_template_may_be_a_link_and_paths_in_it_are_beside_the_link(tmp_path: Path) -> None:
    """As for `sam build`, which looks beside the path that it is given."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.yaml").write_text(
        GOOD.replace('InlineCode: "def handler(e, c): pass"', "CodeUri: code")
    )
    (tmp_path / "code").mkdir()
    link = tmp_path / "template.yaml"
    link.symlink_to("there/real.yaml")
    (found,) = read_stack(link, {}, "us-east-1", "localhost:1").functions
    assert found.code == tmp_path / "code"


@pytest.mark.parametrize("kind", ["folder", "nothing", "dangling link", "no permission", "circle"])
def test_a_path_that_is_no_file_is_a_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "template.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to("nowhere.yaml")
    elif kind == "circle":
        path.symlink_to("template.yaml")
    elif kind == "no permission":
        path.write_text(GOOD)
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user may read everything")
    with pytest.raises(TemplateError, match=r"is a folder|There is no template|cannot be read"):
        read_stack(path, {}, "us-east-1", "localhost:1")


@pytest.mark.parametrize("name", ["empty", "an image", "a logical id twice", None])
def test_the_command_says_it_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str | None
) -> None:
    path = tmp_path / "template.yaml"
    if name is None:
        path.mkdir()
    else:
        path.write_bytes(BAD[name][0])
    said = refused_here(path, capsys)
    assert len(said.splitlines()) == 1, said
