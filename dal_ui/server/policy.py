"""The headers that every answer carries: what a page of this server may load, and who may frame it.

Even if a page were made to hold a foreign address, the browser would not fetch it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

import streamlit

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def headers(host: str) -> dict[str, str]:
    """The headers of an answer to a request with this (checked) Host."""
    return {
        "Content-Security-Policy": content_policy(host),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }


def content_policy(host: str) -> str:
    """What Streamlit's pages need, and nothing from elsewhere.

    Styles are written into the page by Streamlit. Our components are modules that it makes out of
    their text (`blob:`); images are embedded (`data:`).
    """
    hashes = " ".join(f"'sha256-{digest}'" for digest in _inline_scripts())
    allowed = {
        "default-src": "'self'",
        "script-src": f"'self' blob: 'wasm-unsafe-eval' {hashes}".rstrip(),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": f"'self' blob: data: ws://{host} wss://{host}",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in allowed.items())


@cache
def _inline_scripts() -> tuple[str, ...]:
    """Digests of the scripts inside Streamlit's own page."""
    page = Path(streamlit.__file__).with_name("static") / "index.html"
    try:
        found = _INLINE.findall(page.read_text(encoding="utf-8"))
    except OSError:
        return ()
    return tuple(
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in found
    )
