"""Removes a credential from what repeats it: texts, errors, answers, in any spelling. No I/O."""

from __future__ import annotations

import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from html import unescape
from itertools import takewhile
from types import TracebackType
from typing import cast
from urllib.parse import unquote

import msgspec

from asyncclient._http.message import Response, Secret
from asyncclient.errors import AsyncClientError

# Characters. A shorter credential is not hidden: it may be a part of words.
_LEAST_SECRET = 8
# Characters. As long a part of a credential is hidden too: an excerpt may cut it anywhere.
_LEAST_PART = 12
# Characters. Blocks are found first, and then extended: each part of the least length holds one of
# the blocks that begin at every seventh character.
_BLOCK = 6
_STEP = _LEAST_PART - _BLOCK + 1
# Characters of a text that are kept, and bytes of an answer in which escapes are read.
_LONGEST_SEARCHED = 20_000
_LONGEST_UNESCAPED = 1 << 18
# A text that repeats it more often than this is hidden as a whole: that bounds the work.
_MOST_PLACES = 1_000
_MASK = "***"

# One letter of ASCII as it is escaped in URLs (or twice so), in JSON and Python, and in HTML.
_ESCAPES = re.compile(
    r"%(?:25)*(?P<hex>[2-7][0-9a-fA-F])|\\++(?:(?:u00|x)(?P<code>[2-7][0-9a-fA-F])|(?P<letter>[!-~]?))"
    r"|(?P<html>&#?[0-9A-Za-z]{1,8};)"
)
# Those of JSON that stand for letters which a credential may have.
_JSON_ESCAPES = re.compile(r"\\++(?:u00(?P<code>[2-7][0-9a-fA-F])|(?P<letter>/?))")
_PASSWORD_IN_URL = re.compile(r"//[^/?#@\s]{1,256}@")


class Hiding:
    """Removes the credential of a request from texts, errors and answers.

    Args:
        headers: those of the request, of which some are secret.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers
        values = [value for value in headers.values() if isinstance(value, Secret)]
        found = {secret for value in values for secret in _secrets_in(value)}
        longest_first = sorted(found, key=len, reverse=True)
        self._plain = [_Needle(each) for each in longest_first if len(each) >= _LEAST_SECRET]
        self._all: list[_Needle] = []

    def beside(self, target: str) -> Hiding:
        """Return a `Hiding` that also hides the values of a secret query; itself if there is none.

        A signed address is a capability. What its query names may rightly stand in an answer.
        """
        if not isinstance(target, Secret):
            return self
        values = (pair.partition("=")[2] for pair in target.partition("?")[2].split("&"))
        words = [word for value in values for word in unquote(value).split()]
        signed = {f"{number}": Secret(word) for number, word in enumerate(words)}
        return Hiding({**self.headers, **signed})

    def text(self, text: str) -> str:
        """Return a text without the credential and without the password of a URL."""
        if not self._all:
            encoded = (each for needle in self._plain for each in _as_base64(needle.secret))
            self._all = [*self._plain, *map(_Needle, encoded)]
        return without_passwords(_without(text[:_LONGEST_SEARCHED], self._all, _ESCAPES))

    def error(self, error: BaseException, outer: BaseException | None = None) -> None:
        """Remove the credential from an error and its causes, and their frames too.

        Args:
            error: what was raised.
            outer: what the caller handled before; it is not ours, and stays as it is.
        """
        for link in forget_frames(error, outer):
            with suppress(Exception):  # a property of a class of its own may raise
                object.__setattr__(link, "args", tuple(map(self._value, link.args)))
                for name, value in [*vars(link).items()]:
                    object.__setattr__(link, name, self._value(value))

    def answer(self, response: Response) -> Response:
        """Return an answer without the credential in its body; the same object if it had none."""
        body = response.body
        has_escapes = b"\\/" in body or b"\\u00" in body
        escapes = _JSON_ESCAPES if has_escapes and len(body) <= _LONGEST_UNESCAPED else None
        text = body.decode("latin-1")
        hidden = _without(text, self._plain, escapes)
        if hidden is text:
            return response
        return msgspec.structs.replace(response, body=hidden.encode("latin-1"))

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(each) for each in cast("list[object]", value)]
        return value


def without_passwords(text: str) -> str:
    """Return a text without the user names and passwords of its URLs, as a proxy's."""
    return _PASSWORD_IN_URL.sub(f"//{_MASK}@", text) if "@" in text else text


def forget_frames(error: BaseException, outer: BaseException | None = None) -> list[BaseException]:
    """Remove the frames of an error and of its causes, and return them all.

    They hold answers, which a traceback with locals would show, and which take memory. `outer` is
    as in `Hiding.error`.
    """
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link is not outer and not any(link is each for each in links):
        links.append(link)
        BaseException.with_traceback(link, None)  # a class of its own may refuse an attribute
        link = link.__context__ if link.__cause__ is None else link.__cause__
    return links


class WithoutFrames:
    """Removes the frames of a block, which hold answers, from the library's errors."""

    def __enter__(self) -> None:
        self._outer = sys.exception()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, AsyncClientError):
            forget_frames(error, self._outer)


class _Needle:
    """A text to look for, and long parts of it."""

    __slots__ = ("blocks", "secret")

    def __init__(self, secret: str) -> None:
        self.secret = secret
        starts = range(0, len(secret) - _LEAST_PART + _STEP, _STEP)
        self.blocks = [(start, secret[start : start + _BLOCK]) for start in starts]

    def wholes_in(self, text: str) -> list[tuple[int, int]]:
        """Return where it is found as a whole."""
        if self.secret not in text:
            return []
        return [found.span() for found in re.finditer(re.escape(self.secret), text)]

    def parts_in(self, text: str) -> list[tuple[int, int]] | None:
        """Return where long parts of it are found; None where there is too much to look at."""
        places: list[tuple[int, int]] = []
        count = 0
        for offset, block in self.blocks:
            after = 0  # of the last place
            at = text.find(block)
            while at >= 0:
                count += 1
                if count > _MOST_PLACES:
                    return None
                # How far it goes on to both sides of the block.
                before, behind = (
                    text[max(after, at - offset) : at],
                    text[at : at + len(self.secret)],
                )
                start = at - _alike(before[::-1], self.secret[:offset][::-1])
                end = at + _alike(behind, self.secret[offset:])
                if end - start >= _LEAST_PART:
                    places.append((start, end))
                    after = end
                at = text.find(block, max(after, at + 1))
        return places


def _alike(one: str, other: str) -> int:
    """Return the length of the common beginning of two texts."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _without(text: str, needles: Iterable[_Needle], escapes: re.Pattern[str] | None) -> str:
    """Return a text in which a mask stands in place of what is looked for."""
    plain, escaped = (text, []) if escapes is None else _unescape(text, escapes)
    places: list[tuple[int, int]] = []
    for needle in needles:
        found = needle.wholes_in(plain)
        if found:
            places += found
            plain = plain.replace(needle.secret, "\0" * len(needle.secret))
    if len(places) > _MOST_PLACES:
        return _MASK
    for needle in needles:
        parts = needle.parts_in(plain)
        if parts is None:
            return _MASK
        places += parts
    if not places:
        return text
    original: list[int] = []  # where each letter, and the end, is in the text as it was
    done = 0
    for start, end in escaped:
        original += range(done, start + 1)
        done = end
    original += range(done, len(text) + 1)
    shown: list[str] = []
    done = 0
    for first, last in sorted(places):
        start, end = original[first], original[last]
        if start > done or not shown:
            shown += [text[done:start], _MASK]
        done = max(done, end)
    return "".join([*shown, text[done:]])


def _unescape(text: str, escapes: re.Pattern[str]) -> tuple[str, list[tuple[int, int]]]:
    """Return a text with escaped letters as letters, and where each began and ended."""
    escaped: list[tuple[int, int]] = []
    parts: list[str] = []
    done = 0
    for found in escapes.finditer(text):
        groups = found.groupdict()
        code = groups["code"] or groups.get("hex")
        html = groups.get("html")
        letter = chr(int(code, 16)) if code else unescape(html) if html else groups["letter"]
        if letter is not None and len(letter) == 1:
            escaped.append(found.span())
            parts += [text[done : found.start()], letter]
            done = found.end()
    return "".join([*parts, text[done:]]), escaped


def _secrets_in(value: str) -> Iterator[str]:
    """Yield what is secret in a header: a key, a token after its scheme, a password."""
    scheme, *rest = value.split()
    yield from rest or [scheme]
    if rest and scheme.lower() == "basic":
        with suppress(ValueError):
            pair = b64decode(rest[0]).decode()
            yield from {pair, pair.partition(":")[2]}


def _as_base64(secret: str) -> Iterator[str]:
    """Yield how a text may look within base64: at each of three places, in both alphabets."""
    for before in range(3):
        raw = bytes(before) + secret.encode()
        text = b64encode(raw).decode().rstrip("=")
        # The letters at both ends depend on what stands beside it.
        text = text[(0, 2, 3)[before] : -1 if len(raw) % 3 else None]
        yield from {text, text.replace("+", "-").replace("/", "_")}
