"""Runs cfn-lint on a template: JSON in, its matches as JSON out. In a process of its own.

Loops are written out before, since cfn-lint guesses the values of their collections.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cfnlint.api import lint
from cfnlint.config import ManualArgs
from cfnlint.helpers import REGIONS

_HOME_REGION = "us-east-1"


def matches(template: dict[str, Any], region: str) -> list[dict[str, Any]]:
    """Return what cfn-lint says of a template."""
    regions = [region if region in REGIONS else _HOME_REGION]
    return [
        {
            "rule": match.rule.id,
            "page": match.rule.source_url,
            "message": match.message,
            "path": list(getattr(match, "path", None) or []),
        }
        for match in lint(json.dumps(template), config=ManualArgs(regions=regions))
    ]


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(matches(asked["template"], asked["region"]), sys.stdout)
