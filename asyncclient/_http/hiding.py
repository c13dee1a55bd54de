"""Removes a credential from what repeats it: texts, errors, answers, in any spelling. No I/O."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from html import unescape
from itertools import islice, takewhile
from types import TracebackType
from typing import cast
from urllib.parse import unquote

import msgspec

from asyncclient._http.message import Response, Secret, as_utf8
from asyncclient.errors import AsyncClientError

# Characters. A shorter credential is not hidden: it may be a part of words.
_LEAST_SECRET = 8
# Characters. As long a part of a credential is hidden too: an excerpt may cut it anywhere.
_LEAST_PART = 12
# Characters. Blocks are found first, and then extended: each part of the least length holds one of
# the blocks that begin at every seventh character, of the credential as of the text.
_BLOCK = 6
_STEP = _LEAST_PART - _BLOCK + 1
# Characters of a text that are kept, and bytes of an answer in which escapes are read.
_LONGEST_SEARCHED = 20_000
_LONGEST_UNESCAPED = 1 << 18
# Places of one block in the credentials. One with more is hidden by itself: that bounds the work.
_MOST_ALIKE = 8
# To find this many blocks takes as long as to look up those of the text.
_FEW = 32
_MASK = "***"

# One letter of ASCII as it is escaped in URLs (or twice so), in JSON and Python, and in HTML.
_ESCAPES = re.compile(
    r"%(?:25)*(?P<hex>[2-7][0-9a-fA-F])|\\++(?:(?:u00|x)(?P<code>[2-7][0-9a-fA-F])|(?P<letter>[!-~]?))"
    r"|(?P<html>&#?[0-9A-Za-z]{1,8};)"
)
# Those of JSON that stand for letters which a credential may have.
_JSON_ESCAPES = re.compile(r"\\++(?:u00(?P<code>[2-7][0-9a-fA-F])|(?P<letter>/?))")
# A mask in a number of JSON, or in what may be one; and all that is none, each text as a whole.
_MAY_BE_NUMBER = re.compile(r"[\[:,\s][-+.0-9eE]*+\*\*\*")
_NO_NUMBER_OR_ONE = re.compile(
    r'(?P<other>(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^"*+.0-9eE-]++|[-+.0-9eE]++(?!\*\*\*))++)'
    r"|[-+.0-9eE]*+(?:\*\*\*[-+.0-9eE]*+)+",
    re.DOTALL,
)
_PASSWORD_IN_URL = re.compile(r"//[^/?#@\s]{1,256}@")


class Hiding:
    """Removes the credential of a request from texts, errors and answers.

    Args:
        headers: those of the request, of which some are secret.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    @cached_property
    def _secrets(self) -> set[str]:
        values = [value for value in self.headers.values() if isinstance(value, Secret)]
        found = {secret for value in values for secret in _secrets_in(value)}
        return {secret for secret in found if len(secret) >= _LEAST_SECRET}

    @cached_property
    def _in_answers(self) -> _Needles:
        # As JSON has them, and as `answer` reads its bytes.
        written = {
            json.dumps(each, ensure_ascii=only_ascii)[1:-1]
            for each in self._secrets
            for only_ascii in (True, False)
        }
        return _Needles({each.encode().decode("latin-1") for each in self._secrets | written})

    @cached_property
    def _in_texts(self) -> _Needles:
        # Where letters of its own look like an escape, a text is read without that.
        read = {_unescape(each, _ESCAPES)[0] for each in self._secrets}
        encoded = {each for secret in self._secrets for each in _as_base64(secret)}
        return _Needles(self._secrets | read | encoded)

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
        """Return a text without the credential, and without user and password of any URL."""
        hidden = _without(text[:_LONGEST_SEARCHED], self._in_texts, _ESCAPES)
        return _PASSWORD_IN_URL.sub(f"//{_MASK}@", hidden)

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
        body = as_utf8(response.body)
        has_escapes = b"\\/" in body or b"\\u00" in body
        escapes = _JSON_ESCAPES if has_escapes and len(body) <= _LONGEST_UNESCAPED else None
        text = body.decode("latin-1")
        hidden = _without(text, self._in_answers, escapes)
        if hidden is text:
            return response
        if hidden.lstrip()[:1] in {"{", "["} and _MAY_BE_NUMBER.search(hidden):
            # A credential of digits may be a number there; with a mask in it, that is no JSON.
            hidden = _NO_NUMBER_OR_ONE.sub(lambda found: found["other"] or "null", hidden)
        return msgspec.structs.replace(response, body=hidden.encode("latin-1"))

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(each) for each in cast("list[object]", value)]
        return value


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


class _Needles:
    """Texts to look for, as a whole or in long parts, with one pass over what may hold them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = [secret for secret in secrets if len(secret) >= _LEAST_SECRET]
        self._short = [secret for secret in found if len(secret) < _LEAST_PART]
        self._long = tuple(secret for secret in found if len(secret) >= _LEAST_PART)
        count = sum(len(secret) // _STEP for secret in self._long)
        # One block of each long part; None where there are too many to look for one by one.
        self._sparse = None if count > _FEW else {*_blocks_of(self._long, _STEP)}

    def places_in(self, text: str) -> list[tuple[int, int]]:
        """Return where they are found, or long parts of them; places may overlap."""
        places: list[tuple[int, int]] = []
        for secret in self._short:
            places += [(at, at + len(secret)) for at in _starts_of(secret, text)]
        done = 0  # up to where the text is looked through
        for at in self._blocks_in(text):
            if at >= done:
                found = self._parts_around(text, at, done)
                places += found
                done = max([done, *(end for _, end in found)])
        return places

    def _blocks_in(self, text: str) -> list[int]:
        """Return where blocks begin in a text, one at least for each long part."""
        if self._sparse is not None:
            there = [block for block in self._sparse if block in text]
            return sorted({at for block in there for at in _starts_of(block, text)})
        blocks, size = _all_blocks_of(self._long), _BLOCK
        starts = range(0, len(text) - size + 1, _STEP)
        return [at for at in starts if text[at : at + size] in blocks]

    def _parts_around(self, text: str, at: int, done: int) -> list[tuple[int, int]]:
        """Return the long parts around a block in a text that is done up to some place."""
        block = text[at : at + _BLOCK]
        all_places = ((each, place) for each in self._long for place in _starts_of(block, each))
        where = [*islice(all_places, _MOST_ALIKE + 1)]
        if len(where) > _MOST_ALIKE:
            return [(at, at + _BLOCK)]
        parts: list[tuple[int, int]] = []
        for secret, offset in where:
            before = text[max(done, at - offset) : at]
            start = at - _alike(before[::-1], secret[:offset][::-1])
            end = at + _alike(text[at : at + len(secret)], secret[offset:])
            if end - start >= _LEAST_PART:
                parts.append((start, end))
        return parts


def _blocks_of(secrets: tuple[str, ...], step: int) -> Iterator[str]:
    """Yield the blocks that begin at every `step`th character."""
    for secret in secrets:
        for at in range(0, len(secret) - _BLOCK + 1, step):
            yield secret[at : at + _BLOCK]


# They take 130 bytes a character, and a client for each tenant may have a token of its own.
@lru_cache(maxsize=64)
def _all_blocks_of(secrets: tuple[str, ...]) -> frozenset[str]:
    return frozenset(_blocks_of(secrets, 1))


def _starts_of(part: str, text: str) -> Iterator[int]:
    """Yield where a text has a part; places may overlap."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _alike(one: str, other: str) -> int:
    """Return how many letters two texts have alike from their beginnings on."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _without(text: str, needles: _Needles, escapes: re.Pattern[str] | None) -> str:
    """Return a text in which a mask stands in place of what is looked for."""
    plain, escaped = (text, []) if escapes is None else _unescape(text, escapes)
    places = needles.places_in(plain)
    if not places:
        return text
    starts = [start for start, _ in escaped]  # of escaped letters in the plain text
    longer = [0, *(more for _, more in escaped)]  # by how much the text is longer after each
    shown: list[str] = []
    done = 0
    for first, last in sorted(places):
        start, end = (each + longer[bisect_left(starts, each)] for each in (first, last))
        if start > done or not shown:
            shown += [text[done:start], _MASK]
        done = max(done, end)
    return "".join([*shown, text[done:]])


def _unescape(text: str, escapes: re.Pattern[str]) -> tuple[str, list[tuple[int, int]]]:
    """Return a text with escaped letters as letters.

    With it come the place of each of them, and by how much the text was longer up to its end.
    """
    escaped: list[tuple[int, int]] = []
    parts: list[str] = []
    done = longer = 0
    for found in escapes.finditer(text):
        groups = found.groupdict()
        code = groups["code"] or groups.get("hex")
        html = groups.get("html")
        letter = chr(int(code, 16)) if code else unescape(html) if html else groups["letter"]
        if letter is not None and len(letter) == 1:
            start, end = found.span()
            parts += [text[done:start], letter]
            place, done = start - longer, end
            longer += end - start - 1
            escaped.append((place, longer))
    return "".join([*parts, text[done:]]), escaped


def _secrets_in(value: str) -> Iterator[str]:
    """Yield what is secret in a header: a key, a token after its scheme, a password."""
    scheme, *rest = value.split()
    yield from [*rest, " ".join(rest)] if rest else [scheme]
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
