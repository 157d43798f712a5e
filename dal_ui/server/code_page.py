"""The page that asks for the code of a shared server. It loads nothing and runs no script."""

from __future__ import annotations

from html import escape

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>dal: code</title>
<style>
  body {{ margin: 15vh auto; padding: 0 16px; max-width: 26em; font: 18px/1.5 sans-serif;
         color: #0f172a; background: #fff; }}
  h1 {{ font-size: 1.3em; }}
  input, button {{ font: inherit; height: 48px; padding: 0 12px; border-radius: 6px;
                  border: 1px solid #64748b; box-sizing: border-box; }}
  input {{ width: 100%; letter-spacing: .1em; text-transform: uppercase; color: inherit;
          background: inherit; }}
  button {{ margin-top: 12px; width: 100%; color: #fff; background: #1d4ed8; cursor: pointer; }}
  :focus-visible {{ outline: 3px solid #1d4ed8; outline-offset: 2px; }}
  [role=alert] {{ min-height: 1.5em; margin: 12px 0; font-weight: 600; }}
  @media (prefers-color-scheme: dark) {{ body {{ color: #e2e8f0; background: #0f172a; }}
    :focus-visible {{ outline-color: #93c5fd; }} }}
</style>
</head>
<body>
<main>
<h1>This server is shared with a code</h1>
<p>It was printed beside the address when the server was started.</p>
<form method="post">
<p><label for="code">Code</label>
<input id="code" name="code" autocomplete="off" autocapitalize="characters" spellcheck="false"
       maxlength="64" required autofocus></p>
<p role="alert">{said}</p>
<button>Open</button>
</form>
</main>
</body>
</html>
"""


def code_page(said: str = "") -> str:
    """The page as HTML, with one sentence on the last try."""
    return _PAGE.format(said=escape(said))


def wait_for(seconds: int) -> str:
    """What is said after too many wrong codes."""
    minutes = -(-seconds // 60)
    unit = "minute" if minutes == 1 else "minutes"
    return f"Too many wrong codes. Try again in {minutes} {unit}."
