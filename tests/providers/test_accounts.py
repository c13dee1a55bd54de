"""Who asks: which clients are one account, whose looks are shared, and what a reference says of it.

Two tenants may have the same ids, and a look with the token of one must never answer the other. So
the account is a part of each task's key, and of what its looks are counted against.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, cast

import pytest

from asyncclient import Handle, decode_ref, encode_ref
from asyncclient._http import TokenSource
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport, reply
from tests.providers.scripted import PROVIDERS, STARTED, TOKEN, both, client_of, scripted

_OTHER = "pat_s3cret-token-5d6fe1"
_HERE = "https://proxy.example"

Credential = str | TokenSource | CozeJWT


def _run(
    provider: str, credential: Credential = TOKEN, *, account: str | None = None, at: str = _HERE
) -> Handle[Any]:
    """Return a client's handle of one and the same run."""
    transport = ScriptedTransport()
    client = client_of(provider, transport, token=credential, account=account, base_url=at)
    return client.workflow_run("7350", "7431")


class _Vault:
    """Keeps a token, as a program of many tenants may; all of them are equal."""

    async def token(self) -> str:
        return TOKEN

    async def __call__(self) -> str:
        return TOKEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Vault)

    def __hash__(self) -> int:
        return 7


async def _fetch() -> str:
    return TOKEN


async def _fetch_other() -> str:
    return _OTHER


def _is_one_account(one: Handle[Any], other: Handle[Any]) -> bool:
    """Return whether two handles are of one account, which their keys and hashes agree on."""
    same = one.key == other.key
    assert len({one.key, other.key}) == (1 if same else 2)
    assert not same or hash(one.key) == hash(other.key)
    return same


# --- which clients are one account --------------------------------------------------------------

_VAULT = _Vault()
_EQUAL_VAULT = _Vault()
_PARTIAL = partial(_Vault.token, _VAULT)
# What a client is given, made again for each: Python makes a method at each time it is named.
_CREDENTIALS: dict[str, Callable[[], Credential]] = {
    "token": lambda: TOKEN,
    "other token": lambda: _OTHER,
    "function": lambda: _fetch,
    "other function": lambda: _fetch_other,
    "object": lambda: _VAULT,
    "equal object": lambda: _EQUAL_VAULT,
    "method": lambda: _VAULT.token,
    "method of an equal object": lambda: _EQUAL_VAULT.token,
    "partial": lambda: _PARTIAL,
}
# Base URLs, and which of them are one place.
_PLACES = {
    _HERE: "here",
    f"{_HERE}/a": "below",
    f"{_HERE}/a/": "below",
    "https://PROXY.example/a": "below",
    f"{_HERE}:8443": "port",
    f"{_HERE}:443": "here",
    "http://127.0.0.1:8080": "loopback",
}


def test_two_clients_are_one_account_exactly_where_they_ask_as_one() -> None:
    """Provider, place and name decide, and where there is no name the credential does.

    A client may be made for each request, so that all unnamed sources of tokens share one budget.
    """
    accounts: set[tuple[Hashable, object]] = set()
    budgets: set[tuple[Hashable, object]] = set()
    for provider, url, credential, name in itertools.product(
        PROVIDERS, _PLACES, _CREDENTIALS, (None, "a", "b")
    ):
        made = _CREDENTIALS[credential]()
        run = _run(provider, made, at=url, account=name)
        counted = credential if isinstance(made, str) else "any source"
        where = (provider, _PLACES[url], name)
        accounts.add((run.key, (*where, None if name else credential)))
        budgets.add((run.budget, (*where, None if name else counted)))
    for pairs in (accounts, budgets):
        made_of = {ours for ours, _ in pairs}
        assert len(made_of) == len({wanted for _, wanted in pairs}) == len(pairs)


@both
def test_a_token_in_the_place_of_a_name_is_another_account(provider: str) -> None:
    """A name that reads as another account's token, or as its hash, is not that account."""
    for name in (TOKEN, str(hash(TOKEN)), "<source of tokens>"):
        named = _run(provider, _OTHER, account=name)
        assert not _is_one_account(_run(provider), named)
        assert not _is_one_account(_run(provider, _fetch), named)


@both
def test_tasks_of_one_account_differ_by_their_ids(provider: str) -> None:
    """Other ids are another task of the same budget."""
    client, _ = scripted(provider)
    run, other = client.workflow_run("7350", "7431"), client.workflow_run("7350", "7432")
    assert other.key != run.key
    assert other.budget == run.budget


def test_groups_of_endpoints_have_budgets_of_their_own() -> None:
    """Runs, chats and copies of one account are counted apart, as Coze limits them."""
    coze = Coze(ScriptedTransport(), token=TOKEN)
    handles = (coze.workflow_run("1", "2"), coze.chat("1", "2"), coze.copy_task("1"))
    assert [handle.budget[0::2] for handle in handles] == [
        ("coze", "workflow"),
        ("coze", "chat"),
        ("coze", "copy"),
    ]
    assert len({handle.budget[:2] for handle in handles}) == 1


@both
def test_a_function_that_is_gone_lends_its_account_to_no_other(provider: str) -> None:
    """A function's address is given to a later one only when no key has the first any more."""

    def source() -> Callable[[], Awaitable[str]]:
        async def fetch() -> str:
            return TOKEN

        return fetch

    assert len({_run(provider, source()).key for _ in range(200)}) == 200


_KEY = "-----BEGIN PRIVATE KEY-----"


@pytest.mark.parametrize(
    "other",
    [
        CozeJWT("1118", "key-1", _KEY),
        CozeJWT("1117", "key-2", _KEY),
        CozeJWT("1117", "key-1", "-----BEGIN ANOTHER KEY-----"),
        CozeJWT("1117", "key-1", _KEY, account_id="9"),
        CozeJWT("1117", "key-1", _KEY, scope={"a": 1}),
    ],
    ids=["app", "key id", "key", "account", "scope"],
)
def test_a_service_app_is_one_account(other: CozeJWT) -> None:
    """Equal credentials are one; what gets other tokens is another, but for one name."""
    one, same = (_run("coze", CozeJWT("1117", "key-1", _KEY)) for _ in range(2))
    assert _is_one_account(one, same)
    assert one.budget == same.budget != _run("coze", _fetch).budget
    for another in (_run("coze", other), _run("coze", CozeJWT("1117", "key-1", _KEY), at=Coze.CN)):
        assert not _is_one_account(one, another)
        assert one.budget != another.budget
    named = _run("coze", other, account="a")
    assert _is_one_account(named, _run("coze", account="a"))
    assert named.budget == _run("coze", account="a").budget


# --- references ---------------------------------------------------------------------------------


@both
def test_a_reference_names_its_account_and_leads_back_to_it(provider: str) -> None:
    """Written as text and read again it has the name; a credential makes none."""
    run = _run(provider, account="acme, 北京")
    again = decode_ref(encode_ref(run.ref))
    assert again.account == "acme, 北京"
    client = client_of(provider, ScriptedTransport(), token=_OTHER, account="acme, 北京")
    assert _is_one_account(client.task(again), run)
    assert _run(provider).ref == _run(provider, _OTHER).ref == _run(provider, _fetch).ref
    assert _run(provider).ref.account is None


async def test_what_was_started_names_its_account() -> None:
    """The reference of a start has the name, and that of each kind of task has."""
    chat = reply({"data": {"id": "7382", "conversation_id": "7381"}})
    script = [STARTED, reply({"data": {"task_id": "1"}}), chat]
    coze = Coze(ScriptedTransport(script), token=TOKEN, account="a")
    started: list[Handle[Any]] = [
        await coze.start_workflow("7350"),
        await coze.start_copy("7530", entity_type="bot"),
        await coze.start_chat("7379", user_id="ann"),
        await client_of("copyai", ScriptedTransport([STARTED]), account="a").start_workflow("W"),
    ]
    assert [handle.ref.account for handle in started] == ["a"] * 4


@pytest.mark.parametrize("name", [None, "acme"], ids=["unnamed", "named"])
@both
def test_nothing_of_a_token_is_in_what_is_shown_or_written(provider: str, name: str | None) -> None:
    """Neither the token nor a hash of it is in a reference, its text, or a handle's repr.

    A key may be printed too: it has a hash, which holds for one process, and never the token.
    """
    run = _run(provider, account=name)
    (_, _, who), *_ = cast("tuple[tuple[str, str, Hashable], ...]", run.key)
    secrets = {TOKEN, TOKEN.removeprefix("pat_"), str(hash(TOKEN)), str(hash(who))}
    secrets |= {str(who)} - {name}
    secrets |= {
        hashlib.new(kind, TOKEN.encode(), usedforsecurity=False).hexdigest()[:16]
        for kind in ("md5", "sha1", "sha256")
    }
    for text in (str(run.ref), repr(run.ref), repr(run), str(run), encode_ref(run.ref)):
        assert [secret for secret in secrets if secret in text] == []
    source = _run(provider, _fetch, account=name)
    for handle in (run, source):
        assert TOKEN not in f"{handle.key!r} {handle.budget!r}"
        assert "_fetch" not in f"{handle.key!r} {handle.budget!r}"


# --- names that cannot be -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        ("", ValueError, "account is empty: pass the name"),
        ("a" * 101, ValueError, "account has 101 bytes as JSON, and a name has at most 100"),
        ("编" * 34, ValueError, "account has 102 bytes as JSON, and a name has at most 100"),
        ('"' * 51, ValueError, "account has 102 bytes as JSON, and a name has at most 100"),
        (7, TypeError, "account must be a text, not int"),
    ],
    ids=["empty", "too long", "too many bytes", "too many quotes", "number"],
)
@both
def test_a_name_that_cannot_be_is_refused(
    provider: str, bad: object, kind: type[Exception], words: str
) -> None:
    """A name is a line of at most a hundred bytes."""
    with pytest.raises(kind, match=f"^{words}"):
        _run(provider, account=cast("str", bad))
    assert _run(provider, account="a" * 100).ref.account == "a" * 100
