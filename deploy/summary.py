"""What is said before and after: what there will be, what it costs, how to try and remove it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.worst_case import Prices, defaults, worst_day
from deploy.choice import FALLBACK, Choice
from deploy.options import ROOT
from deploy.parameters import SECRETS
from deploy.stack import Change, Existing
from samwire.template.intrinsics import Resolver

LOCAL_PAGE = "http://localhost:3001"
"""The origin of the page that `make run` serves."""
COSTS = ROOT / "docs" / "costs.md"
_NAMES = {
    "AWS::ApiGatewayV2::Api": "API",
    "AWS::DynamoDB::Table": "table",
    "AWS::IAM::Role": "role",
    "AWS::Lambda::Function": "function",
    "AWS::Logs::LogGroup": "log group",
    "AWS::S3::Bucket": "bucket",
    "AWS::Lambda::LayerVersion": "layer",
    "AWS::SecretsManager::Secret": "secret",
}
"""What a reader wants to know of; the rest belongs to one of them."""
KEEPS = {"AWS::ApiGatewayV2::Api", "AWS::DynamoDB::Table", "AWS::S3::Bucket"}
"""Kinds of which another one in its place is another address, or empty."""


def kinds(template: Path, values: Mapping[str, str]) -> list[str]:
    """Return the types of the resources that there will be with these values of parameters."""
    # SAM's translator takes a second to import; whoever breaks off before need not wait for it.
    from samwire.template.transform import read_transformed

    found = read_transformed(template, values, "us-east-1")
    resolver = Resolver(
        found.parameters,
        found.template.get("Conditions") or {},
        found.template.get("Mappings") or {},
        lambda name: name,
        lambda name, attribute: f"{name}.{attribute}",
    )
    return [
        each["Type"]
        for each in found.template["Resources"].values()
        if "Condition" not in each or resolver.condition(each["Condition"])
    ]


def providers(values: Mapping[str, str]) -> list[str]:
    """Return who transcribes, replies and speaks, and which keys there are none of.

    Args:
        values: that all parameters will have, `****` for secrets that are kept.
    """
    choice = Choice(values)
    lines = []
    for does, parameter, model, address in (
        ("transcribes", "Transcriber", "TranscriptionModel", "TranscriptionBaseUrl"),
        ("replies", "Responder", "LlmModel", "LlmBaseUrl"),
        ("speaks", "Synthesizer", "SpeechModel", "SpeechBaseUrl"),
    ):
        with_model = f" with {values[model]}" if values[model] else ""
        where = f" at {values[address]}" if values[address] else ""
        second = choice.provider(FALLBACK + parameter)
        instead = f"; when it fails, {second}" if second else ""
        lines.append(f"{does}: {choice.provider(parameter)}{with_model}{where}{instead}")
    lines += [
        f"no {name}: {_without(name, values)}"
        for name in choice.optional()
        if not values[name] and name in SECRETS
    ]
    return lines


def _without(key: str, values: Mapping[str, str]) -> str:
    address = key.replace("ApiKey", "BaseUrl")
    if address != key and not values[address]:
        return "OpenAI refuses every request without one"
    return "right only for an endpoint that asks for none"


def count_kinds(kinds: Iterable[str]) -> str:
    """Count the kinds, the most first, e.g. `8 functions, 2 APIs, 1 table`."""
    counted = Counter(kind for kind in kinds if kind in _NAMES)
    return ", ".join(
        f"{count} {_NAMES[kind]}{'s' if count > 1 else ''}"
        for kind, count in sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    )


def costs(values: Mapping[str, str]) -> str:
    """Return what it costs while nobody talks, while somebody does, and on the worst day.

    Args:
        values: that all parameters will have.
    """
    text = COSTS.read_text()
    minute = _figure(r"\| \*\*sum\*\* \| \| \| \*\*([\d.]+)\*\* \|", text)
    idle = float(_figure(r"one Secrets Manager secret \(\$([\d.]+) a", text))
    mode = values["AuthMode"]
    idle *= 2 if mode == "secret" else 1
    tenant = _worst_day(values, "Tenant")
    if mode == "off":
        worst = f"Anybody who knows the URL can talk. The limits let that cost {tenant}"
    else:
        subject = _worst_day(values, "Subject")
        worst = f"The limits let one user cost {subject}, and one tenant {tenant}"
    return "\n".join(
        [
            f"It costs ${idle:.2f} a month while nobody talks, and "
            f"${float(minute):.3f} of AWS for a minute of talk;",
            "transcriber, model and voice cost several times that (docs/costs.md).",
            f"{worst} (docs/costs.md).",
        ]
    )


def _worst_day(values: Mapping[str, str], whose: str) -> str:
    """Return the cost of the worst day, e.g. `up to $12.34 a day`."""
    numbers = {name: float(values[name]) for name in defaults()}
    used = [name for name in numbers if name.endswith((f"Per{whose}", "PerSecond"))]
    if "TurnsPerMinutePerSubject" not in used:  # bounds what each connection asks for
        used.append("TurnsPerMinutePerSubject")
    unlimited = [name for name in used if numbers[name] == 0]
    if unlimited:
        return f"without bounds ({', '.join(unlimited)}: 0)"
    return f"up to ${sum(worst_day(numbers, whose, Prices()).values()):,.2f} a day"


def _figure(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise LookupError(f"{COSTS} has no figure as {pattern}")
    return found[1]


def changes(found: Sequence[Change]) -> str:
    """Return what CloudFormation is about to do, one line for each kind of change."""
    lines = []
    for action in dict.fromkeys(each.action for each in found):
        kinds = [each for each in found if each.action == action]
        counted = count_kinds(each.kind for each in kinds)
        lines.append(
            f"  {action.lower()}: {len(kinds)} resources" + (f" ({counted})" if counted else "")
        )
    return "\n".join(lines)


def lost(found: Sequence[Change]) -> list[str]:
    """Return what will be another one afterwards, or gone, although somebody relies on it."""
    return [
        f"{each.logical_id} ({_NAMES[each.kind]})"
        for each in found
        if each.kind in KEEPS and (each.is_replaced or each.action == "Remove")
    ]


def how_to_try(stack: Existing, options: str) -> str:
    """Return the addresses of a stack, and the first things to do with them.

    Args:
        options: region and profile, as the AWS CLI takes them.
    """
    url, http = stack.outputs.get("WebSocketUrl", ""), stack.outputs.get("HttpUrl", "")
    lines = [f"  {url}", f"  {http}", ""]
    has_tokens = stack.stored.get("AuthMode", "off") != "off"
    if (maker := stack.outputs.get("TokenFunctionName")) is not None:
        lines += [
            "A token for a user, as your backend would make one:",
            f"  aws lambda invoke {options} --function-name {maker} \\",
            "    --cli-binary-format raw-in-base64-out \\",
            '    --payload \'{"subject": "ada"}\' /dev/stdout',
            "",
        ]
    shown = ' --token "$TOKEN"' if has_tokens else ""
    lines += ["Try it:", f'  .venv/bin/talk --url {url}{shown} "Hello"']
    origins = [each.strip() for each in stack.stored.get("AllowedOrigins", "*").split(",")]
    if "*" in origins or LOCAL_PAGE in origins:
        lines.append(f"  make run, and then {LOCAL_PAGE}/?url={url}")
    else:
        lines.append(
            f"The page of `make run` may not connect: add {LOCAL_PAGE} to AllowedOrigins for that."
        )
    return "\n".join(lines)


def what_stays(outputs: Mapping[str, str], options: str) -> str:
    """Return what removing the stack leaves, and how to be rid of it."""
    lines = []
    if table := outputs.get("TableName"):
        lines += [
            "The table with the conversations stays, and costs what it stores. To delete it too:",
            f"  aws dynamodb delete-table {options} --table-name {table}",
        ]
    if bucket := outputs.get("RecordingBucketName"):
        lines += [
            "The bucket with the recordings stays. To delete it too:",
            f"  aws s3 rb {options} --force s3://{bucket}",
        ]
    lines += [
        "SAM's bucket stays, for whatever else SAM deploys in this region (stack",
        "aws-sam-cli-managed-default), and so do backups of the table, for 35 days.",
    ]
    return "\n".join(lines)
