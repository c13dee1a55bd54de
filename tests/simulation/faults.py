"""The kinds of faults: what each makes of an answer, and what a wait may make of it."""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import socket
import ssl
import urllib.error
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote

import aiohttp
import httpx

from asyncclient import Reading, Vocabulary, catalogue
from asyncclient._http import Response
from asyncclient.errors import ConnectFailed, RequestTimeout, TransportError
from asyncclient.testing import answer_with, reply
from tests.http.test_failure import ChunkedEncodingError, RequestsConnectionError, refused
from tests.simulation.world import Fault, JobKind

_T = TypeVar("_T")

# What a wait may make of a look: `good`, the status was shown; `word`, it was in no vocabulary;
# `final`, a refusal that ends the wait; `missing`, no such task; `unclear`, a refusal that may not
# be the provider's; `transient`, a failed look; `hang`, no answer.
Verdict: TypeAlias = Literal["good", "word", "final", "missing", "unclear", "transient", "hang"]
State: TypeAlias = Literal["running", "blocked", "succeeded", "failed", "cancelled"]

_VERDICTS: dict[str, Verdict] = {
    **dict.fromkeys(("beside", "bytes", "hint"), "good"),
    **dict.fromkeys(("code", "gateway"), "unclear"),
    "word": "word",
    "hang": "hang",
    "refused": "final",
    "missing": "missing",
}
# The kinds for a start, for a provider's answers, and for those of a caller's own function.
OF_START = ("broken", "page", "queue", "garbled", "busy", "refused", "unsent")
OF_PROVIDER = (*OF_START, "beside", "bytes", "hint", "word", "missing", "code", "gateway", "hang")
OF_OWN = ("broken", "network", "library", "mute", "cancelled", "word", "refused", "hang", "hint")

_STATES: tuple[State, ...] = ("running", "blocked", "succeeded", "failed", "cancelled")
# The words of the states, in that order; Copy.ai knows no demand and no cancelled run.
_WORDS: dict[JobKind, str] = {
    "coze_run": "Running <UNSET> Success Fail Cancel",
    "coze_chat": "in_progress requires_action completed failed canceled",
    "copyai_run": "PROCESSING WAITING COMPLETE FAILED FAILED",
    "polling_task": "running asks done broken stopped",
    "own_task": "running asks done broken stopped",
    "github_run": "in_progress completed/action_required"
    " completed/success completed/failure completed/cancelled",
    "studio_film": "rendering asking finished crashed stopped",
}
WORDS = {kind: dict(zip(_STATES, words.split(), strict=True)) for kind, words in _WORDS.items()}

FILM = Reading(
    "studio.film",
    Vocabulary(
        running="rendering",
        blocked="asking",
        succeeded="finished",
        failed="crashed",
        cancelled="stopped",
    ),
    status="data.status",
    reason="data.why",
    progress="data.progress",
    hint="data.eta",
    source="a simulation",
    checked="2026-11-29",
)
READINGS: dict[JobKind, Reading] = {
    "github_run": catalogue.GITHUB_WORKFLOW_RUN,
    "studio_film": FILM,
}
_WRITTEN: dict[JobKind, dict[State, dict[str, object]]] = {
    kind: {state: answer_with(reading, word) for state, word in WORDS[kind].items()}
    for kind, reading in READINGS.items()
}

_DEEP: object = json.loads("[" * 60 + "]" * 60)
# What may stand beside a status: every kind of JSON value, and texts that not every codec takes.
_TEXTS = ("", "0", "cut \ud83d", "2026-11-29T00:00:00Z")
_VALUES: tuple[object, ...] = (
    *(None, True, 0, -1, 1.5, 10**400, *_TEXTS),
    *([], [None], {}, {"n": 1}, _DEEP),
)
_RUN = "create_time update_time usage output error_code error_message logid node_execute_status"
_BESIDE: dict[JobKind, str] = {
    "coze_run": f"{_RUN} bot_id cost is_output_trimmed interrupt_data",
    "coze_chat": "created_at completed_at last_error usage meta_data bot_id required_action",
    "copyai_run": "output input metadata createdAt credits workflowId",
    "github_run": "id name run_number html_url",
    "studio_film": "why progress eta output",
}
# Seconds, points in time in seconds and in milliseconds, dates, and nonsense.
_HINTS = (
    *("0", "1", "2.5", "7", "30", "3600", "900000", "1800000005", "1800000030000"),
    *("Wed, 15 Jan 2027 08:00:09 GMT", "-5", "nan", "inf", "soon", "", "9" * 400),
)
_GATEWAY = (400, 401, 403, 404, 405, 409, 413, 422, 423, 451)
_DOWN = (408, 425, 500, 502, 503, 504, 520, 599)
_PAGES = {"gateway": _GATEWAY, "page": _DOWN, "queue": (429,)}
_GARBLED = (
    *(b"", b"{", b"<html>hello</html>", b"[]", b"null", b'"text"', b"7"),
    *(b"\xff\xfe\x00", b'{"code":0,"data":'),
)
_NO_JSON = (b"{", b"<html>hello</html>", b"\xff\xfe\x00", b'{"code":0,"data":')
_STRANGE_WORDS = (None, "Paused", "queued-again", "", "\ufffd", "x" * 5_000)


def verdict_of(fault: Fault, job: JobKind) -> Verdict:
    """Return what a wait may make of a look with a fault."""
    if job in READINGS:  # any JSON is an answer, and any refusal in JSON is the API's own
        if fault.kind == "garbled":
            return "transient" if _one(_GARBLED, fault.pick) in _NO_JSON else "word"
        if fault.kind == "code":
            return "final"
    return _VERDICTS.get(fault.kind, "transient")


def hint(pick: int) -> str:
    """Return one form of a hint, as a header has it."""
    return _HINTS[pick % len(_HINTS)]


def body(kind: JobKind, ids: str, state: State, marker: str, token: str = "") -> dict[str, object]:
    """Return a provider's own answer about a job; why one failed repeats the credential."""
    word, why = WORDS[kind][state], f"you sent {token}" if state == "failed" else None
    if kind in READINGS:
        said = {"id": ids, "output": marker, **_WRITTEN[kind][state]}
        if kind == "studio_film":
            said["data"] = {**cast("_Said", said["data"]), "why": why}
        return said
    if kind == "coze_run":
        run = {"execute_id": ids, "execute_status": word, "output": json.dumps({"Output": marker})}
        return {"code": 0, "msg": "", "data": [run | {"error_message": why}]}
    if kind == "coze_chat":
        chat: dict[str, object] = {"id": ids, "conversation_id": "c", "status": word}
        said = {"meta_data": {"who": marker}, "last_error": {"code": 1, "msg": why}}
        return {"code": 0, "data": chat | said}
    failed = {"id": ids, "status": word, "output": {"text": marker}, "error": why}
    return {"status": "success", "data": failed}


def answer(
    kind: JobKind, ids: str, state: State, marker: str, fault: str | None, pick: int, token: str
) -> Response:
    """Return a provider's answer to a look, or raise what the pool would."""
    said = body(kind, ids, state, marker, token)
    headers: dict[str, str] = {}
    if fault == "beside":
        names = _BESIDE[kind].split()
        _at_status(said)[names[pick % len(names)]] = _one(_VALUES, pick // 16)
    elif fault == "bytes":
        raw = json.dumps(said).encode()
        return reply(b"\xef\xbb\xbf" + raw if pick % 2 else raw.replace(b"seen", b"\\ud83dseen", 1))
    elif fault == "hint":
        headers = {"retry-after": hint(pick)}
    elif fault == "word":
        name = "execute_status" if kind == "coze_run" else "status"
        _at_status(said)[name] = _one(_STRANGE_WORDS, pick)
    elif fault is not None:
        return refusal(kind, fault, pick, token)
    return reply(json.dumps(said), headers=headers)


def refusal(kind: JobKind, fault: str, pick: int, token: str) -> Response:
    """Return an answer that shows no job, or raise what the pool would."""
    if fault in _PAGES:
        status = _one(_PAGES[fault], pick)
        spelled = token if pick % 4 else quote(token).replace("_", "%5F")
        # An excerpt of it may end in the midst of the credential.
        page = f"<html><title>{status}</title>{'.' * (pick % 200)}{spelled}</html>"
        return reply(page, status=status, headers=_retry_after(pick))
    if fault == "garbled":
        return reply(_one(_GARBLED, pick))
    if fault == "broken":
        error = _one(_TRANSPORT, pick)()
        raise error
    if fault == "unsent":
        raise ConnectFailed("no route to the host")
    of_kind = _COPYAI if kind == "copyai_run" else _ANY if kind in READINGS else _COZE
    status, said = _one(of_kind[fault], pick)
    name = "msg" if of_kind is _COZE else "message"
    headers = _retry_after(pick) if fault == "busy" else {}
    raw = json.dumps({**said, name: f"refused, and you sent {token}"})
    return reply(_escaped(raw, token) if pick % 4 == 2 else raw, status=status, headers=headers)


_Said: TypeAlias = dict[str, object]
_Refusals: TypeAlias = dict[str, tuple[tuple[int, _Said], ...]]
_COZE: _Refusals = {
    "unauthorized": ((401, {"code": 4100}), (200, {"code": 700012006})),
    "forbidden": ((403, {"code": 4101}), (200, {"code": 4101})),
    "refused": ((400, {"code": 4000}), (200, {"code": 4000}), (403, {"code": 4101})),
    "missing": ((404, {"code": 4200}), (200, {"code": 4200})),
    "code": ((200, {"code": 700000}), (400, {"code": 31_415_926}), (200, {"code": 12})),
    "busy": (
        (429, {"code": 4020}),
        (200, {"code": 4009}),
        (200, {"code": 4013}),
        (429, {"code": 0}),
        (500, {"code": 5000}),
        (503, {"code": 5000}),
    ),
}
_COPYAI: _Refusals = {
    "unauthorized": ((401, {"status": "error"}),),
    "forbidden": ((403, {"status": "error"}),),
    "refused": (
        (400, {"status": "error", "errorCode": "WORKFLOW_CREDIT_LIMIT_REACHED"}),
        (402, {"status": "error"}),
    ),
    "missing": ((404, {"status": "error", "errorCode": "NOT_FOUND"}),),
    "code": ((400, {"status": "error", "errorCode": "SOMETHING_NEW"}),),
    "busy": ((429, {"status": "error"}), (500, {"status": "error"}), (503, {"status": "error"})),
}
_ANY: _Refusals = {
    "unauthorized": ((401, {"error": "bad credentials"}),),
    "forbidden": ((403, {"error": {"code": "forbidden"}}),),
    "refused": ((400, {"error": {"code": 7}}), (422, {"detail": []}), (402, {})),
    "missing": ((404, {"error": "not found"}), (410, {})),
    "code": ((400, {"oops": 1}), (409, {"error": {"code": "NEW"}})),
    "busy": ((429, {}), (500, {"error": None}), (503, {"title": "down"})),
}
_TRANSPORT: tuple[Callable[[], Exception], ...] = (
    lambda: TransportError("the connection was reset"),
    lambda: RequestTimeout("no answer within 30 s"),
)


def fail(fault: str, pick: int) -> None:
    """Raise what a caller's own function raises."""
    if fault == "cancelled":
        raise asyncio.CancelledError
    error = _library_error(pick) if fault == "library" else _one(_RAISED[fault], pick)()
    raise error


class _Mute(ConnectionError):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise ZeroDivisionError("an error that cannot be shown")

    __repr__ = __str__


_RAISED: dict[str, tuple[Callable[[], Exception], ...]] = {
    "broken": (ConnectionResetError, TimeoutError, BrokenPipeError),
    "network": (
        lambda: socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution"),
        lambda: OSError(errno.ENETUNREACH, "network is unreachable"),
        lambda: ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        lambda: urllib.error.URLError(ConnectionRefusedError("refused")),
        lambda: http.client.IncompleteRead(b"half"),
        lambda: ExceptionGroup("all addresses", [ConnectionResetError(), TimeoutError()]),
    ),
    "mute": (_Mute,),
    "refused": (lambda: ValueError("what the function could not read"),),
}


# None stands for the refusal of httpx.
_LIBRARY: tuple[Callable[[str], Exception] | None, ...] = (
    *(httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, aiohttp.ClientOSError),
    *(RequestsConnectionError, ChunkedEncodingError, None),
)


def _library_error(pick: int) -> Exception:
    kind = _one(_LIBRARY, pick)
    if kind is not None:
        return kind("as another library says it")
    headers = {"retry-after": hint(pick)} if pick % 2 else {}
    return refused(_one((429, 500, 502, 503), pick // 7), headers)


def _at_status(said: _Said) -> _Said:
    """Return the object in which the status stands."""
    data = said.get("data", said)
    return cast("list[_Said]", data)[0] if isinstance(data, list) else cast("_Said", data)


def _escaped(raw: str, token: str) -> str:
    """Return JSON in which a credential is written letter by letter."""
    return raw.replace(token, "".join(f"\\u{ord(letter):04x}" for letter in token))


def _retry_after(pick: int) -> dict[str, str]:
    return {"retry-after": hint(pick // 2)} if pick % 2 else {}


def _one(values: tuple[_T, ...], pick: int) -> _T:
    return values[pick % len(values)]
