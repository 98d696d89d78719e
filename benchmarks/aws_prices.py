"""What AWS asks for, in USD, as its price lists say for us-east-1 and arm64.

The benchmarks compute with these, and docs/costs.md shows them.

    python -m benchmarks.aws_prices
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AwsPrice:
    """One price.

    Attributes:
        usd: for `per` of `unit`.
        source: the page that says so.
        read: when it was read.
    """

    what: str
    usd: float
    per: float
    unit: str
    source: str
    read: str = "November 2025"

    @property
    def each(self) -> float:
        """USD of one unit."""
        return self.usd / self.per

    @property
    def shown(self) -> str:
        """The price as its list writes it."""
        per = {1e6: "million", 1e9: "billion"}.get(self.per, self.unit)
        if self.unit == "GB-second":
            return f"${self.usd:.10f} / GB-s"
        if self.unit == "byte":
            return f"${self.usd:.2f} / GB"
        usd = f"{self.usd:.2f}" if round(self.usd, 2) == self.usd else f"{self.usd:g}"
        return f"${usd} / {per}"


_GATEWAY = "https://aws.amazon.com/api-gateway/pricing/"
_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_DYNAMODB = "https://aws.amazon.com/dynamodb/pricing/on-demand/"

MESSAGE = AwsPrice("API Gateway, WebSocket message", 1.00, 1e6, "message", _GATEWAY)
CONNECTION_MINUTE = AwsPrice("API Gateway, minute of a connection", 0.25, 1e6, "minute", _GATEWAY)
HTTP_REQUEST = AwsPrice("API Gateway, request of an HTTP API", 1.00, 1e6, "request", _GATEWAY)
INVOCATION = AwsPrice("Lambda, request", 0.20, 1e6, "request", _LAMBDA)
GB_SECOND = AwsPrice("Lambda, arm64", 0.0000133334, 1, "GB-second", _LAMBDA)
WRITE_UNIT = AwsPrice("DynamoDB, write unit on demand", 0.625, 1e6, "unit", _DYNAMODB)
READ_UNIT = AwsPrice("DynamoDB, read unit on demand", 0.125, 1e6, "unit", _DYNAMODB)
LOG_BYTE = AwsPrice(
    "CloudWatch Logs, ingestion", 0.50, 1e9, "byte", "https://aws.amazon.com/cloudwatch/pricing/"
)
TRACE = AwsPrice(
    "X-Ray, trace recorded", 5.00, 1e6, "trace", "https://aws.amazon.com/xray/pricing/"
)
SENT_BYTE = AwsPrice(
    "data out to the internet", 0.09, 1e9, "byte", "https://aws.amazon.com/ec2/pricing/on-demand/"
)
PRICES = (
    MESSAGE, CONNECTION_MINUTE, HTTP_REQUEST, INVOCATION, GB_SECOND, WRITE_UNIT, READ_UNIT,
    LOG_BYTE, TRACE, SENT_BYTE,
)  # fmt: skip
MESSAGE_UNIT_BYTES = 32 * 1024
"""A message counts as one for each 32 KB that is begun (the price list of API Gateway)."""
VCPU_MB = 1769
"""With so much memory a function has one processor ("Configure Lambda function memory")."""
LOG_EVENT_BYTES = 26
"""What CloudWatch Logs adds to each line ("PutLogEvents")."""
TRACED_SHARE = 0.05
"""Of requests, beyond the first in each second of the whole account (X-Ray's default rule)."""


def price_table() -> str:
    """Return every price, as a Markdown table."""
    lines = ["| what | price | as of |", "| --- | --- | --- |"]
    lines += [f"| [{each.what}]({each.source}) | {each.shown} | {each.read} |" for each in PRICES]
    return "\n".join(lines)


if __name__ == "__main__":
    print(price_table())
