"""Serves folders beside the API, so that a page can be tried with it, as a static host would:
with the headers that the folders ask for."""

from __future__ import annotations

import mimetypes
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from samwire.gateway.options import OptionError
from samwire.gateway.site_headers import NAME, Rule, headers_of, read_rules

_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder, and the path under which it is served."""

    prefix: str
    folder: Path

    @classmethod
    def parsed(cls, text: str) -> Mount:
        """Parse `DIR`, or `/prefix=DIR`."""
        prefix, separator, folder = text.partition("=")
        if separator and prefix.startswith("/"):
            return cls(prefix.rstrip("/") + "/", Path(folder).resolve())
        return cls("/", Path(text).resolve())


def parse_mounts(texts: Iterable[str]) -> list[Mount]:
    """What all of `--static-dir` means.

    Raises:
        OptionError: two folders have the same prefix, or a prefix has braces.
    """
    mounts = [Mount.parsed(text) for text in texts]
    for prefix, count in Counter(mount.prefix for mount in mounts).items():
        if count > 1:
            raise OptionError(
                f"--static-dir: {count} folders have the prefix {prefix}. Give each one of its "
                "own, as /PREFIX=DIR."
            )
        if "{" in prefix or "}" in prefix:
            raise OptionError(f"--static-dir: expected a prefix without braces, got {prefix!r}.")
    return mounts


def routes(mounts: list[Mount]) -> list[web.RouteDef]:
    """Return the routes of the folders; the longest prefix wins.

    Raises:
        OptionError: a folder's `_headers` cannot be read.
    """
    inner_last = sorted(mounts, key=lambda mount: len(mount.prefix))
    rules = [rule for mount in inner_last for rule in read_rules(mount.folder, mount.prefix)]
    return [
        web.get(mount.prefix + "{path:.*}", _handler(mount.folder, rules))
        for mount in reversed(inner_last)
    ]


def _handler(
    folder: Path, rules: list[Rule]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        if "\0" in request.match_info["path"]:
            return web.Response(status=404, text="Not found")
        path = (folder / request.match_info["path"]).resolve()
        if path.is_dir():
            path /= "index.html"
        if not path.is_relative_to(folder) or not path.is_file() or path.name == NAME:
            return web.Response(status=404, text="Not found")
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        return web.Response(
            body=path.read_bytes(),
            content_type=kind or "application/octet-stream",
            headers={"Cache-Control": "no-store", **headers_of(request.path, rules)},
        )

    return serve
