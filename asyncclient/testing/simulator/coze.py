"""The simulated Coze: lists, copies and tokens, and every route of runs, chats and documents."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from asyncclient.testing.simulator.coze_answers import CozeAnswers, page_of
from asyncclient.testing.simulator.coze_chats import CozeChats
from asyncclient.testing.simulator.coze_documents import CozeDocuments
from asyncclient.testing.simulator.coze_workflows import CozeWorkflows
from asyncclient.testing.simulator.server import Call, Endpoint, Route
from asyncclient.testing.simulator.tasks import SimulatedTask

COPY = "coze.copy_task"

# Numbers of the bots of each `publish_status` (page `bots_list_draft_published`): those that were
# published, those of them that have changed since, and those that never were.
_BOTS: dict[str, Sequence[int]] = {
    "published_online": range(45),
    "published_draft": range(4, 45, 5),
    "unpublished_draft": range(45, 54),
    "all": range(54),
}
_WORKSPACES, _WORKFLOWS = range(3), range(65)
_FIRST_WORKSPACE, _FIRST_WORKFLOW = 7_487_600_442_370_000_000, 7_524_966_000_000_000_000
_FIRST_BOT = 7_493_066_380_997_000_000
_MAX_TOKEN_SECONDS = 86_399
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class _CopyBody(msgspec.Struct):
    entity_id: str
    entity_type: Literal["app", "bot", "workflow"]
    to_workspace_id: str = ""


class _TokenBody(msgspec.Struct):
    grant_type: str = ""
    duration_seconds: int = 900
    scope: dict[str, Any] | None = None


class _Claims(msgspec.Struct):
    iss: str
    aud: str
    iat: float
    exp: float
    jti: str


class _Header(msgspec.Struct):
    alg: Literal["RS256"]
    kid: Annotated[str, msgspec.Meta(min_length=1)]
    typ: Literal["JWT"] = "JWT"


class SimulatedCoze(CozeAnswers):
    """Coze as the simulator speaks it."""

    public_key: str | None = None
    """PEM text to check the signature of assertions with; None: signatures are not checked."""

    def routes(self) -> Iterator[Route]:
        """Return every operation with its handler."""
        yield from CozeWorkflows(self._world, self).routes()
        yield from CozeChats(self._world, self).routes()
        yield from CozeDocuments(self._world, self).routes()
        yield Endpoint("coze.workspaces", "GET", "/v1/workspaces", "list"), self._list_workspaces
        yield Endpoint("coze.workflows", "GET", "/v1/workflows", "list"), self._list_workflows
        yield Endpoint("coze.bots", "GET", "/v1/bots", "list"), self._list_bots
        yield Endpoint("coze.bot", "GET", "/v1/bots/{bot_id}", "other"), self._bot
        # The two older operations, which cozepy calls by default.
        old_list, old_bot = "/v1/space/published_bots_list", "/v1/bot/get_online_info"
        yield Endpoint("coze.published_bots", "GET", old_list, "list"), self._list_published
        yield Endpoint("coze.online_info", "GET", old_bot, "other"), self._online_info
        copies = "/v1/entities/copy_tasks"
        yield (
            Endpoint("coze.start_copy", "POST", copies, "start", "", HTTPStatus.OK),
            self._start_copy,
        )
        yield Endpoint("coze.copy_task", "GET", copies + "/{task_id}", "poll"), self._copy_task
        for path in ("token", "account/{account_id}/token"):
            path = f"/api/permission/oauth2/{path}"  # noqa: PLW2901
            yield Endpoint("coze.token", "POST", path, "other"), self._token

    # -- workspaces and workflows ---------------------------------------------------------------

    async def _list_workspaces(self, call: Call) -> web.Response:
        page = page_of(call, "page_num", _WORKSPACES, most=50)
        spaces = [
            {
                "id": str(_FIRST_WORKSPACE + number),
                "name": f"Workspace {number + 1}",
                "icon_url": "https://example.com/team.png",
                "role_type": "member" if number else "owner",
                "workspace_type": "team" if number else "personal",
                "enterprise_id": "",
            }
            for number in page
        ]
        return self.data({"workspaces": spaces, "total_count": len(_WORKSPACES)})

    async def _list_workflows(self, call: Call) -> web.Response:
        if not call.query("workspace_id"):
            return self.invalid("workspace_id is required")
        page = page_of(call, "page_num", _WORKFLOWS, usual="10", most=30)
        flows = [
            {
                "workflow_id": str(_FIRST_WORKFLOW + number),
                "workflow_name": f"Workflow {number + 1}",
                "description": f"The simulated workflow number {number + 1}.",
                "icon_url": "https://example.com/workflow.png",
                "app_id": "0",
                # In quotes, as in the page's sample.
                "created_at": str(1_752_060_786 + number),
                "updated_at": str(1_752_060_827 + number),
                "creator": {"id": "26150", "name": "alan"},
            }
            for number in page
        ]
        return self.data({"items": flows, "has_more": bool(page) and page[-1] != _WORKFLOWS[-1]})

    # -- bots ---------------------------------------------------------------------------------

    async def _list_bots(self, call: Call) -> web.Response:
        if not call.query("workspace_id"):
            return self.invalid("workspace_id is required")
        bots = _BOTS.get(call.query("publish_status") or "published_online")
        if bots is None:
            return self.invalid(f"publish_status must be one of {', '.join(_BOTS)}")
        # The page knows page_num only; another name leaves it at the first page.
        page = page_of(call, "page_num", bots)
        return self.data({"items": [_simple_bot(bot) for bot in page], "total": len(bots)})

    async def _list_published(self, call: Call) -> web.Response:
        published = _BOTS["published_online"]
        page = page_of(call, "page_index", published)
        bots = [_simple_bot(bot) for bot in page]
        old = [
            {
                "bot_id": bot["id"],
                "bot_name": bot["name"],
                "description": bot["description"],
                "icon_url": bot["icon_url"],
                "publish_time": str(bot["updated_at"]),
            }
            for bot in bots
        ]
        return self.data({"space_bots": old, "total": len(published)})

    async def _bot(self, call: Call) -> web.Response:
        return self._describe_bot(call, call.path("bot_id"))

    async def _online_info(self, call: Call) -> web.Response:
        return self._describe_bot(call, call.query("bot_id"))

    def _describe_bot(self, call: Call, bot_id: str) -> web.Response:
        number = int(bot_id) - _FIRST_BOT if bot_id.isdecimal() else -1
        if number not in _BOTS["all"]:
            return self.missing(call.endpoint)
        simple = _simple_bot(number)
        same = {name: simple[name] for name in ("name", "description", "icon_url", "owner_user_id")}
        return self.data(same | _BOT | {"bot_id": bot_id, "update_time": simple["updated_at"]})

    # -- copies -------------------------------------------------------------------------------

    async def _start_copy(self, call: Call) -> web.Response:
        body = call.decode(_CopyBody)
        # Page `copy_resource_task`: copying a bot within its workspace is done at once.
        if body.entity_type == "bot" and not body.to_workspace_id:
            return self.data({"copied_entity_id": self._world.decimal_id()})
        number = 456_700_000 + self._world.turn("copy")
        task = self.start_named(
            COPY,
            body.entity_id,
            # A task's id is not a plain number in the page's sample: 123e456700.
            task_id=f"{self._world.random.randrange(100, 1000)}e{number}",
            place="",
            start_marker=msgspec.to_builtins(body),
        )
        task.details = {"target": self._world.decimal_id()}
        return self.data({"task_id": task.id})

    async def _copy_task(self, call: Call) -> web.Response:
        task = self._world.find(COPY, call.path("task_id"), "")
        failed, is_done = task.outcome == "fail", task.is_done
        real = ("failed" if failed else "successful") if is_done else "in_progress"
        word, is_done = call.show(task, real, is_done=is_done)
        given = task.start_marker
        data: dict[str, Any] = {
            "task_id": task.id,
            "entity_type": given["entity_type"],
            "task_status": word,
            "source_entity_id": given["entity_id"],
        }
        if is_done:
            data |= _copy_reasons(task) if failed else {"target_entity_id": task.details["target"]}
            data |= {"target_workspace_id": given["to_workspace_id"] or "7498204883280400000"}
        return self.data(data)

    # -- tokens -------------------------------------------------------------------------------

    async def _token(self, call: Call) -> web.Response:
        # Page `oauth_jwt`. Errors here have another shape than everywhere else.
        body = call.decode(_TokenBody)
        if body.grant_type != _GRANT:
            return self._oauth_error("unsupported_grant_type", "grant_type is not simulated")
        if not 0 < body.duration_seconds <= _MAX_TOKEN_SECONDS:
            return self._oauth_error("invalid_request", "duration_seconds is out of range")
        assertion = call.request.headers.get("Authorization", "").removeprefix("Bearer ")
        trouble = self._check(assertion, call.request.host)
        if trouble:
            return self._oauth_error("invalid_client", trouble, status=HTTPStatus.UNAUTHORIZED)
        token = f"czs_{self._world.uuid().replace('-', '')}"
        self.add_token(token, body.duration_seconds)
        # An absolute Unix time, in spite of its name.
        expires = int(self._world.wall()) + body.duration_seconds
        return self.answer(
            {"access_token": token, "expires_in": expires, "token_type": "Bearer"}, detail=False
        )

    def _check(self, assertion: str, host: str) -> str:
        """Return what is wrong with an assertion, or nothing."""
        try:
            claims = _open_jwt(assertion)
        except (ValueError, msgspec.MsgspecError) as error:
            return f"invalid jwt: {error}"
        # The audience is the API's host without a scheme.
        if claims.aud not in {host, host.partition(":")[0]}:
            return f"invalid jwt: aud {claims.aud} is not {host}"
        # Made by the caller from its wall clock, so held against the real one.
        if claims.exp <= time.time() or claims.exp <= claims.iat:
            return "invalid jwt: expired"
        if not self._has_good_signature(assertion):
            return "invalid jwt: signature"
        # An assertion may be used once, whether or not its use went well.
        if self._world.turn(f"jti {claims.jti}"):
            return "invalid jwt: jti already used"
        return ""

    def _has_good_signature(self, assertion: str) -> bool:
        if self.public_key is None:
            return True
        import jwt  # noqa: PLC0415  (optional: needed only with a key)

        try:
            jwt.decode(
                assertion,
                self.public_key,
                algorithms=["RS256"],
                options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return False
        return True

    def _oauth_error(
        self, code: str, message: str, *, status: int = HTTPStatus.BAD_REQUEST
    ) -> web.Response:
        payload = {"error_code": code, "error_message": message, "error": code}
        return self.answer(payload, status=status, detail=False)


def _open_jwt(assertion: str) -> _Claims:
    parts = assertion.split(".")
    if len(parts) != 3:
        message = "not three parts"
        raise ValueError(message)
    try:
        raw = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts]
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    msgspec.json.decode(raw[0], type=_Header)
    return msgspec.json.decode(raw[1], type=_Claims)


def _simple_bot(number: int) -> dict[str, Any]:
    never = number in _BOTS["unpublished_draft"]
    bot = {
        "id": str(_FIRST_BOT + number),
        "name": f"Bot {number + 1}",
        "icon_url": "https://example.com/agent.png",
        "updated_at": 1_718_289_297 + number,
        "description": f"The simulated bot number {number + 1}.",
        # The page's sample has a time of publication and yet is not published.
        "is_published": bool(number % 3) and not never,
        "owner_user_id": "2342342345678900",
    }
    if number % 2 == 0:
        bot["folder_id"] = "7523161255335400000"
    if number % 2 == 0 and not never:
        bot["published_at"] = 1_718_289_297 + number
    return bot


# Page `get_metadata_draft_published`, whose sample spells the onboarding fields in PascalCase.
_BOT: dict[str, Any] = {
    "create_time": 1_718_289_000,
    "version": "1718289297001",
    "bot_mode": 0,
    "prompt_info": {"prompt": "You are a simulated bot."},
    "onboarding_info": {
        "Prologue": "Hello.",
        "SuggestedQuestions": ["What can you do?"],
        "OnboardingMode": 1,
        "CustomizedOnboardingPrompt": "",
        "SuggestedQuestionsShowMode": 0,
    },
    "model_info": {"model_id": "1706077826", "model_name": "simulated", "temperature": 0.7},
    "plugin_info_list": [],
    "knowledge": {"knowledge_infos": []},
    "workflow_info_list": [],
    "media_config": {"is_voice_call_closed": True},
    "default_user_input_type": "text",
    "suggest_reply_info": {"reply_mode": "disable", "customized_prompt": ""},
}


def _copy_reasons(task: SimulatedTask) -> dict[str, Any]:
    given = task.start_marker
    reason = {
        "entity_id": given["entity_id"],
        "entity_name": "Word helper",
        "entity_type": given["entity_type"],
        "failed_reason": "The quota of the workspace does not suffice for the copy.",
    }
    return {"failed_reasons": [reason]}
