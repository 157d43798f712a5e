"""Which names the server answers to, and whose pages may speak to it."""

from __future__ import annotations

import pytest

from dal_ui.server.hosts import is_same_origin, is_served


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8501", "LOCALHOST.:1", "127.0.0.1:8501", "[::1]:8501", "[::1]"],
)
def test_this_machine_is_served_at_every_port_so_that_a_tunnel_works(host: str) -> None:
    assert is_served(host, ())


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", " ", "evil.example", "evil.example:8501", "localhost.evil.example"),
        *("127.0.0.1.evil.example", "user@localhost", "localhost/x", "localhost?x", "localhost#x"),
        *("localhost:99999", "localhost:x", "[::1", "::1", "10.1.2.3:8501", "localhost localhost"),
        *(":8501", "xlocalhost", "0.0.0.0:8501"),
    ],
)
def test_a_foreign_or_broken_host_is_refused(host: str | None) -> None:
    assert not is_served(host, ())


def test_further_names_are_served_where_an_operator_allows_them() -> None:
    allowed = ["10.1.2.3", "Label.Example.org", "*.lab.example.org", "[fe80::1]"]
    for host in ("10.1.2.3:8501", "label.example.org", "a.lab.example.org:443", "[fe80::1]:8501"):
        assert is_served(host, allowed)
    for host in ("10.1.2.4", "example.org", "lab.example.org", "xlab.example.org"):
        assert not is_served(host, allowed)
    assert is_served("anything.example", ["*"])


def test_the_origin_must_be_this_server_with_its_port() -> None:
    host = "localhost:8501"
    assert is_same_origin(None, host) and is_same_origin("http://localhost:8501", host)
    assert is_same_origin("https://label.example.org", "Label.example.org")
    for origin in (
        *("http://localhost:9999", "http://localhost", "http://127.0.0.1:8501", "null", ""),
        *("http://evil.example", "file://localhost:8501", "localhost:8501", "http://[", "http://"),
    ):
        assert not is_same_origin(origin, host)
    assert not is_same_origin("http://localhost:8501", None)
