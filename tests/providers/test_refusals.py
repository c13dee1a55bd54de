"""Refusals: which error each provider's codes and words stand for, and what the error says.

What a status alone stands for, how hints are read and what a redirect shows is tested where the
rule is (`tests/http/test_refusal.py`).
"""

from __future__ import annotations

import pytest

from asyncclient import errors
from asyncclient._http import Response
from asyncclient.testing import reply
from tests.providers.scripted import RECORDED, both, coze, notes, scripted

# Codes of page `coze_error_codes`, and some that are not on it; of those in no table it is an
# `APIError`, and nothing more.
_CODES: dict[type[errors.APIError], list[int]] = {
    errors.InvalidRequest: [
        *(4000, 4003, 4004, 4007, 4010, 4012, 4014, 4015, 4016, 4021),
        *(4104, 4105, 4201, 4300, 4301, 4302, 4303, 4304, 4315),
        *(400, 6031, 6039, 702242001, 720702001, 720702002, 720702004, 720702011),
        *(720712000, 720712023, 720712999),
    ],
    errors.NotFound: [4001, 4002, 4005, 4006, 4200, 4314],
    errors.QuotaExceeded: [4008, 4011, 4019, 4022, 4027, 4028],
    errors.RateLimited: [4009, 4020, 4102],
    errors.ServerError: [4013, 5000, 500, 720701001, 720701002, 720701013, 720702085],
    errors.AuthenticationFailed: [4100, 401, 700012006],
    errors.PermissionDenied: [4101, 6003],
    errors.APIError: [6023, 777777776, 777777777, 1, 4999, 720711999, 720713000, 999999999999, -5],
}
_READ = ("7350", "7431")


async def _error(response: Response, provider: str = "coze") -> errors.APIError:
    """Return the error of a read that is answered so."""
    client, transport = scripted(provider, response, max_retries=0)
    with pytest.raises(errors.APIError) as caught:
        await client.get_workflow_run(*_READ)
    assert len(transport.requests) == 1
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind"), [(code, kind) for kind, codes in _CODES.items() for code in codes]
)
async def test_each_code_of_coze_has_its_error(code: int, kind: type[errors.APIError]) -> None:
    """A code in HTTP 200 is this error, with its words, and is asked again only if it may pass."""
    client, transport = coze(reply({"code": code, "msg": "Some words"}), repeat=True, max_retries=2)
    with pytest.raises(errors.APIError, match=f"coze.get_workflow_run.*{code}") as caught:
        await client.get_workflow_run(*_READ)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (200, code, "Some words")
    # 4020 and 4102 ask for a minute, which is more than a single call is worth.
    repeats = (
        2 if kind in {errors.RateLimited, errors.ServerError} and code not in {4020, 4102} else 0
    )
    assert len(transport.requests) == 1 + repeats
    # What a run that is over says is known: only a fault of the server leaves a start in doubt.
    with pytest.raises(kind) as caught:
        await client.run_workflow("7350")
    assert caught.value.may_have_started == (kind is errors.ServerError)


_ODD_FIELDS: dict[str, list[object]] = {
    "detail": ["20241210", {"logid": 20241210}, ["logid"]],
    "msg": [{"text": "no"}],
    "debug_url": [5],
    "error_code": [{"a": 1}],
    "error_message": [None],
}


@pytest.mark.parametrize(
    ("status", "said", "kind", "code"),
    [
        # A wrong token is one error in each of the ways that it is said.
        (200, {"code": 4101, "msg": "The token is incorrect."}, errors.AuthenticationFailed, 4101),
        (401, {"code": 700012006, "msg": "invalid"}, errors.AuthenticationFailed, 700012006),
        (401, "<html>Unauthorized</html>", errors.AuthenticationFailed, None),
        # A missing permission is none of the token.
        (200, {"code": 4101, "msg": "Token lacks the permission"}, errors.PermissionDenied, 4101),
        # An unknown path is the request's fault, not a task that is gone.
        (404, {"code": 4000, "msg": "path not found"}, errors.InvalidRequest, 4000),
        # The status 429 is about the rate, also with another code in its body.
        (429, {"code": 4000}, errors.RateLimited, 4000),
        (200, {"code": "4000"}, errors.InvalidRequest, 4000),
        # What an answer says of itself goes before the shape of its data.
        (200, {"code": 4200, "data": {"anything": 1}}, errors.NotFound, 4200),
        (200, {"code": 4200, "data": [{"execute_status": "Success"}]}, errors.NotFound, 4200),
        # A field of an unexpected type hides no code.
        *(
            (200, {"code": 4200, name: value}, errors.NotFound, 4200)
            for name, values in _ODD_FIELDS.items()
            for value in values
        ),
    ],
    ids=repr,
)
async def test_coze_says_one_thing_in_several_ways(
    status: int, said: object, kind: type[errors.APIError], code: int | None
) -> None:
    """Status, code and words decide together."""
    error = await _error(reply(said, status=status))
    assert type(error) is kind
    assert (error.status, error.code, error.log_id) == (status, code, None)


@pytest.mark.parametrize("code", [True, 4.1, [4100], {"code": 4100}], ids=repr)
async def test_a_code_that_is_none_is_no_refusal(code: object) -> None:
    """What cannot be a code leaves the answer to be judged by its shape."""
    client, _ = coze(reply({"code": code, "msg": "?"}), max_retries=0)
    with pytest.raises(errors.DecodeError):
        await client.get_workflow_run(*_READ)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (4100, r"Coze\.CN.*Coze\.COM"),
        # Not always the token: the open-source server lacks endpoints.
        (700012006, r"token .*Coze\.CN.* coze-studio .* does not have"),
        (401, r"token .*Coze\.CN.* coze-studio .* does not have"),
        (4101, "permissions"),
        (4200, "published"),
        (4011, "balance"),
        (6023, "ran out of its time"),
        (777777776, "a node"),
        (777777777, "cancelled"),
    ],
)
async def test_a_refusal_says_what_to_do(code: int, words: str) -> None:
    """The advice is that of the code, else that of the error."""
    with pytest.raises(errors.APIError, match=words):
        raise await _error(reply({"code": code, "msg": ""}))


async def test_the_recorded_refusal_of_a_run_leaves_its_start_in_doubt() -> None:
    """It asks for another try, which no start gets; its page, which names the run, is noted."""
    client, transport = coze(reply(RECORDED["coze/answers/refused_run.json"]), repeat=True)
    with pytest.raises(errors.ServerError, match="short delay") as caught:
        await client.start_workflow("7350")
    assert caught.value.may_have_started
    assert "https://www.coze.cn/work_flow?execute_id=741364789030728****" in notes(caught.value)
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "https://h/ x", "https://h/\n", "", "https://h/" + "x" * 600],
    ids=lambda url: repr(url)[:30],
)
async def test_what_is_no_page_is_not_noted(url: str) -> None:
    """Only a short web address is repeated."""
    error = await _error(reply({"code": 720701013, "msg": "", "debug_url": url}))
    assert notes(error) == ""


@pytest.mark.parametrize(
    ("headers", "body", "log_id"),
    [
        ({"X-Tt-Logid": "H1"}, "<html>", "H1"),
        ({}, {"code": 4000, "detail": {"logid": "D1"}}, "D1"),
        ({"X-Tt-Logid": "H1"}, {"code": 4000, "detail": {"logid": "D1"}}, "H1"),
        ({}, {"code": 4000, "detail": None}, None),
    ],
    ids=repr,
)
async def test_the_log_id_is_found_in_the_header_or_the_detail(
    headers: dict[str, str], body: object, log_id: str | None
) -> None:
    """What Coze's support asks for is in the error and its message."""
    error = await _error(reply(body, status=400, headers=headers))
    assert error.log_id == log_id
    assert log_id is None or log_id in str(error)


async def test_being_over_the_purchased_rate_asks_for_a_minute() -> None:
    """Codes 4020 and 4102 have no hint of their own, and a header goes before ours."""
    for code, asked in ((4020, 60), (4102, 60), (4009, None)):
        assert (await _error(reply({"code": code}))).retry_after == asked
    assert (await _error(reply({"code": 4020}, headers={"Retry-After": "5"}))).retry_after == 5


_NOT_FOUND: dict[str, object] = {"status": "error", "errorCode": "NOT_FOUND"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, {"status": "error", "errorCode": "BAD"}, errors.InvalidRequest, "BAD"),
        (400, "error.credits.json", errors.QuotaExceeded, "WORKFLOW_CREDIT_LIMIT_REACHED"),
        (401, "", errors.AuthenticationFailed, None),
        (404, "error.not_found.json", errors.NotFound, "NOT_FOUND"),
        (422, "error.validation.json", errors.InvalidRequest, "VALIDATION_ERROR"),
        # Inside a 200, `status: error` is an error.
        (200, "error.not_found.json", errors.NotFound, "NOT_FOUND"),
        (200, {"status": "error", "errorCode": "NEW", "data": {}}, errors.InvalidRequest, "NEW"),
        (200, {"status": "error"}, errors.InvalidRequest, None),
        (200, {"status": "error", "data": {"status": "COMPLETE"}}, errors.InvalidRequest, None),
        # A field of an unexpected type hides no code.
        (200, _NOT_FOUND | {"message": {"a": 1}}, errors.NotFound, "NOT_FOUND"),
        (200, _NOT_FOUND | {"message": ["no"]}, errors.NotFound, "NOT_FOUND"),
        (200, _NOT_FOUND | {"details": "no"}, errors.NotFound, "NOT_FOUND"),
        (200, {"status": "error", "errorCode": None, "data": {}}, errors.InvalidRequest, None),
    ],
    ids=repr,
)
async def test_each_refusal_of_copyai_has_its_error(
    status: int, body: object, kind: type[errors.APIError], code: str | None
) -> None:
    """HTTP status and error code decide; an empty body does no harm."""
    body = RECORDED.get(f"copyai/answers/{body}", body)
    error = await _error(reply(body, status=status), "copyai")
    assert type(error) is kind
    assert (error.status, error.code) == (status, code)
    assert code is None or code in str(error)
    assert kind is not errors.QuotaExceeded or "credits" in str(error)


async def test_the_details_of_a_validation_error_are_shown() -> None:
    """A 422 has no message, so its details are in the error's text, bounded in length."""
    recorded = reply(RECORDED["copyai/answers/error.validation.json"], status=422)
    assert "Input 1 is required" in str(await _error(recorded, "copyai"))
    for field in ("message", "details"):
        for long in (["y" * 5000], "y" * 5000):
            body = {"status": "error", "errorCode": "X", field: long}
            text = str(await _error(reply(body, status=422), "copyai"))
            assert "yyy" in text
            assert len(text) < 1000


_OPENINGS = (b"[", b'{"msg":', b'{"detail":{"x":', b'{"details":[')


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"not JSON", b"{}", b"[]", b"\xff\xfe"),
        *(opening * depth for opening in _OPENINGS for depth in (100, 20_000)),
    ],
    ids=lambda body: f"{body[:20]!r} {len(body)}",
)
@both
async def test_a_status_without_a_code_speaks_for_itself(provider: str, body: bytes) -> None:
    """A body without a code, nested garbage or no body leaves the HTTP status to decide.

    `Retry-After` is documented nowhere for Copy.ai, and read where it comes.
    """
    kinds = {400: errors.InvalidRequest, 410: errors.NotFound, 503: errors.ServerError}
    for status, kind in kinds.items():
        answer = reply(body, status=status, headers={"Retry-After": "9"})
        error = await _error(answer, provider)
        assert type(error) is kind
        assert (error.status, error.code, error.retry_after) == (status, None, 9)


_KNOWN = {
    "coze": [
        *(reply({"code": code}) for code in (4200, "4100", 6023, 720712023)),
        reply({"error_code": "access_deny"}, status=403),
        reply({"code": 4000, "msg": "path not found"}, status=404),
    ],
    "copyai": [
        reply(RECORDED["copyai/answers/error.not_found.json"], status=404),
        reply(RECORDED["copyai/answers/error.credits.json"], status=400),
    ],
}
_UNKNOWN = {
    "coze": [
        *(reply({"code": code, "msg": "busy"}) for code in (700000, "700000", -5, "E_BUSY")),
        *(reply({"code": 700000, "msg": "busy"}, status=status) for status in (400, 401, 403)),
    ],
    "copyai": [
        *(reply({"status": "error", "errorCode": code}) for code in ("BUSY", 7)),
        reply({"status": "error", "errorCode": "BUSY"}, status=403),
    ],
}
_PAGES = ["", "<html>Forbidden</html>", "[]", {}, {"message": "Forbidden"}, {"error": "forbidden"}]


@both
async def test_a_refusal_is_known_when_its_code_is_in_a_table(provider: str) -> None:
    """A wait can tell what the provider surely means from a code that is in no table."""
    for expected, responses in ((True, _KNOWN), (False, _UNKNOWN)):
        for response in responses[provider]:
            error = await _error(response, provider)
            assert (error.known, error.foreign) == (expected, False), response.body


@pytest.mark.parametrize("page", _PAGES, ids=repr)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 409, 423, 451])
@both
async def test_what_is_not_in_the_providers_own_form_is_foreign(
    provider: str, status: int, page: object
) -> None:
    """The page of a gateway, also one in JSON, is foreign with any 4xx, and so not known."""
    error = await _error(reply(page, status=status), provider)
    assert (error.known, error.foreign, error.code, error.message) == (False, True, None, "")
