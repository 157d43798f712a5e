"""The server's parts, made from its settings: the guard, the browser opened at the start."""

from __future__ import annotations

import asyncio
import os
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from starlette.middleware import Middleware

from dal_ui.server.code import Gate
from dal_ui.server.guard import Guard

CODE_VARIABLE = "DAL_SHARE_CODE"  # set by `dal app --share`


def middleware() -> list[Middleware]:
    """The guard, with Streamlit's `server.allowedHosts` and the code of a shared server."""
    code = os.environ.pop(CODE_VARIABLE, "")  # the workers need not know it
    gate = Gate(code) if code else None
    return [Middleware(Guard, hosts=st.get_option("server.allowedHosts"), gate=gate)]


@asynccontextmanager
async def open_browser(_app: object) -> AsyncIterator[None]:
    """Open a browser once the server listens, unless it was told to be headless."""
    if not st.get_option("server.headless"):
        name = st.get_option("browser.serverAddress")
        path = st.get_option("server.baseUrlPath").strip("/")
        url = f"http://{name}:{st.get_option('server.port')}/{path}"
        asyncio.get_running_loop().run_in_executor(None, webbrowser.open, url)
    yield
