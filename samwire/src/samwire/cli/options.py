"""What the options of `samwire start` mean for a stack."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from samwire.cli.parameters import environment_variables, stored_parameters, template_parameters
from samwire.cli.parser import parse
from samwire.faults.latency import latency_of_option
from samwire.faults.plan import Plan, plan_of_option
from samwire.gateway.options import Assumptions, Limits, OptionError
from samwire.gateway.static import parse_mounts
from samwire.log_writer import LogWriter
from samwire.runtime.options import Preload, ServiceOptions
from samwire.stack import Options


def options_of(command_line: Sequence[str], log: LogWriter) -> Options:
    """Return what `samwire start` makes of its options, for a stack inside a program.

    Args:
        command_line: what follows `samwire start`.

    Raises:
        BadPlan, OptionError, TemplateError: an option is not as it should be.
    """
    return stack_options(parse(["start", *command_line]), log)


def stack_options(arguments: argparse.Namespace, log: LogWriter) -> Options:
    """Return what parsed options mean.

    Raises:
        BadPlan, OptionError, TemplateError: an option is not as it should be.
    """
    if arguments.port and arguments.port == arguments.tls_port:
        raise OptionError(f"--tls-port: must be another port than --port, not {arguments.port}.")
    if arguments.db_path and arguments.dynamodb_endpoint:
        raise OptionError("--db-path: what --dynamodb-endpoint names keeps its tables itself.")
    latency = latency_of_option(arguments.latency)
    return Options(
        template=arguments.template,
        parameters=template_parameters(arguments),
        host=arguments.host,
        port=arguments.port,
        tls_port=arguments.tls_port,
        region=arguments.region,
        mounts=parse_mounts(arguments.static_dir),
        prewarm=arguments.prewarm,
        prewarm_only=arguments.prewarm_only,
        dynamodb_endpoint=arguments.dynamodb_endpoint,
        db_path=arguments.db_path,
        environment=environment_variables(arguments.env_vars),
        lambda_options=ServiceOptions(
            concurrency=arguments.concurrency,
            reload=not arguments.no_watch,
            retry_delay_s=arguments.retry_delay,
            latency=latency,
            preload=Preload(arguments.preload),
        ),
        freeze=not arguments.no_freeze,
        limit_memory=not arguments.no_memory_limit,
        limit_processor=arguments.limit_processor,
        latency=latency,
        faults=plan_of_option(arguments.faults) if arguments.faults else Plan(),
        limits=Limits(
            arguments.idle_timeout,
            arguments.max_duration,
            arguments.connection_rate,
            arguments.request_rate,
            arguments.request_burst,
        ),
        assumptions=_assumptions(arguments),
        allow_hosts=arguments.allow_host,
        allow_navigation=arguments.allow_navigation,
        own_origins=arguments.own_origins,
        verify_signatures=arguments.verify_signatures,
        iam=not arguments.no_iam,
        lint=not arguments.no_lint,
        stored=stored_parameters(arguments.ssm_parameters),
        log=log,
        progress=partial(log, "start") if arguments.progress else _ignore,
    )


def _assumptions(arguments: argparse.Namespace) -> Assumptions:
    flags = {
        "two-way": arguments.assume_two_way,
        "strict-frames": arguments.strict_frames,
        "serialize": arguments.serialize,
    }
    chosen = [name for name, given in flags.items() if given]
    return Assumptions().changed([*chosen, *arguments.assume])


def _ignore(_progress: str) -> None:
    """Say nothing: nobody has asked."""
