"""Turns over HTTP: `POST /turns`, the sessions and interruptions that belong to them, and what a
backend tells or has said."""

from __future__ import annotations

import functools
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.app.environment import Environment
from parley.app.turn_runner import TurnRunner, answer_ms
from parley.auth.authenticator import Authenticator
from parley.aws.turn_invoker import TurnInvoker
from parley.http.dispatcher import Dispatcher
from parley.http.turns import ROUTES, TurnHandlers
from parley.http.words import ROUTES as WORD_ROUTES
from parley.http.words import WordHandlers
from parley.limits.turn_quota import Admission
from parley.principal import parse_session_id
from parley.protocol.turn_request import TurnRequest
from parley.sessions.agent_turns import AgentTurns
from parley.turn.finish import Outcome
from parley.turn.telemetry import report_turn

logger = Logger()
metrics = Metrics()


def warn(event: str, fields: dict[str, Any]) -> None:
    """Log trouble of a turn."""
    logger.warning(event, **fields)


environment = Environment()
runner = TurnRunner(environment, warn)
agents = environment.make_agents(warn)
authenticator = Authenticator.from_environment()
dispatcher = Dispatcher(ROUTES, authenticator, logger)
word_dispatcher = Dispatcher(WORD_ROUTES, authenticator, logger)
word_keys = frozenset(route.key for route in WORD_ROUTES)


@functools.cache
def find_word_handlers() -> WordHandlers:
    """Make what answers a backend's requests, and only then a client of Lambda."""
    start = TurnInvoker(environment.deployment.turn_function)
    agent_turns = AgentTurns(environment.sessions, environment.turns, start)
    return WordHandlers(environment.sessions, agent_turns, environment.request_rates)


@logger.inject_lambda_context(correlation_id_path="requestContext.requestId", clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of the HTTP API."""

    def run(request: TurnRequest, admission: Admission) -> Outcome | None:
        logger.append_keys(session_id=parse_session_id(request.session), turn_id=request.turn_id)
        left_ms = answer_ms(request, context.get_remaining_time_in_millis)
        outcome = runner.run(request, context.aws_request_id, left_ms, admission)
        report_turn(request, outcome, logger, metrics)
        metrics.flush_metrics()  # here, because other requests have none
        return outcome

    turns = TurnHandlers(
        environment.sessions,
        environment.turns,
        run,
        environment.deployment.settings_policy,
        admit_turn=runner.admit,
        stand_ins=environment.deployment.stand_ins,
        utterance_s=environment.deployment.limits.utterance_s,
        requests=environment.request_rates,
        agents=agents,
    )
    if event["routeKey"] in word_keys:
        answer = word_dispatcher.answer_event(event, find_word_handlers())
    else:
        answer = dispatcher.answer_event(event, turns)
    if answer["statusCode"] >= 400:
        logger.info("request_refused", status=answer["statusCode"])
    return answer
