"""The headers every response carries: what a page may load, and who may embed it."""

from __future__ import annotations

from aiohttp import web

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_ALWAYS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Headers:
    """Puts the headers on every response, streams included, just before it leaves."""

    def __init__(self, *, is_secure: bool) -> None:
        self._headers = dict(_ALWAYS)
        if is_secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what is missing. Connect it to `Application.on_response_prepare`."""
        for name, value in self._headers.items():
            response.headers.setdefault(name, value)
        if request.path.startswith("/admin"):
            response.headers.setdefault("Cache-Control", "no-store")
        else:
            response.headers.setdefault("Cache-Control", "no-cache")
