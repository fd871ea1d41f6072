"""Static files: their addresses change with their content, so browsers may keep them for good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

PREFIX = "/static/"

_MIME = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    mime: str
    version: str


class Assets:
    """The files of one folder. They are small, so they are read once."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _read(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in _MIME
        }

    def url(self, name: str) -> str:
        """Return the address of a file, with its content's hash in the query."""
        return f"{PREFIX}{name}?v={self._files[name].version}"

    async def serve(self, request: web.Request) -> web.Response:
        """Answer with a file; 304 when the browser has it."""
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        is_dated = request.query.get("v") == found.version
        headers = {"Cache-Control": _FOREVER if is_dated else "no-cache"}
        tags = request.if_none_match or ()
        if any(tag.value in (found.version, "*") for tag in tags):
            response = web.Response(status=304, headers=headers)
        else:
            response = web.Response(body=found.body, content_type=found.mime, charset="utf-8", headers=headers)
        response.etag = found.version
        return response

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the route under which the files are served."""
        return [web.get(PREFIX + "{name:.+}", self.serve)]


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _MIME[path.suffix], hashlib.sha256(body).hexdigest()[:16])
