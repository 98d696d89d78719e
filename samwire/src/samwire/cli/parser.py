"""The options of the command; those that `sam local start-api` has too are named as there.

Imports nothing heavy: `samwire --help` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from samwire.cli import values
from samwire.gateway.options import Limits
from samwire.runtime.options import ACCOUNT_LIMIT, RETRY_DELAY_S, Preload

_TEMPLATES = ("template.yaml", "template.yml", "template.json")
_MAX_PORT = 65535


class _Parser(argparse.ArgumentParser):
    """Complains in one sentence instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2 after a sentence that begins with the option's long name."""
        if found := re.match(r"argument ([^:]+): (.*)", message, re.DOTALL):
            names = found[1].split("/")
            name = next((name for name in names if name.startswith("--")), names[0])
            message = f"{name}: {found[2]}"
        print(message if message.endswith(("?", ".")) else f"{message}.", file=sys.stderr)
        raise SystemExit(2)


def parse(command_line: Sequence[str] | None = None) -> argparse.Namespace:
    """Read a command line; None for what this process was given.

    Raises:
        SystemExit: it asks for help, or is wrong; what is wrong has been printed.
    """
    parser = _Parser(prog="samwire", description="Serve a SAM template on this machine.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    start = commands.add_parser(
        "start", help="serve a template until Ctrl-C", description="Serve a template until Ctrl-C."
    )
    validate = commands.add_parser(
        "validate",
        help="say what AWS would refuse in a template",
        description="Say what AWS would refuse in a template, and what is not served here.",
    )
    subparsers = {"start": start, "validate": validate}
    for subparser in subparsers.values():
        _add_template(subparser)
    _add_addresses(start)
    _add_functions(start)
    _add_services(start)
    _add_gateway(start)
    _add_output(start)
    arguments, unknown = parser.parse_known_args(command_line)
    if arguments.command is None:
        parser.error(f"COMMAND: expected {' or '.join(subparsers)}; samwire --help says more")
    if unknown:
        parser.error(_unknown(unknown[0], arguments.command, subparsers[arguments.command]))
    return arguments


def _unknown(word: str, command: str, parser: argparse.ArgumentParser) -> str:
    name = word.partition("=")[0]
    known = [option for option in parser.format_help().split() if option.startswith("--")]
    close = difflib.get_close_matches(name, [option.strip(",]") for option in known], 1)
    hint = f"did you mean {close[0]}?" if close else f"samwire {command} --help lists all"
    what = "option" if name.startswith("-") else "argument"
    return f"{name}: samwire {command} has no such {what}; {hint}"


def _add_template(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("template")
    group.add_argument(
        *("-t", "--template", "--template-file"),
        type=Path,
        default=next((Path(name) for name in _TEMPLATES if Path(name).exists()), None)
        or Path(_TEMPLATES[0]),
        metavar="FILE",
        help="a SAM template (default: template.yaml, .yml or .json)",
    )
    group.add_argument(
        "--parameter-overrides",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="values of its parameters; also ParameterKey=KEY,ParameterValue=VALUE and file://FILE",
    )
    group.add_argument(
        "--parameter-file",
        metavar="FILE",
        help='JSON: {"KEY": "VALUE"}; - reads it from standard input',
    )
    group.add_argument(
        "--region",
        type=values.region,
        default="us-east-1",
        help="that functions and ARNs name (default: us-east-1)",
    )
    group.add_argument(
        "--ssm-parameters",
        default="{}",
        metavar="FILE|JSON",
        help="what SSM's parameter store holds",
    )
    group.add_argument("--no-lint", action="store_true", help="do not ask cfn-lint")


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("addresses")
    group.add_argument("--host", default="127.0.0.1", help="to listen on (default: 127.0.0.1)")
    port = values.whole_number(0, _MAX_PORT)
    group.add_argument(
        *("-p", "--port"), type=port, default=3001, metavar="N", help="0 for any (default: 3001)"
    )
    group.add_argument(
        "--tls-port", type=port, default=0, metavar="N", help="0 for any (the default)"
    )
    group.add_argument(
        *("-s", "--static-dir"),
        type=values.static_folder,
        action="append",
        default=[],
        metavar="[/PREFIX=]DIR",
        help="serve a folder in parallel to the APIs; may be given again",
    )
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which the stack is reached; may be given again",
    )
    group.add_argument(
        "--allow-navigation", action="store_true", help="let links of other sites lead to the APIs"
    )
    group.add_argument(
        "--own-origins",
        default="",
        metavar="PARAMETER",
        help="a template parameter that lists allowed origins; adds those of the pages served here",
    )


def _add_functions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("functions")
    group.add_argument(
        *("-n", "--env-vars"),
        type=Path,
        metavar="FILE",
        help="JSON: variables by logical id of the function, or under Parameters for all",
    )
    group.add_argument(
        "--prewarm",
        type=values.whole_number(0),
        default=0,
        metavar="N",
        help="environments that each function has from the start (default: 0)",
    )
    group.add_argument(
        "--prewarm-only",
        action="append",
        default=[],
        metavar="FUNCTION",
        help="prewarm this function only; may be given again",
    )
    group.add_argument(
        "--concurrency",
        type=values.whole_number(1),
        default=ACCOUNT_LIMIT,
        metavar="N",
        help=f"of the account (default: {ACCOUNT_LIMIT})",
    )
    group.add_argument(
        "--retry-delay",
        type=values.number(positive=False),
        default=RETRY_DELAY_S,
        metavar="SECONDS",
        help="before an asynchronous invocation that failed is retried "
        f"(default: {RETRY_DELAY_S:g}; AWS: 60)",
    )
    group.add_argument("--no-watch", action="store_true", help="do not look for changed sources")
    group.add_argument(
        "--no-freeze", action="store_true", help="let functions go on between invocations"
    )
    group.add_argument(
        "--no-memory-limit", action="store_true", help="kill nothing that exceeds its MemorySize"
    )
    group.add_argument(
        "--limit-processor",
        action="store_true",
        help="give functions the share of a processor that their MemorySize buys",
    )
    group.add_argument(
        "--preload",
        choices=[str(each) for each in Preload],
        default=str(Preload.DEFINITIONS),
        help="what is imported once for environments that run at the same time "
        f"(default: {Preload.DEFINITIONS})",
    )
    group.add_argument("--no-iam", action="store_true", help="let every function do everything")


def _add_services(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("services and faults")
    group.add_argument(
        "--dynamodb-endpoint",
        type=values.url,
        default=os.environ.get("DYNAMODB_ENDPOINT", ""),
        metavar="URL",
        help="of DynamoDB Local or another; moto's by default",
    )
    group.add_argument(
        "--db-path",
        type=Path,
        metavar="DIR",
        help="where items of tables, and generated secrets, are kept from one start to the next; "
        "without it nothing is",
    )
    group.add_argument(
        "--latency", default="{}", metavar="aws|FILE|JSON", help="time to add to AWS's hops"
    )
    group.add_argument("--faults", default="", metavar="FILE|JSON", help="what is to go wrong")


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("API Gateway")
    limits = Limits()
    for name, value, unit, about in (
        ("--idle-timeout", limits.idle_s, "SECONDS", "of a connection without messages"),
        ("--max-duration", limits.duration_s, "SECONDS", "of a connection"),
        ("--connection-rate", limits.connections_per_s, "PER_SECOND", "new connections"),
        ("--request-rate", limits.requests_per_s, "PER_SECOND", "messages, posts and requests"),
        ("--request-burst", limits.burst, "N", "of them at once"),
    ):
        group.add_argument(
            name,
            type=values.number(positive=True),
            default=value,
            metavar=unit,
            help=f"{about} (default: {value:g})",
        )
    group.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what API Gateway does where nobody has established it; may be given again",
    )
    group.add_argument(
        "--assume-two-way", action="store_true", help="reply without a route response too"
    )
    group.add_argument("--strict-frames", action="store_true", help="close on frames over 32 KB")
    group.add_argument("--serialize", action="store_true", help="one message after the other")
    group.add_argument("--verify-signatures", action="store_true", help="of @connections")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="say what runs in one JSON line")
    group.add_argument("--progress", action="store_true", help="log what the start waits for")
    group.add_argument("--quiet", action="store_true", help="no log on the terminal")
    group.add_argument(
        *("-l", "--log-file"), type=Path, metavar="FILE", help="append the log to a file"
    )
