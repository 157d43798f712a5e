"""Reads YAML from outside as plain values, within limits that are checked while it is read.

The parser yields events one by one, and this module builds dicts, lists, texts, numbers, booleans
and None from them. It stops at the first event over a limit, so neither a deep nest nor a bomb of
references is ever built. Refused besides: tags, directives, merge keys, a key given twice, a key
that is not a single value, references to a value that contains them, and a second document.

Plain words are read as in YAML 1.1, as PyYAML does, with one exception: what only a computer reads
as a number (010 for 8, 1:30 for 90, 0x10, 1_000) and dates are text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from dal_core.limits.refused import Malformed, Refused
from dal_core.limits.text import shown, visible

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without C, it is slow, not unsafe

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
_MEANINGS: tuple[tuple[str, Any], ...] = (
    ("yes Yes YES true True TRUE on On ON", True),
    ("no No NO false False FALSE off Off OFF", False),
    ("null Null NULL ~", None),
    (".inf .Inf .INF +.inf +.Inf +.INF", float("inf")),
    ("-.inf -.Inf -.INF", float("-inf")),
    (".nan .NaN .NAN", float("nan")),
)
_WORDS = {"": None} | {word: value for words, value in _MEANINGS for word in words.split()}
_MERGE = "<<"
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)


@dataclass(frozen=True)
class YamlLimits:
    """How much a text may hold.

    Attributes:
        characters: of the whole text.
        values: single values, lists and mappings, each counted again where it is referred to.
        depth: lists and mappings within each other.
        text: characters of a single value.
        digits: of a whole number.
        references: aliases (`*name`).
    """

    characters: int
    values: int
    depth: int = 30
    text: int = 10_000
    digits: int = 18
    references: int = 1_000


def read_yaml(text: str, limits: YamlLimits) -> Any:
    """The one document of the text, as plain values.

    Raises:
        Malformed: the text is not YAML, or it breaks off.
        Refused: it is over a limit, or uses a part of YAML that is refused. Both messages are one
            line that names the line.
    """
    if len(text) > limits.characters:
        raise Refused(f"it has {len(text)} characters; allowed: {limits.characters}")
    directive = _DIRECTIVE.search(text)
    if directive is not None:
        line = text.count("\n", 0, directive.start()) + 1
        raise Refused(f"line {line} starts with %; directives are not allowed")
    try:
        return _Reader(limits).read(_events(text))
    except yaml.YAMLError as error:
        raise Malformed(_problem(error)) from None
    except UnicodeEncodeError:
        raise Malformed("it holds a character that is not text") from None


def _events(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        event = loader.get_event()
        while event is not None:
            yield event
            event = loader.get_event()
    finally:
        loader.dispose()


def _problem(error: yaml.YAMLError) -> str:
    problem = visible(str(getattr(error, "problem", None) or "not text"))
    mark = getattr(error, "problem_mark", None)
    return problem if mark is None else f"{problem}, line {mark.line + 1}"


class _Open:
    """A list or mapping whose end has not been read."""

    __slots__ = ("anchor", "before", "height", "key", "value")

    def __init__(self, value: list[Any] | dict[Any, Any], anchor: str | None, before: int) -> None:
        self.value, self.anchor, self.before = value, anchor, before
        self.key: Any = _NO_KEY
        self.height = 1


_NO_KEY = object()


class _Reader:
    """Builds the values of one document from its events."""

    def __init__(self, limits: YamlLimits) -> None:
        self._limits = limits
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}  # value, number of values, height
        self._n_values = self._n_references = self._n_documents = 0
        self._document: Any = None

    def read(self, events: Iterator[Any]) -> Any:
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.SequenceStartEvent:
                self._start([], event)
            elif kind is yaml.MappingStartEvent:
                self._start({}, event)
            elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
                self._end(event)
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                self._n_documents += 1
                if self._n_documents > 1:
                    self._refuse(event, "starts a second document; allowed: one")
        if not self._n_documents:
            raise Malformed("it is empty")
        return self._document

    def _scalar(self, event: Any) -> None:
        if event.tag is not None:
            self._refuse(event, f"has the tag {shown(event.tag)}; allowed: none")
        self._count(event, 1)
        text = event.value
        if event.implicit[0]:  # a plain word
            if text == _MERGE:
                self._refuse(event, "has a merge key (<<); write the keys out")
            value = self._plain(text, event)
        else:
            value = self._text(text, event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, 1, 0
        self._add(value, event)

    def _plain(self, text: str, event: Any) -> Any:
        if _FLOAT.fullmatch(text):
            return float(text)
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            if len(text) > self._limits.digits + 1:
                self._refuse(
                    event,
                    f"has a number of {len(text)} digits; allowed: {self._limits.digits}",
                )
            return int(text)
        return self._text(text, event)

    def _text(self, text: str, event: Any) -> str:
        if len(text) > self._limits.text:
            self._refuse(
                event, f"has a text of {len(text)} characters; allowed: {self._limits.text}"
            )
        if not text.isprintable() and visible(plain := text.translate(_SPACES)) != plain:
            self._refuse(event, f"has control characters in {shown(text)}; allowed: none")
        return text

    def _start(self, value: list[Any] | dict[Any, Any], event: Any) -> None:
        if event.tag is not None:
            self._refuse(event, f"has the tag {shown(event.tag)}; allowed: none")
        if self._open and self._needs_key(self._open[-1]):
            self._refuse(event, "has a list or a mapping as a key; allowed: a single value")
        if len(self._open) >= self._limits.depth:
            self._too_deep(event)
        self._open.append(_Open(value, event.anchor, self._n_values))
        self._count(event, 1)

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        if done.anchor is not None:
            self._anchors[done.anchor] = done.value, self._n_values - done.before, done.height
        self._rise(done.height)
        self._add(done.value, event)

    def _alias(self, event: Any) -> None:
        self._n_references += 1
        if self._n_references > self._limits.references:
            self._refuse(
                event, f"has reference {self._n_references}; allowed: {self._limits.references}"
            )
        if any(one.anchor == event.anchor for one in self._open):
            self._refuse(
                event,
                f"refers to &{shown(event.anchor)} from within: it would be nested too deeply",
            )
        if event.anchor not in self._anchors:
            self._refuse(event, f"refers to {shown(event.anchor)}, which is not defined before")
        value, n_values, height = self._anchors[event.anchor]
        self._count(event, n_values)
        if len(self._open) + height > self._limits.depth:
            self._too_deep(event)
        if height and self._open and self._needs_key(self._open[-1]):
            self._refuse(event, "has a list or a mapping as a key; allowed: a single value")
        self._rise(height)
        self._add(value, event)

    def _rise(self, height: int) -> None:
        """Note in the open list or mapping how deep the one inside it is."""
        if self._open:
            self._open[-1].height = max(self._open[-1].height, height + 1)

    def _add(self, value: Any, event: Any) -> None:
        if not self._open:
            self._document = value
            return
        parent = self._open[-1]
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is _NO_KEY:
            if value in parent.value:
                self._refuse(event, f"has the key {shown(value)} a second time; allowed: once")
            parent.key = value
        else:
            parent.value[parent.key] = value
            parent.key = _NO_KEY

    def _needs_key(self, parent: _Open) -> bool:
        return isinstance(parent.value, dict) and parent.key is _NO_KEY

    def _count(self, event: Any, n_values: int) -> None:
        self._n_values += n_values
        if self._n_values > self._limits.values:
            self._refuse(event, f"expands into too many values; allowed: {self._limits.values}")

    def _too_deep(self, event: Any) -> NoReturn:
        self._refuse(
            event,
            f"is nested too deeply; allowed: {self._limits.depth} lists or "
            "mappings within each other",
        )

    def _refuse(self, event: Any, what: str) -> NoReturn:
        raise Refused(f"line {event.start_mark.line + 1} {what}")


_SPACES = {ord("\n"): " ", ord("\t"): " "}  # allowed in a text of several lines
