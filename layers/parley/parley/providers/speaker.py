"""Who is speaking, as a responder's endpoint is told.

An endpoint of the deployment's own looks its users up: it is told who they are. A vendor's needs
no more than to tell them apart: it gets hashes in place of names.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote, urlsplit

from parley.principal import ANONYMOUS, SessionRef, parse_owner, parse_principal
from parley.providers.llm import Speaker

SESSION_KEY = "session_key"
"""Its name in the deployment's secret; `template.yaml` generates it."""

HASH_CHARS = 32
"""128 bits: no two sessions have the same hash."""

VENDOR_DOMAINS = (
    *("ai21.com", "aimlapi.com", "aliyuncs.com", "anthropic.com", "api.cloudflare.com"),
    *("baseten.co", "bigmodel.cn", "cerebras.ai", "cognitiveservices.azure.com", "cohere.ai"),
    *("cohere.com", "deepinfra.com", "deepseek.com", "fireworks.ai", "friendli.ai"),
    *("gateway.ai.cloudflare.com", "github.ai", "googleapis.com", "groq.com", "huggingface.co"),
    *(
        "hyperbolic.xyz",
        "inference.ai.azure.com",
        "minimax.io",
        "mistral.ai",
        "models.ai.azure.com",
    ),
    *("moonshot.ai", "moonshot.cn", "nebius.com", "novita.ai", "nvidia.com", "ollama.com"),
    *("openai.azure.com", "openai.com", "openrouter.ai", "perplexity.ai", "replicate.com"),
    *("sambanova.ai", "scaleway.ai", "services.ai.azure.com", "siliconflow.cn"),
    *("siliconflow.com", "together.ai", "together.xyz", "vercel.sh", "x.ai", "z.ai"),
)
"""Where models are rented out to everybody, besides Bedrock. Any other name is taken for an
endpoint of the deployment's own."""
_BEDROCK = re.compile(r"bedrock[a-z-]*\.[a-z0-9-]+\.(?:amazonaws\.com(?:\.cn)?|api\.aws)")
"""Other hosts of these domains are their customers' own."""

_KEPT = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}"
"""What needs no percent-encoding in a header. The percent sign itself does: then the encoding can
be undone."""


def make_speaker(ref: SessionRef, turn_id: str, key: str) -> Speaker:
    """Return who speaks in a turn.

    Args:
        key: the deployment's `session_key`. Without one, the session's hash has no key: its id has
            80 random bits, so nobody guesses it from the hash. A user's name can be guessed, so
            there is no pseudonym then.
    """
    session = _hash(key, "session", ref)
    owner = parse_principal(ref)
    if owner == ANONYMOUS:
        return Speaker(session, turn_id)
    tenant = "" if owner.tenant == ANONYMOUS.tenant else owner.tenant
    pseudonym = _hash(key, "user", parse_owner(ref)) if key else ""
    return Speaker(session, turn_id, owner.subject, tenant, pseudonym)


def speaker_headers(speaker: Speaker, base_url: str) -> dict[str, str]:
    """Return the headers that tell an endpoint who speaks. What is not known has none.

    A value is percent-encoded where it is not printable ASCII, and at each percent sign and space.

    Args:
        base_url: the endpoint's. At a vendor's, the user is a pseudonym and the tenant is left out.
    """
    named = not is_vendor(base_url)
    values = {
        "X-Parley-Session": speaker.session,
        "X-Parley-Turn": speaker.turn_id,
        "X-Parley-User": speaker.subject if named else speaker.pseudonym,
        "X-Parley-Tenant": speaker.tenant if named else "",
    }
    return {name: _encode(value) for name, value in values.items() if value}


def names_of(speaker: Speaker) -> list[str]:
    """Return what names a speaker, and must be in no log."""
    names = (speaker.session, speaker.subject, speaker.tenant, speaker.pseudonym)
    return [name for name in names if name]


def is_vendor(base_url: str) -> bool:
    """Return whether an endpoint is one of a vendor that rents models out to everybody."""
    host = _host(base_url)
    return _is_within(host, VENDOR_DOMAINS) or _BEDROCK.fullmatch(host) is not None


def is_openai(base_url: str) -> bool:
    """Return whether an endpoint is OpenAI's own, in whichever region."""
    return _is_within(_host(base_url), ("openai.com",))


def _host(base_url: str) -> str:
    try:
        return (urlsplit(base_url).hostname or "").rstrip(".")
    except ValueError:  # the request itself says so better
        return ""


def _is_within(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _hash(key: str, what: str, name: str) -> str:
    # What it names comes first, so that a user and a session never have the same hash.
    message = f"parley {what} {name}".encode()
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()[:HASH_CHARS]


def _encode(value: str) -> str:
    return quote(value, safe=_KEPT, errors="replace")
