"""A task of any HTTP API at its URL: its reading, headers and token."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from itertools import chain

from asyncclient._http import SessionPool, parts_of
from asyncclient._reading import Reading
from asyncclient._ref import ADDRESS, TaskRef
from asyncclient._state import TaskState, Vocabulary
from asyncclient._text import shown
from asyncclient.api import APITask, TaskAPI
from asyncclient.catalogue import ALL
from asyncclient.providers._environment import credential_in

TOKEN = "ASYNCCLIENT_TOKEN"  # noqa: S105  (the variable's name)
_PLACE = "{token}"

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# A user name and a password, which a URL may have before its host.
_USER = re.compile(r"(?<=//)[^/]*@|^[^/]*@")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
# Words in the names of headers that hold a credential.
_SECRET_NAME = re.compile(
    r"auth|cookie|credential|key|passw|secret|session|signature|token", re.IGNORECASE
)
# Schemes of `Authorization` (RFC 9110, section 11.1), and the beginnings of well-known keys.
_SECRET_VALUE = re.compile(
    r"(basic|bearer|digest|key|token)\s|(sk|pk|pat|r8|ghp|gho|xox.)[-_]", re.IGNORECASE
)
# Where APIs say what went wrong.
_REASONS = ("error.message", "error", "message", "reason", "detail")


def is_url(text: str) -> bool:
    """Return whether a word of the command line is meant as a URL."""
    return _URL.match(text) is not None


def seen(url: str) -> str:
    """Return a URL as messages show it: without its password and query, which may be secrets."""
    return shown(_USER.sub("", url.partition("?")[0].partition("#")[0]))


def authority_of(url: str) -> str:
    """Return the user, host and port of a URL, as they are written."""
    return re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]


def reading_of(
    api: str | None, status: str | None, words: Mapping[TaskState, Collection[str]]
) -> Reading | None:
    """Return the reading of a command line; None where it gives none.

    Args:
        api: a name of the catalogue.
        status: where the status word stands, as `Reading` takes it.
        words: those of each state; several may be joined by commas.

    Raises:
        ValueError: the name is not known, something is missing, or a word stands under two states.
    """
    given = [state for state in TaskState if words[state]]
    if api is not None:
        if status is not None or given:
            msg = f"--api {api} has its own words: leave --status and the options of words out"
            raise ValueError(msg)
        return known_reading(api)
    if status is None and not given:
        return None
    if status is None:
        msg = "--status is missing: give the path of the status word in an answer, like data.status"
        raise ValueError(msg)
    for needed in (TaskState.SUCCEEDED, TaskState.FAILED):
        if needed not in given:
            msg = f"--{needed} is missing: give its word, or the wait cannot see that end"
            raise ValueError(msg)
    return _own_reading(status, words)


def known_reading(name: str) -> Reading:
    if name in ALL:
        return ALL[name]
    lower = name.lower()
    same_api = [each for each in ALL if lower and lower in each]
    near = sorted({*same_api, *get_close_matches(lower, ALL, n=3)})[:4]
    advice = f"did you mean {' or '.join(near)}? " if near else ""
    msg = f"the API {shown(name)} is unknown: {advice}'asyncclient apis' lists all {len(ALL)}"
    raise ValueError(msg)


def _own_reading(status: str, words: Mapping[TaskState, Collection[str]]) -> Reading:
    forms = {state: [*chain.from_iterable(map(_forms, each))] for state, each in words.items()}
    vocabulary = Vocabulary(
        pending=forms[TaskState.PENDING],
        running=forms[TaskState.RUNNING],
        blocked=forms[TaskState.BLOCKED],
        succeeded=forms[TaskState.SUCCEEDED],
        failed=forms[TaskState.FAILED],
        cancelled=forms[TaskState.CANCELLED],
        expired=forms[TaskState.EXPIRED],
    )
    above = status.partition("/")[0].rpartition(".")[0]
    reasons = [f"{above}.{each}" for each in _REASONS] if above else []
    return Reading(
        "job",
        vocabulary,
        status=status,
        reason=[*reasons, *_REASONS],
        source="the command line",
        checked=date.min,
    )


def _forms(words: str) -> Iterable[str | int]:
    """Yield each word as an API may send it: `10` as text and as number, and so `true`."""
    for word in filter(None, map(str.strip, words.split(","))):
        yield word
        if _NUMBER.fullmatch(word):
            yield int(word)
        if word in {"true", "false"}:
            yield word == "true"


def headers_of(lines: Iterable[str]) -> dict[str, str]:
    """Read headers as curl takes them, `Name: value`; the token's place in them is `{token}`.

    Raises:
        ValueError: one is of another form, or holds a credential itself.
    """
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not name or not colon or not value:
            msg = "--header: write each as 'Name: value'"  # not shown: it may hold a credential
            raise ValueError(msg)
        if name.lower() in map(str.lower, headers):
            msg = f"--header: {shown(name)} is given twice"
            raise ValueError(msg)
        if _seems_secret(name, value):
            msg = (
                f"--header: {shown(name)} seems to hold a credential, and anyone on this machine "
                f"can see a command line: put it into {TOKEN}, and write {_PLACE} in its place"
            )
            raise ValueError(msg)
        headers[name] = value
    return headers


def _seems_secret(name: str, value: str) -> bool:
    """Return whether a header seems to hold a credential itself."""
    is_one = _SECRET_NAME.search(name) or _SECRET_VALUE.match(value)
    return is_one is not None and _PLACE not in value


@dataclass(frozen=True, slots=True)
class How:
    """The headers of requests to a URL and the reading of its answers, from a command line.

    Attributes:
        reading: how its answers are read; None where the command line does not say.
        headers: those to send, in which `{token}` stands for the token.
        allow_http: let plain http go to another machine.
    """

    reading: Reading | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    allow_http: bool = False

    def at(self, url: str) -> TaskURL:
        """Return the task at a URL.

        Raises:
            ValueError: the command line does not say how its answers are read.
        """
        if self.reading is not None:
            return TaskURL(url, self.reading, self.headers, self.allow_http)
        labels = authority_of(url).split(".")
        near = [name for name in ALL if name.partition(".")[0] in labels]
        api = " or ".join(near) or "NAME, if 'asyncclient apis' lists it"
        msg = (
            f"the status words of {seen(url)} are unknown: give --api {api}; "
            "or --status PATH, --succeeded WORD and --failed WORD"
        )
        raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class TaskURL:
    """The task at a URL.

    Attributes:
        url: where its state is read; its query may be a secret.
        reading: how its answers are read.
        headers: as of `How`.
        allow_http: as of `How`.
    """

    url: str
    reading: Reading
    headers: Mapping[str, str]
    allow_http: bool

    def task(self, pool: SessionPool) -> APITask[TaskRef]:
        """Return the task, whose credential goes to the URL's own origin alone; no I/O.

        Raises:
            ValueError: the URL or the token is not valid.
        """
        _refuse_password(self.url)
        is_known = self.reading.name in ALL
        url = self.url
        try:
            origin, (host, _), _ = parts_of("URL", url, seen(url), allow_http=self.allow_http)
            headers, token = self._credential()
            api = TaskAPI(
                pool,
                origin,
                name=self.reading.name.partition(".")[0] if is_known else host,
                headers=headers,
                token=token,
                allow_http=self.allow_http,
            )
            return api.task(url, self.reading)
        except ValueError as error:
            # The library says it of its own arguments.
            said = re.sub(r"\b(base_url|path_or_url)\b", "URL", str(error))
            raise ValueError(said.replace("pass allow_http=True", "add --allow-http")) from None

    def ref(self, task: APITask[TaskRef]) -> TaskRef | None:
        """Return the task's reference with its whole URL; None where that may hold a secret."""
        if "?" in self.url:
            return None
        found = task.ref
        return TaskRef(found.provider, found.kind, {**found.ids, ADDRESS: self.url})

    def _credential(self) -> tuple[dict[str, str], str | None]:
        """Return the headers, and the token where it is sent as `Authorization: Bearer`."""
        wants_it = any(_PLACE in value for value in self.headers.values())
        if not wants_it and not os.environ.get(TOKEN):
            return dict(self.headers), None  # a URL may be signed, or open to all
        token = credential_in(TOKEN, "the API's token")
        if not wants_it:
            return dict(self.headers), token
        return {name: value.replace(_PLACE, token) for name, value in self.headers.items()}, None


def _refuse_password(url: str) -> None:
    if "@" in authority_of(url):
        msg = (
            "the URL holds a user name or a password, and anyone on this machine can see a "
            f"command line: put the credential into {TOKEN}, and say how it is sent, as "
            f"--header 'Authorization: Basic {_PLACE}'"
        )
        raise ValueError(msg)
