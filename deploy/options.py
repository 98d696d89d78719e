"""What is said on the command line, in the environment and in samconfig.toml."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import DeployError
from deploy.parameters import words_of

ROOT = Path(__file__).parents[1]
CONFIG = "samconfig.toml"
ENVIRONMENT = "default"
"""The table of samconfig.toml that is read if no other is asked for."""
_TEXTS = ("stack_name", "region", "profile", "s3_bucket", "role_arn")


@dataclass(frozen=True, slots=True)
class Options:
    """How and where to deploy.

    Attributes:
        command: `deploy` or `remove`.
        words: what is given for parameters, the later ones first in rank.
        is_agreed: whether the last question is answered already.
        stack_name: empty to ask for it.
        tags: of the stack.
    """

    command: str
    template: Path
    words: list[str]
    is_agreed: bool
    stack_name: str
    usual_name: str
    region: str | None
    profile: str | None
    bucket: str | None
    role: str | None
    tags: dict[str, str]


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line, then what it leaves open in samconfig.toml.

    Raises:
        DeployError: samconfig.toml is no TOML, or has something else than is allowed, or what is
            asked for of it is not there.
    """
    line = _parser().parse_args(arguments)
    config = _config(line.config_file, line.config_env)
    words = words_of(config.get("parameter_overrides", []), f"{CONFIG}: parameter_overrides")
    words += words_of(os.environ.get("PARAMETERS", ""), "PARAMETERS")
    words += [word for group in line.parameter_overrides for word in group]
    tags = words_of(config.get("tags", []), f"{CONFIG}: tags")
    return Options(
        command=line.command,
        template=Path(line.template),
        words=words,
        is_agreed=line.yes,
        stack_name=line.stack_name or "",
        usual_name=str(config.get("stack_name") or "parley"),
        region=line.region or config.get("region"),
        profile=line.profile or config.get("profile") or os.environ.get("AWS_PROFILE"),
        bucket=line.s3_bucket or config.get("s3_bucket"),
        role=config.get("role_arn"),
        tags=_tags(tags),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deploy",
        description="Deploy Parley to AWS, or remove it. What is not said is asked for.",
        epilog="Keys are never taken from the command line: set ELEVENLABS_API_KEY, LLM_API_KEY "
        "and so on, or have them asked for. See docs/deploy.md.",
    )
    parser.add_argument("command", nargs="?", choices=["deploy", "remove"], default="deploy")
    parser.add_argument("--stack-name", metavar="NAME", help="parley, unless told otherwise")
    parser.add_argument("--region", help="such as eu-west-1")
    parser.add_argument("--profile", help="of the AWS configuration")
    parser.add_argument("--s3-bucket", metavar="NAME", help="for the code; SAM's own otherwise")
    parser.add_argument(
        "--parameter-overrides",
        nargs="+",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="parameters of the template, or file://values.yaml with a line for each",
    )
    parser.add_argument("--yes", action="store_true", help="answer the last question with yes")
    parser.add_argument("--config-file", metavar="FILE", help=f"{CONFIG}, unless told otherwise")
    parser.add_argument("--config-env", metavar="NAME", default=ENVIRONMENT)
    parser.add_argument(
        "--template", metavar="FILE", default=str(ROOT / ".aws-sam" / "build" / "template.yaml")
    )
    return parser


def _config(chosen: str | None, environment: str) -> dict[str, Any]:
    """Return what a samconfig.toml says of `sam deploy`.

    Only what nobody has asked for may be missing: the usual file, and the usual environment.
    """
    path = Path(chosen) if chosen else ROOT / CONFIG
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if chosen:
            raise DeployError(f"{path} cannot be read: {error.strerror}.") from None
        if environment != ENVIRONMENT:
            raise DeployError(
                f"There is no {path} with an environment {environment} (--config-env)."
            ) from None
        return {}
    except OSError as error:
        raise DeployError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeployError(f"{path} is not valid TOML: {error}") from None
    if environment not in content and environment != ENVIRONMENT:
        there = ", ".join(name for name in content if isinstance(content[name], dict))
        raise DeployError(f"{path} has no environment {environment}. It has: {there or 'none'}.")
    found = _table(content, environment, path)
    merged: dict[str, Any] = {}
    for command in ("global", "deploy"):
        section = _table(found, command, path, environment)
        merged |= _table(section, "parameters", path, environment, command)
    for name in _TEXTS:
        if not isinstance(merged.get(name, ""), str):
            raise DeployError(f"{path}: {name} must be a text, not {_shown(merged[name])}.")
    return merged


def _table(parent: Mapping[str, Any], name: str, path: Path, *above: str) -> dict[str, Any]:
    """Return a table of a file, empty if it is not there."""
    found = parent.get(name, {})
    if not isinstance(found, dict):
        where = ".".join([*above, name])
        raise DeployError(f"{path}: {where} must be a table, not {_shown(found)}.")
    return found


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _tags(words: Sequence[str]) -> dict[str, str]:
    for word in words:
        if "=" not in word[1:]:
            raise DeployError(f"{CONFIG}: tags: {word!r} is no Name=value.")
    return dict(word.split("=", 1) for word in words)
