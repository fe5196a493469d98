"""The page of `rac live`: the picture, the running count, sets, and how fast it all is.

A small server (Starlette on uvicorn, extra `live`) that listens on this machine only unless told
otherwise. It holds the newest picture and no other, and writes none. Names under which a browser
asks are checked, so that a page from elsewhere can neither look nor press a button.
"""

import asyncio
import importlib.resources
import ipaddress
import json
import socket
import threading
from collections.abc import AsyncIterator
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rac_jax.counting.live_session import LiveSession, Snapshot

ALOUD_S = 0.1  # between looks for news
ALIVE_S = 1.0  # something is sent at least this often
GOODBYE_S = 2.0  # for pages to hear that it is over

STORE_NOTHING = {"Cache-Control": "no-store"}
HOME = "text/html; charset=utf-8"
# The page runs its own script and talks to its own server.
POLICY = (
    "default-src 'none'; img-src 'self' blob:; connect-src 'self'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own and nobody else's."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _OwnOnly:
    """Refuses requests that name another machine, or come from another one's page."""

    def __init__(self, app: ASGIApp, *, anybody: bool):
        self._app, self._anybody = app, anybody

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            host = request.headers.get("host", "")
            origin = request.headers.get("origin")
            own = self._anybody or is_loopback(host.rpartition(":")[0] or host)
            if not own or origin not in (None, f"http://{host}"):
                refusal = PlainTextResponse("not from here", status_code=403)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class LivePage:
    """Serves a session; use as a context.

    Args:
      session: that is counted by somebody else.
      host: address to listen on; one that is not of this machine alone lets others look.
      port: to listen on, 0 for any that is free.
      beep: whether the page sounds for every repetition.

    Attributes:
      address: of the page.

    Raises:
      OSError: if the address cannot be listened on.
    """

    def __init__(
        self,
        session: LiveSession,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        beep: bool = False,
    ):
        self._session, self._beep = session, beep
        self._number = 0  # of the newest snapshot
        self._heard_end = threading.Event()
        self._listeners = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        port = self._socket.getsockname()[1]
        name = f"[{host}]" if family == socket.AF_INET6 else host
        self.address = f"http://{name}:{port}/"
        app = Starlette(
            routes=[
                Route("/", self._home),
                Route("/picture", self._picture),
                Route("/events", self._events),
                Route("/{name:str}", self._command, methods=["POST"]),
            ],
            middleware=[Middleware(_OwnOnly, anybody=not is_loopback(host))],
        )
        config = uvicorn.Config(
            app, ws="none", log_level="warning", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised) -> None:
        # Whoever looks is told how it ended.
        if self._listeners and self._session.snapshot.over:
            self._heard_end.wait(GOODBYE_S)
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def watch(self, moment: Snapshot) -> None:
        """Tells the page that there is something new."""
        self._number += 1

    async def _home(self, request: Request) -> Response:
        page = importlib.resources.files("rac_jax.view").joinpath("live.html")
        headers = STORE_NOTHING | {"Content-Security-Policy": POLICY}
        return Response(page.read_bytes(), media_type=HOME, headers=headers)

    async def _picture(self, request: Request) -> Response:
        picture = self._session.source.picture
        if picture is None:
            return Response(status_code=204, headers=STORE_NOTHING)
        return Response(picture.jpeg, media_type="image/jpeg", headers=STORE_NOTHING)

    async def _command(self, request: Request) -> Response:
        session = self._session
        commands = {
            "pause": session.pause,
            "reset": session.reset,
            "end": session.end,
        }
        command = commands.get(request.path_params["name"])
        if command is None:
            return PlainTextResponse("no such command", status_code=404)
        command()
        return Response(status_code=204)

    async def _events(self, request: Request) -> Response:
        return StreamingResponse(
            self._news(request), media_type="text/event-stream", headers=STORE_NOTHING
        )

    async def _news(self, request: Request) -> AsyncIterator[str]:
        """Everything that is new, until it is over or the page is left."""
        self._listeners += 1
        try:
            number, shown, slept_s = -1, -1, ALIVE_S
            while not (self._server.should_exit or await request.is_disconnected()):
                picture = self._session.source.picture
                newest = picture.number if picture else 0
                if (number, shown) != (self._number, newest) or slept_s >= ALIVE_S:
                    number, shown, slept_s = self._number, newest, 0.0
                    yield f"data: {json.dumps(self._state(newest))}\n\n"
                    if self._session.snapshot.over:
                        self._heard_end.set()
                        return
                await asyncio.sleep(ALOUD_S)
                slept_s += ALOUD_S
        finally:
            self._listeners -= 1

    def _state(self, picture: int) -> dict:
        session = self._session
        state = session.snapshot.to_dict() | {
            "source": session.source.name,
            "picture": picture,
            "beep": self._beep,
        }
        if session.result is not None:
            state["sentence"] = session.result.sentence
        return state
