"""The page served to browsers, on this machine alone unless more is asked for."""

from __future__ import annotations

import secrets
import socket
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abe_rerank.errors import AbeRerankError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from abe_rerank.integrations.app.desk import Desk
    from abe_rerank.integrations.app.guard import Asgi

LOOPBACK = ("127.0.0.1", "localhost", "::1")
USER = "abe"
PORTS = range(7860, 7960)
"""Where a free port is looked for if none is named."""


MOST_BYTES = 512 * 2**20
"""The largest picture that can be dropped into the page."""


@dataclass(frozen=True)
class Place:
    """Where the page is served. ``password`` is needed, and made where none is given, unless it is this machine."""

    host: str = "127.0.0.1"
    port: int | None = None
    share: bool = False
    password: str | None = None

    @property
    def secret(self) -> str | None:
        """The password; None where none is needed."""
        if self.password is not None:
            return self.password
        return secrets.token_urlsafe(9) if self.share or self.host not in LOOPBACK else None


def application(desk: Desk, password: str | None) -> Asgi:
    """The page of a desk behind its guard, as an ASGI application. Raises UsageError where Gradio is not installed."""
    from abe_rerank.integrations.app import layout

    layout.quiet()
    try:
        import gradio
        from fastapi import FastAPI
    except ImportError:
        raise UsageError('the page needs Gradio; install it with: pip install "abe-rerank[app]"') from None
    from abe_rerank.integrations.app.guard import Guard
    from abe_rerank.integrations.app.routes import routes_of

    outer = FastAPI(routes=list(routes_of(desk)), openapi_url=None)
    mounted = gradio.mount_gradio_app(
        outer,
        layout.page(desk),
        path="",
        footer_links=[],
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        max_file_size=MOST_BYTES,
        theme=layout.theme(),
        head=layout.head(),
    )
    return Guard(mounted, USER, password)


def serve(place: Place, desk: Desk, say: Callable[[str], None]) -> None:
    """Serve the page of a desk until the process is told to stop; what is being drawn then is written first.

    ``say`` is told the addresses. Raises UsageError for a port that is taken or a host that is not this machine's.
    """
    secret = place.secret
    with closing(_bound(place)) as bound:
        port = bound.getsockname()[1]
        app = application(desk, secret)
        import uvicorn

        desk.open()
        say(f"http://{f'[{place.host}]' if ':' in place.host else place.host}:{port}")
        if place.share:
            say(_shared(port))
        if secret is not None:
            say(f"user {USER}, password {secret}")
        try:
            config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, lifespan="on")
            uvicorn.Server(config).run(sockets=[bound])
        finally:
            desk.close()


def _bound(place: Place) -> socket.socket:
    """A socket at the place, at a free port where none is named."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    for port in PORTS if place.port is None else (place.port,):
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((place.host, port))
            bound.listen(128)
        except (OSError, OverflowError) as error:
            bound.close()
            if place.port is not None or getattr(error, "errno", None) != 98:
                reason = getattr(error, "strerror", None) or str(error)
                raise UsageError(f"{place.host}:{port} cannot be listened at: {reason}; choose another port") from None
        else:
            return bound
    raise UsageError(f"no port from {PORTS[0]} to {PORTS[-1]} is free; name one with --port")


def _shared(port: int) -> str:
    """The public address of a tunnel to the page. Raises AbeRerankError where none can be opened."""
    from gradio.networking import setup_tunnel

    try:
        return str(setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None))
    except Exception as error:
        raise AbeRerankError(f"no public address could be had from Gradio: {error}; use --host instead") from None
