"""Velocity templates, as far as API Gateway's mapping templates use them.

No module of the language is left to libraries: the maintained one (`airspeed-ext`) has no
types, writes maps as Python does, and lacks `#break` and `entrySet()`.
"""

from samwire.gateway.velocity.evaluation import rendered
from samwire.gateway.velocity.nodes import TemplateFault
from samwire.gateway.velocity.parser import parsed

__all__ = ["TemplateFault", "parsed", "rendered"]
