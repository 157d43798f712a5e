"""The guard before the app, asked without a network: who gets in, and what the answers carry."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from dal_ui.server import guard, policy
from dal_ui.server.code import TRIES_PER_ADDRESS, Gate
from dal_ui.server.guard import Guard

HERE = "localhost:8501"
PATHS = ("/", "/label", "/_stcore/upload_file/1/2", "/media/x.png", "/_stcore/health", "/static/x")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Stands in for Streamlit."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the app"})


class Answer:
    """What came back: the status (101 for an opened websocket), the headers and the body."""

    def __init__(self, sent: list[dict[str, Any]]) -> None:
        kinds = {"websocket.accept": 101, "websocket.close": 403}
        self.status: int = kinds.get(sent[0]["type"]) or sent[0]["status"]
        self.headers = {n.decode(): v.decode() for n, v in sent[0].get("headers", [])}
        self.body = b"".join(message.get("body", b"") for message in sent).decode()

    @property
    def is_the_app(self) -> bool:
        return self.status == 101 or self.body == "the app"


def ask(
    guarded: Guard,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    *,
    kind: str = "http",
    method: str = "GET",
    body: bytes = b"",
    client: str = "10.9.9.9",
    host: str | None = HERE,
) -> Answer:
    """One request to the guard."""
    named = {**({} if host is None else {"host": host}), "accept": "text/html", **(headers or {})}
    path, _, query = path.partition("?")
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "scheme": "http",
        "server": ("127.0.0.1", 8501),
        "client": (client, 5),
        "headers": [(n.encode(), v.encode()) for n, v in named.items()],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guarded(scope, receive, send))
    return Answer(sent)


def test_the_app_answers_its_own_name_and_its_own_pages() -> None:
    guarded = Guard(app)
    for kind in ("http", "websocket"):
        assert ask(guarded, kind=kind).is_the_app
        assert ask(guarded, kind=kind, headers={"origin": f"http://{HERE}"}).is_the_app


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_rebound_name_is_refused_though_its_origin_is_the_same(kind: str) -> None:
    answer = ask(Guard(app), kind=kind, host="evil.example:8501")
    assert not answer.is_the_app
    headers = {"origin": "http://evil.example:8501"}
    assert not ask(Guard(app), kind=kind, host="evil.example:8501", headers=headers).is_the_app
    assert not ask(Guard(app), kind=kind, host=None).is_the_app


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("origin", ["http://localhost:9999", "http://evil.example", "null"])
def test_a_page_of_another_server_is_refused(kind: str, origin: str) -> None:
    assert not ask(Guard(app), kind=kind, headers={"origin": origin}).is_the_app


def test_a_name_that_the_operator_allows_is_answered() -> None:
    guarded = Guard(app, ["label.example.org"])
    headers = {"origin": "https://label.example.org"}
    assert ask(guarded, kind="websocket", host="label.example.org", headers=headers).is_the_app
    refused = ask(guarded, host="<b>other.example</b>")
    assert refused.status == 421 and "--allow-host" in refused.body
    assert refused.headers["content-type"].startswith("text/plain")


def test_every_answer_says_what_a_page_may_load_and_that_nobody_may_frame_it() -> None:
    answer = ask(Guard(app))
    rules = dict(
        rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; ")
    )
    assert rules["default-src"] == "'self'" and rules["frame-ancestors"] == "'none'"
    assert rules["img-src"] == "'self' data: blob:"
    assert rules["connect-src"].endswith(f"ws://{HERE} wss://{HERE}")
    assert "unsafe" not in rules["script-src"].replace("wasm-unsafe-eval", "")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "http:" not in answer.headers["content-security-policy"]


def test_the_inline_scripts_of_the_frame_are_allowed_by_their_digest() -> None:
    assert "'sha256-" in policy.content_policy(HERE)


# -- the code --------------------------------------------------------------------------------------


@pytest.fixture
def shared() -> Guard:
    return Guard(app, ["10.1.2.3"], Gate("AB3CD-EF4GH"))


def enter(shared: Guard, path: str = "/", code: str = "ab3cdef4gh", **more: Any) -> Answer:
    return ask(shared, path, method="POST", body=f"code={code}".encode(), **more)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_nothing_of_a_shared_server_is_reached_without_the_code(
    shared: Guard, path: str, kind: str
) -> None:
    for headers in ({}, {"cookie": "dal_share_8501=x"}, {"cookie": "dal_share_8501=AB3CDEF4GH"}):
        assert not ask(shared, path, headers, kind=kind).is_the_app
    for method in ("PUT", "DELETE", "OPTIONS", "HEAD"):
        assert not ask(shared, path, method=method).is_the_app


def test_the_page_asks_for_the_code_and_others_are_told_in_one_line(shared: Guard) -> None:
    page = ask(shared, "/label?run=x")
    assert page.status == 401 and "Code" in page.body and "<script" not in page.body
    other = ask(shared, "/media/x.png", {"accept": "image/png"})
    assert other.status == 401 and other.body.count("\n") == 1


def test_the_right_code_opens_the_page_that_was_asked_for_and_is_asked_only_once(
    shared: Guard,
) -> None:
    entered = enter(shared, "/base/label?run=x&plain=1")
    assert (entered.status, entered.headers["location"]) == (303, "/base/label?run=x&plain=1")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
    held = {"cookie": f"other=1; {cookie.split(';')[0]}"}
    assert all(ask(shared, path, held).is_the_app for path in PATHS)
    assert ask(shared, kind="websocket", headers=held).is_the_app


def test_the_code_leads_nowhere_else(shared: Guard) -> None:
    assert enter(shared, "//evil.example/").headers["location"] == "/evil.example/"
    assert enter(shared, "/\\evil.example/").headers["location"] == "/evil.example/"


def test_a_wrong_code_is_said_and_too_many_are_stopped(shared: Guard) -> None:
    for _ in range(TRIES_PER_ADDRESS - 1):
        wrong = enter(shared, code="<script>")
        assert wrong.status == 401 and "not the code" in wrong.body
    assert enter(shared, code="wrong").status == 429
    stopped = enter(shared)
    assert stopped.status == 429 and "in 10 minutes" in stopped.body
    assert "set-cookie" not in stopped.headers
    assert enter(shared, client="10.9.9.8").status == 303


@pytest.mark.parametrize("body", [b"", b"code=", b"\xff\xfe", b"code=" + b"A" * 5000])
def test_a_broken_form_is_refused(shared: Guard, body: bytes) -> None:
    answer = ask(shared, method="POST", body=body)
    assert answer.status in (400, 401) and "set-cookie" not in answer.headers


def test_the_code_cannot_be_tried_from_a_page_elsewhere(shared: Guard) -> None:
    assert enter(shared, headers={"origin": "http://evil.example"}).status == 403


def test_a_body_that_breaks_off_is_refused() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert asyncio.run(guard._form(gone)) is None
