"""Who may use the page: this machine alone, or those who know the password; and a page that asks nobody else."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, MutableMapping
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""What a browser may ask for: this server alone."""

REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' data:"
)
"""For the files of run folders, which may have come from elsewhere: scripts run, apart from the page and its doings."""

LOCAL = ("localhost", "127.0.0.1", "::1")


class Guard:
    """An ASGI application behind a guard; without a password it is for this machine alone.

    A browser on this machine may be made to ask for anything by pages from elsewhere: what it sends must have been
    asked for by this page (Origin), and by a name of this machine (Host).
    """

    def __init__(self, inner: Asgi, user: str, password: str | None) -> None:
        self.inner = inner
        self.expected = None if password is None else f"{user}:{password}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self.inner(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if refused := self._refusal(scope, headers):
            status, text, more = refused
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            own = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": status, "headers": [*own, *more]})
            await send({"type": "http.response.body", "body": text.encode()})
            return

        async def with_policy(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", []))
                if not any(name.lower() == b"content-security-policy" for name, _ in given):
                    given.append((b"content-security-policy", POLICY.encode()))
                given += [(b"referrer-policy", b"no-referrer"), (b"x-content-type-options", b"nosniff")]
                message = {**message, "headers": given}
            await send(message)

        await self.inner(scope, receive, with_policy)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, list[tuple[bytes, bytes]]] | None:
        host = headers.get("host", "")
        if self.expected is not None:
            if not compare_digest(_credentials(headers.get("authorization", "")), self.expected):
                asked = [(b"www-authenticate", b'Basic realm="abe-rerank", charset="UTF-8"')]
                return 401, "this page asks for the user and the password that abe-rerank app printed\n", asked
        elif _host_of(f"//{host}") not in LOCAL:
            return 403, "this page is for the machine that it runs on; open it as http://127.0.0.1\n", []
        origin = headers.get("origin")
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not reads and origin is not None and origin.partition("://")[2] != host:
            return 403, "another page asked for this; open abe-rerank's own\n", []
        return None


def _host_of(address: str) -> str | None:
    """The host that an address names; None for what is no address."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _credentials(header: str) -> bytes:
    """ "user:password" of an Authorization header, empty where it holds none."""
    kind, _, coded = header.partition(" ")
    try:
        return b64decode(coded, validate=True) if kind.lower() == "basic" else b""
    except (NotBase64, ValueError):
        return b""
