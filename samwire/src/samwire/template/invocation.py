"""What a template says about asynchronous invocation: retries, ages and destinations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from samwire.template.model import LATEST, EventInvoke

_SERVED = ("sqs", "sns", "lambda")


def event_invokes(
    configs: Mapping[str, Mapping[str, Any]], function_name: str
) -> dict[str, EventInvoke]:
    """Return the settings of a function by qualifier (`AWS::Lambda::EventInvokeConfig`).

    Args:
        configs: the resolved properties of all such resources, by logical id.
    """
    return {
        str(config.get("Qualifier", LATEST)): _event_invoke(config)
        for config in configs.values()
        if _named(str(config["FunctionName"]), function_name)
    }


def unserved_destinations(
    configs: Mapping[str, Mapping[str, Any]], dead_letters: Mapping[str, str]
) -> Iterable[str]:
    """Return a sentence for every destination that nothing is sent to here.

    Args:
        dead_letters: ARNs of dead-letter queues and topics, by logical id of the function.
    """
    for logical_id, config in configs.items():
        settings = _event_invoke(config)
        for arn in (settings.on_success, settings.on_failure):
            if arn and _service(arn) not in _SERVED:
                yield (
                    f"{logical_id}: the destination {arn} is not served here, only SQS, SNS and "
                    "Lambda."
                )
    for logical_id, arn in dead_letters.items():
        if arn and _service(arn) not in ("sqs", "sns"):
            yield f"{logical_id}: the dead-letter target {arn} must be an SQS queue or SNS topic."


def dead_letter(properties: Mapping[str, Any]) -> str:
    """Return the ARN of a function's dead-letter queue or topic; empty if it has none."""
    return str((properties.get("DeadLetterConfig") or {}).get("TargetArn") or "")


def _event_invoke(config: Mapping[str, Any]) -> EventInvoke:
    destinations = config.get("DestinationConfig") or {}
    defaults = EventInvoke()
    return EventInvoke(
        retries=int(config.get("MaximumRetryAttempts", defaults.retries)),
        max_age_s=float(config.get("MaximumEventAgeInSeconds", defaults.max_age_s)),
        on_success=_destination(destinations, "OnSuccess"),
        on_failure=_destination(destinations, "OnFailure"),
    )


def _destination(destinations: Mapping[str, Any], which: str) -> str:
    return str((destinations.get(which) or {}).get("Destination") or "")


def _named(reference: str, name: str) -> bool:
    """Return whether a function's name or ARN names it."""
    return reference.rsplit(":function:", 1)[-1] == name


def _service(arn: str) -> str:
    return [*arn.split(":"), "", "", ""][2]
