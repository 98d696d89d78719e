"""What is said on the command line, in the environment and in samconfig.toml."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import DeployError
from deploy.parameters import words_of

ROOT = Path(__file__).parents[1]
CONFIG = "samconfig.toml"


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
        DeployError: samconfig.toml is no TOML, or has something else than is allowed.
    """
    line = _parser().parse_args(arguments)
    config = _config(Path(line.config_file), line.config_env)
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
        tags=dict(word.split("=", 1) for word in tags if "=" in word),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deploy",
        description="Deploy Parley to AWS, or remove it. What is not said is asked for.",
        epilog="Keys are never taken from the command line: set ELEVENLABS_API_KEY, LLM_API_KEY "
        "and AUTH_SECRET, or have them asked for. See docs/deploy.md.",
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
    parser.add_argument("--config-file", metavar="FILE", default=str(ROOT / CONFIG))
    parser.add_argument("--config-env", metavar="NAME", default="default")
    parser.add_argument(
        "--template", metavar="FILE", default=str(ROOT / ".aws-sam" / "build" / "template.yaml")
    )
    return parser


def _config(path: Path, environment: str) -> dict[str, Any]:
    """What a samconfig.toml says of `sam deploy`."""
    try:
        found = tomllib.loads(path.read_text()).get(environment, {})
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeployError(f"{path} is not valid TOML: {error}") from None
    merged: dict[str, Any] = {}
    for command in ("global", "deploy"):
        merged |= (found.get(command) or {}).get("parameters") or {}
    return merged
