"""Leads a function's requests to the AWS host names of its own stack's APIs to this machine.

An application may build `https://{apiId}.execute-api.{region}.amazonaws.com/{stage}` by itself,
and an `endpoint_url` that is given goes before every environment variable: the request would
leave for the real AWS. Only Python's own `socket` and `ssl` are changed, in a function's process;
they are what boto3, urllib, httpx, requests, aiohttp and websockets connect with.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_HTTPS = (443, "443", "https", None)
_HOSTS = ".execute-api."


def lead_home(hosts: Mapping[str, Sequence[Any]], authority: str) -> None:
    """Have the names of the stack's APIs lead to its gateway, from now on.

    Args:
        hosts: address and port of the TLS listener, by host name.
        authority: file with the certificate authority of the listener.
    """
    changes: dict[str, Callable[[ModuleType], None]] = {}
    if hosts:
        changes["socket"] = lambda module: _redirect(module, hosts)
    if authority:
        changes["ssl"] = lambda module: _trust(module, authority)
    for name in [name for name in changes if name in sys.modules]:
        changes.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport(changes))


class _AfterImport:
    """Changes modules once they are imported: importing them here would make every start slower.

    Args:
        changes: by the module's name.
    """

    def __init__(self, changes: dict[str, Callable[[ModuleType], None]]) -> None:
        self._changes = changes

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find a module that is to be changed as Python itself does; leave others alone."""
        change = self._changes.pop(fullname, None)
        if change is None:
            return None
        if not self._changes:
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            loader: Any = _Changed(spec.loader, change)
            spec.loader = loader
        return spec


class _Changed:
    """Loads a module as its own loader does, and changes it."""

    def __init__(self, loader: Any, change: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then change it."""
        self._loader.exec_module(module)
        self._change(module)


def _redirect(module: Any, hosts: Mapping[str, Sequence[Any]]) -> None:
    resolve = module.getaddrinfo
    api_ids = {name.partition(".")[0]: name for name in hosts}

    def getaddrinfo(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        name = name.lower().rstrip(".") if isinstance(name, str) else ""
        if name in hosts and port in _HTTPS:
            address, own_port = hosts[name]
            return resolve(address, own_port if port is not None else None, *rest, **more)
        own = api_ids.get(name.partition(".")[0]) if _HOSTS in name else None
        if own is not None:
            raise module.gaierror(
                module.EAI_NONAME,
                f"{name}:{port} is not where this stack's API is: https://{own} is, and leads to "
                "the local gateway",
            )
        return resolve(host, port, *rest, **more)

    module.getaddrinfo = getaddrinfo


def _trust(module: Any, authority: str) -> None:
    """Have every context that trusts somebody trust the stack's authority as well."""
    context = module.SSLContext
    load_given, load_defaults = context.load_verify_locations, context.load_default_certs

    def load_verify_locations(self: Any, *given: Any, **named: Any) -> None:
        load_given(self, *given, **named)
        load_given(self, authority)

    def load_default_certs(self: Any, *purpose: Any) -> None:
        load_defaults(self, *purpose)
        load_given(self, authority)

    context.load_verify_locations = load_verify_locations
    context.load_default_certs = load_default_certs
