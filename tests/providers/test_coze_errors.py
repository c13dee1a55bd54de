"""Coze's refusals: which error each code and status is, and what the error says."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncclient._http import Response
from asyncclient.errors import (
    APIError,
    AuthenticationFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply

_FOLDER = Path(__file__).parents[1] / "fixtures" / "coze" / "answers"
_TOKEN = "pat_secret-7f3a9c"

# Page `coze_error_codes`.
_OFFICIAL: dict[int, type[APIError]] = {
    4000: InvalidRequest,
    4001: NotFound,
    4002: NotFound,
    4003: InvalidRequest,
    4004: InvalidRequest,
    4005: NotFound,
    4006: NotFound,
    4007: InvalidRequest,
    4008: QuotaExceeded,
    4009: RateLimited,
    4010: InvalidRequest,
    4011: QuotaExceeded,
    4012: InvalidRequest,
    4013: ServerError,
    4014: InvalidRequest,
    4015: InvalidRequest,
    4016: InvalidRequest,
    4019: QuotaExceeded,
    4020: RateLimited,
    4021: InvalidRequest,
    4022: QuotaExceeded,
    4100: AuthenticationFailed,
    4101: PermissionDenied,
    4102: RateLimited,
    4104: InvalidRequest,
    4105: InvalidRequest,
    4200: NotFound,
    4201: InvalidRequest,
    4300: InvalidRequest,
    4301: InvalidRequest,
    4302: InvalidRequest,
    4303: InvalidRequest,
    4304: InvalidRequest,
    4314: NotFound,
    4315: InvalidRequest,
    5000: ServerError,
}
# Codes outside of that page.
_OTHERS: dict[int, type[APIError]] = {
    6003: PermissionDenied,
    6023: APIError,
    6031: InvalidRequest,
    6039: InvalidRequest,
    700012006: AuthenticationFailed,
    702242001: InvalidRequest,
    720701001: ServerError,
    720701002: ServerError,
    720701013: ServerError,
    720702001: InvalidRequest,
    720702002: InvalidRequest,
    720702004: InvalidRequest,
    720702011: InvalidRequest,
    720702085: ServerError,
    720712000: InvalidRequest,
    720712023: InvalidRequest,
    720712999: InvalidRequest,
    777777776: APIError,
    777777777: APIError,
}
_REPEATED = (RateLimited, ServerError)


def _client(
    *script: Response | Exception, repeat: bool = False, max_retries: int = 0
) -> tuple[Coze, ScriptedTransport]:
    transport = ScriptedTransport(script, repeat=repeat)
    return Coze(transport, token=_TOKEN, base_url=Coze.CN, max_retries=max_retries), transport


async def _error(response: Response) -> APIError:
    coze, transport = _client(response)
    with pytest.raises(APIError) as caught:
        await coze.get_workflow_run("7350", "7431")
    assert len(transport.requests) == 1
    return caught.value


@pytest.mark.parametrize(("code", "kind"), [*_OFFICIAL.items(), *_OTHERS.items()])
async def test_each_code_has_its_error(code: int, kind: type[APIError]) -> None:
    """A code in HTTP 200 is exactly this error, with code, words and status kept."""
    error = await _error(reply({"code": code, "msg": "Some words"}))
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (200, code, "Some words")
    assert str(code) in str(error)
    assert "coze.get_workflow_run" in str(error)


@pytest.mark.parametrize(("code", "kind"), [*_OFFICIAL.items(), *_OTHERS.items()])
async def test_only_codes_that_may_pass_are_asked_again(code: int, kind: type[APIError]) -> None:
    """A read is repeated after a passing fault, and after no other refusal."""
    coze, transport = _client(reply({"code": code, "msg": ""}), repeat=True, max_retries=2)
    with pytest.raises(kind):
        await coze.get_workflow_run("7350", "7431")
    # 4020 and 4102 ask for a minute, which is more than a single call is worth.
    repeats = 2 if issubclass(kind, _REPEATED) and code not in {4020, 4102} else 0
    assert len(transport.requests) == 1 + repeats


async def test_a_permission_that_lacks_is_no_wrong_token() -> None:
    """Code 4101 stands for a wrong token only where it says so."""
    error = await _error(reply({"code": 4101, "msg": "Token lacks the permission required"}))
    assert type(error) is PermissionDenied


@pytest.mark.parametrize("code", [1, 4999, 720711999, 720713000, 999999999999, -5])
async def test_an_unknown_code_is_an_error_of_no_special_kind(code: int) -> None:
    """A code in no table is an `APIError` and nothing more, and is not asked again."""
    coze, transport = _client(reply({"code": code, "msg": "new"}), repeat=True, max_retries=3)
    with pytest.raises(APIError) as caught:
        await coze.get_workflow_run("7350", "7431")
    assert type(caught.value) is APIError
    assert caught.value.code == code
    assert len(transport.requests) == 1


async def test_a_code_in_quotes_is_the_same_code() -> None:
    """`"code": "4000"` was seen; it is the number."""
    error = await _error(reply({"code": "4000", "msg": ""}))
    assert type(error) is InvalidRequest
    assert error.code == 4000


@pytest.mark.parametrize(
    ("code", "words"),
    [(6023, "ran out of its time"), (777777776, "a node"), (777777777, "cancelled")],
)
async def test_a_run_that_ended_badly_is_an_error_and_not_run_again(code: int, words: str) -> None:
    """A synchronous run that is over is known to be: it is asked once, and is no unknown start."""
    coze, transport = _client(reply({"code": code, "msg": ""}), repeat=True, max_retries=3)
    with pytest.raises(APIError, match=words) as caught:
        await coze.run_workflow("7350")
    assert not caught.value.may_have_started
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"detail": "20241210"},
        {"detail": {"logid": 20241210}},
        {"detail": ["logid"]},
        {"msg": {"text": "no"}},
        {"debug_url": 5},
        {"error_code": {"a": 1}},
        {"error_message": None},
    ],
    ids=repr,
)
async def test_an_odd_field_beside_hides_no_code(odd: dict[str, object]) -> None:
    """A refusal is read by its code, whatever the type of what stands beside it."""
    coze, transport = _client(reply({"code": 4200, **odd}), repeat=True, max_retries=3)
    with pytest.raises(NotFound) as caught:
        await coze.get_workflow_run("7350", "7431")
    assert (caught.value.code, caught.value.log_id) == (4200, None)
    assert len(transport.requests) == 1


@pytest.mark.parametrize("code", [True, 4.1, [4100], {"code": 4100}], ids=repr)
async def test_a_code_that_is_none_is_no_refusal(code: object) -> None:
    """What cannot be a code leaves the answer to be judged by its shape."""
    coze, _ = _client(reply({"code": code, "msg": "?"}))
    with pytest.raises(DecodeError):
        await coze.get_workflow_run("7350", "7431")


async def test_a_refusal_shows_where_coze_shows_more() -> None:
    """The page of a failed run, which names the run, is in the error's notes."""
    url = "https://www.coze.cn/work_flow?execute_id=7431&space_id=1&workflow_id=7350"
    error = await _error(reply({"code": 720701013, "msg": "", "debug_url": url}))
    assert any(url in note for note in error.__notes__)
    for odd in (
        "javascript:alert(1)",
        "https://h/ x",
        "https://h/\n",
        "",
        "https://h/" + "x" * 600,
    ):
        error = await _error(reply({"code": 720701013, "msg": "", "debug_url": odd}))
        assert not hasattr(error, "__notes__")


async def test_a_refusal_that_has_data_is_a_refusal() -> None:
    """What an answer says of itself goes before the shape of its data."""
    error = await _error(reply({"code": 4200, "msg": "", "data": {"anything": 1}}))
    assert type(error) is NotFound
    error = await _error(reply({"code": 4200, "msg": "", "data": [{"execute_status": "Success"}]}))
    assert type(error) is NotFound


async def test_a_refusal_of_a_run_is_read_from_its_flat_answer() -> None:
    """The recorded refusal is repeatable by its code, and not repeated for a start."""
    coze, transport = _client(
        reply((_FOLDER / "refused_run.json").read_bytes()), repeat=True, max_retries=3
    )
    with pytest.raises(ServerError, match="short delay") as caught:
        await coze.run_workflow("7350")
    assert caught.value.may_have_started
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"code": 4100, "msg": "authentication is invalid"}),
        (200, {"code": 4101, "msg": "The token you entered is incorrect. Please check it."}),
        (200, {"code": 700012006, "msg": "access token invalid"}),
        (401, {"code": 700012006, "msg": "access token invalid"}),
        (401, {"code": 4100, "msg": "authentication is invalid"}),
        (401, ""),
        (401, "<html>Unauthorized</html>"),
    ],
    ids=repr,
)
async def test_a_wrong_token_is_one_error_whichever_way_it_is_said(
    status: int, body: object
) -> None:
    """HTTP 200 with a code and HTTP 401, with or without a body, are `AuthenticationFailed`."""
    error = await _error(reply(body, status=status))
    assert type(error) is AuthenticationFailed
    assert "Coze.CN" in str(error)
    assert "Coze.COM" in str(error)


async def test_a_missing_permission_is_not_a_wrong_token() -> None:
    """Code 4101 is about the token only where its words say so."""
    error = await _error(reply({"code": 4101, "msg": "You have no access to this workflow"}))
    assert type(error) is PermissionDenied
    assert "permissions" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, AuthenticationFailed),
        (402, QuotaExceeded),
        (403, PermissionDenied),
        (404, NotFound),
        (405, InvalidRequest),
        (408, ServerError),
        (410, NotFound),
        (425, ServerError),
        (429, RateLimited),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (599, ServerError),
    ],
)
async def test_a_status_without_a_code_speaks_for_itself(status: int, kind: type[APIError]) -> None:
    """A body without a code, or no body, leaves the HTTP status to decide."""
    for body in (b"", b"not JSON", b"{}", b"[]", b"\xff\xfe"):
        error = await _error(reply(body, status=status))
        assert type(error) is kind
        assert (error.status, error.code) == (status, None)


@pytest.mark.parametrize("status", [502, 504])
async def test_a_gateways_html_page_is_a_server_error(status: int) -> None:
    """No log id, no JSON: the error shows the beginning of the page."""
    page = "<html><center><h1>Bad Gateway</h1></center><hr/>Powered by Tengine</html>" + "x" * 9999
    error = await _error(reply(page, status=status))
    assert type(error) is ServerError
    assert "Powered by Tengine" in str(error)
    assert error.log_id is None
    assert len(str(error)) < 500


@pytest.mark.parametrize("opening", [b"[", b'{"msg":', b'{"detail":{"x":', b'{"x":'])
@pytest.mark.parametrize("depth", [100, 2_000, 100_000])
async def test_a_refusal_nested_too_deeply_is_the_refusal_of_its_status(
    opening: bytes, depth: int
) -> None:
    """What cannot be read of a refusal leaves the refusal, and is no error of the decoder."""
    error = await _error(reply(opening * depth, status=503))
    assert type(error) is ServerError
    assert error.status == 503


async def test_an_unknown_path_is_an_invalid_request() -> None:
    """HTTP 404 with code 4000 is the request's fault, not a task that is gone."""
    error = await _error(reply({"code": 4000, "msg": "path not found"}, status=404))
    assert type(error) is InvalidRequest


async def test_a_429_stays_one_whatever_its_code() -> None:
    """The status 429 is about the rate, also with another code in its body."""
    error = await _error(reply({"code": 4000, "msg": ""}, status=429))
    assert type(error) is RateLimited


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:10 GMT"}, 10.0),
        ({}, None),
    ],
)
async def test_the_hint_of_a_429_is_in_the_error(
    headers: dict[str, str], hint: float | None
) -> None:
    """`Retry-After`, in any of its forms, is what `.retry_after` holds."""
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    error = await _error(reply("", status=429, headers=headers, date=date))
    assert error.retry_after == hint


async def test_being_over_the_purchased_rate_asks_for_a_minute() -> None:
    """Code 4020 has no hint of its own, and a header of its answer goes before ours."""
    assert (await _error(reply({"code": 4020}))).retry_after == 60
    assert (await _error(reply({"code": 4020}, headers={"Retry-After": "5"}))).retry_after == 5
    assert (await _error(reply({"code": 4009}))).retry_after is None


@pytest.mark.parametrize(
    ("headers", "body", "log_id"),
    [
        ({"X-Tt-Logid": "H1"}, {"code": 4000}, "H1"),
        ({}, {"code": 4000, "detail": {"logid": "D1"}}, "D1"),
        ({"X-Tt-Logid": "H1"}, {"code": 4000, "detail": {"logid": "D1"}}, "H1"),
        ({}, {"code": 4000, "detail": None}, None),
        ({}, {"code": 4000, "detail": {}}, None),
        ({"X-Tt-Logid": "H1"}, "<html>", "H1"),
    ],
    ids=repr,
)
async def test_the_log_id_is_found_in_the_header_or_the_detail(
    headers: dict[str, str], body: object, log_id: str | None
) -> None:
    """What Coze's support asks for is in the error and its message, wherever it came."""
    error = await _error(reply(body, status=400, headers=headers))
    assert error.log_id == log_id
    assert log_id is None or log_id in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused_and_names_the_place(status: int) -> None:
    """It is not followed, since the token would go along: the error names where it leads."""
    place = "https://elsewhere.example:8443/login?next=secret"
    coze, transport = _client(reply("", status=status, headers={"Location": place}), repeat=True)
    with pytest.raises(InvalidRequest, match=r"https://elsewhere\.example:8443") as caught:
        await coze.get_bot("1")
    assert "base_url" in str(caught.value)
    assert "next=secret" not in str(caught.value)
    assert len(transport.requests) == 1


@pytest.mark.parametrize("place", ["/v1/bots/?secret=1", "", "//", "https://[secret=1", "\x00"])
async def test_a_redirect_that_names_no_host_is_refused_in_plain_words(place: str) -> None:
    """A path alone, nothing or garbage is refused like any redirect, without half a URL."""
    error = await _error(reply("", status=308, headers={"Location": place}))
    assert type(error) is InvalidRequest
    assert "redirects to" in str(error)
    assert "://" not in str(error)
    assert "secret=1" not in str(error)


async def test_an_error_never_shows_the_token() -> None:
    """Neither the message, the notes nor the repr of an error has the credential."""
    for response in (
        reply({"code": 4100, "msg": "wrong"}),
        reply("", status=401),
        reply("<html>", status=502),
        reply("", status=302, headers={"Location": "https://elsewhere.example"}),
    ):
        coze, _ = _client(response)
        with pytest.raises(APIError) as caught:
            await coze.start_workflow("7350")
        error = caught.value
        notes = getattr(error, "__notes__", [])
        assert _TOKEN not in f"{error} {error!r} {notes} {vars(error)}"
