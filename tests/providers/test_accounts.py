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
from asyncclient.testing import ScriptedTransport
from tests.providers.scripted import PROVIDERS, TOKEN, both, client_of

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


_VAULT = _Vault()
_EQUAL_VAULT = _Vault()
_PARTIAL = partial(_Vault.token, _VAULT)
_KEY = "-----BEGIN PRIVATE KEY-----"
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
    "service app": lambda: CozeJWT("1117", "key-1", _KEY),
    "other app": lambda: CozeJWT("1118", "key-1", _KEY),
    "other key id": lambda: CozeJWT("1117", "key-2", _KEY),
    "other key": lambda: CozeJWT("1117", "key-1", "-----BEGIN ANOTHER KEY-----"),
    "other account": lambda: CozeJWT("1117", "key-1", _KEY, account_id="9"),
    "other scope": lambda: CozeJWT("1117", "key-1", _KEY, scope={"a": 1}),
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
# Some read as the token of another account, or as its hash.
_NAMES = (None, "a", "b", TOKEN, str(hash(TOKEN)), "<source of tokens>")


def test_two_clients_are_one_account_exactly_where_they_ask_as_one() -> None:
    """Provider, place and name decide, and where there is no name the credential does.

    A client may be made for each request, so that all unnamed sources of tokens at one origin share
    one budget.
    """
    accounts: set[tuple[Hashable, object]] = set()
    budgets: set[tuple[Hashable, object]] = set()
    for provider, url, credential, name in itertools.product(
        PROVIDERS, _PLACES, _CREDENTIALS, _NAMES
    ):
        made = _CREDENTIALS[credential]()
        if isinstance(made, CozeJWT) and provider != "coze":
            continue
        run = _run(provider, made, at=url, account=name)
        where = (provider, _PLACES[url], name)
        accounts.add((run.key, (*where, None if name else credential)))
        if callable(made) and not name:
            origin = _PLACES[url].replace("below", "here")
            budgets.add((run.budget, (provider, origin, None, "any source")))
        else:
            budgets.add((run.budget, (*where, None if name else credential)))
    for pairs in (accounts, budgets):
        made_of = {ours for ours, _ in pairs}
        assert len(made_of) == len({wanted for _, wanted in pairs}) == len(pairs)


def test_groups_of_endpoints_have_budgets_of_their_own() -> None:
    """Runs, chats and copies of one account are counted apart, as Coze limits them."""
    coze = Coze(ScriptedTransport(), token=TOKEN)
    run = coze.workflow_run("1", "2")
    groups = [handle.budget[0::2] for handle in (run, coze.chat("1", "2"), coze.copy_task("1"))]
    assert groups == [("coze", "workflow"), ("coze", "chat"), ("coze", "copy")]
    assert run.budget[:2] == coze.chat("1", "2").budget[:2] == coze.copy_task("1").budget[:2]
    assert run.budget == coze.workflow_run("1", "3").budget


@both
def test_a_function_that_is_gone_lends_its_account_to_no_other(provider: str) -> None:
    """A function's address is given to a later one only when no key has the first any more."""

    def source() -> Callable[[], Awaitable[str]]:
        async def fetch() -> str:
            return TOKEN

        return fetch

    assert len({_run(provider, source()).key for _ in range(200)}) == 200


@both
def test_a_reference_names_its_account_and_leads_back_to_it(provider: str) -> None:
    """Written as text and read again it has the name; a credential makes none."""
    run = _run(provider, account="acme, 北京")
    again = decode_ref(encode_ref(run.ref))
    assert again.account == "acme, 北京"
    client = client_of(provider, ScriptedTransport(), token=_OTHER, account="acme, 北京")
    assert client.task(again).key == run.key
    assert hash(client.task(again).key) == hash(run.key)
    assert _run(provider).ref == _run(provider, _OTHER).ref == _run(provider, _fetch).ref
    assert _run(provider).ref.account is None


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
    for handle in (run, _run(provider, _fetch, account=name)):
        assert TOKEN not in f"{handle.key!r} {handle.budget!r}"
        assert "_fetch" not in f"{handle.key!r} {handle.budget!r}"


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        ("", ValueError, "account is empty: pass the name"),
        ("a" * 101, ValueError, "account has 101 bytes as JSON: at most 100 are allowed"),
        ("编" * 34, ValueError, "account has 102 bytes as JSON: at most 100 are allowed"),
        ('"' * 51, ValueError, "account has 102 bytes as JSON: at most 100 are allowed"),
        (7, TypeError, "account must be a text, not int"),
    ],
)
@both
def test_a_name_that_cannot_be_is_refused(
    provider: str, bad: object, kind: type[Exception], words: str
) -> None:
    """A name is a line of at most a hundred bytes."""
    with pytest.raises(kind, match=f"^{words}"):
        _run(provider, account=cast("str", bad))
    assert _run(provider, account="a" * 100).ref.account == "a" * 100
