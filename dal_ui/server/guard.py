"""The guard before the app: every request and every websocket passes it first.

It checks Host and Origin, asks for the code of a shared server, and adds the headers of `policy` to
the answers. Nothing of the app is reached by a request that it refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dal_ui.server import policy
from dal_ui.server.code import Gate
from dal_ui.server.code_page import POLICY, code_page, wait_for
from dal_ui.server.hosts import is_same_origin, is_served

MAX_FORM = 1000  # bytes; a code has a dozen
COOKIE_DAYS = 7
POLICY_VIOLATION = 1008  # a websocket's closing code


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = (), gate: Gate | None = None) -> None:
        """
        Args:
            hosts: names and addresses that the server answers to besides this machine's own.
            gate: of a shared server; None asks for no code.
        """
        self.app, self.hosts, self.gate = app, tuple(hosts), gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] not in ("http", "websocket"):  # the start and end of the server
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope))
        if refusal is None and self.gate is not None:
            refusal = await self._at_the_gate(self.gate, scope, receive)
        if refusal is None:
            await self.app(scope, receive, _with_headers(scope, send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await refusal(scope, receive, send)

    def _refusal(self, headers: Headers) -> Response | None:
        """The answer to a request that is not meant for this server."""
        named = headers.getlist("host")
        host = named[0] if len(named) == 1 else None
        if not is_served(host, self.hosts):
            shown = ascii(host or "")[1:-1][:100]
            return _refused(
                f"This server does not answer to the name '{shown}'. Whoever runs it can allow the "
                "name: dal app --allow-host NAME.",
                421,
            )
        origins = headers.getlist("origin")
        if len(origins) > 1 or not is_same_origin(origins[0] if origins else None, host):
            return _refused("This request comes from a page of another server.", 403)
        return None

    # -- the code ------------------------------------------------------------------------------

    async def _at_the_gate(self, gate: Gate, scope: Scope, receive: Receive) -> Response | None:
        """None for who has the token; else the code page, or where the right code leads."""
        headers = Headers(scope=scope)
        if gate.knows(cookie_parser(headers.get("cookie", "")).get(_cookie_name(scope))):
            return None
        if scope["type"] == "http" and scope["method"] == "POST":
            form = await _form(receive)
            return _refused("This is no code.", 400) if form is None else _tried(gate, scope, form)
        if scope["type"] == "http" and "text/html" in headers.get("accept", ""):
            return _asked()
        return _refused("This server is shared with a code: open it in a browser first.", 401)


def _tried(gate: Gate, scope: Scope, form: str) -> Response:
    address = (scope.get("client") or ("", 0))[0]
    typed = parse_qs(form).get("code", [""])[0]
    token = gate.enter(typed, address)
    if token is None:
        seconds = gate.seconds_to_wait(address)
        return _asked(wait_for(seconds), 429) if seconds else _asked("This is not the code.", 401)
    answer = RedirectResponse(_address(scope), 303, _CLOSED)
    answer.set_cookie(
        _cookie_name(scope),
        token,
        max_age=COOKIE_DAYS * 24 * 3600,
        httponly=True,
        samesite="lax",  # strict would ask again after each link from elsewhere
        secure=scope["scheme"] == "https",
    )
    return answer


_CLOSED = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
}


def _refused(text: str, status: int) -> Response:
    return PlainTextResponse(f"{text}\n", status, _CLOSED)


def _asked(said: str = "", status: int = 401) -> Response:
    return HTMLResponse(code_page(said), status, _CLOSED)


def _address(scope: Scope) -> str:
    """The page that was asked for; always on this server."""
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    return "/" + path.lstrip("/\\") + (f"?{query}" if query else "")


def _cookie_name(scope: Scope) -> str:
    """One for each server: browsers do not tell the ports of a machine apart."""
    return f"dal_share_{(scope.get('server') or ('', 0))[1]}"


async def _form(receive: Receive) -> str | None:
    """The body of a small form; None where it is larger than a code's."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_FORM:
            return None
    return body.decode("utf-8", "replace")


def _with_headers(scope: Scope, send: Send) -> Send:
    host = Headers(scope=scope)["host"]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(policy.headers(host))
        await send(message)

    return sending
