"""Who asks: which clients are one account, whose looks are shared, and what a reference says of it.

Two tenants may have the same ids, and a look with the token of one must never answer the other. So
the account is a part of each task's key, and of what its looks are counted against.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, Protocol, cast

import msgspec
import pytest
from hypothesis import given, strategies as st

from asyncclient import Handle, TaskRef, decode_ref, encode_ref
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport, reply

_ONE = "pat_s3cret-token-7f3a9c"
_TWO = "pat_s3cret-token-5d6fe1"
_HERE = "https://proxy.example"
_ELSEWHERE = "https://proxy.example/a"

Source = Callable[[], Awaitable[str]]


class _Client(Protocol):
    def workflow_run(self, workflow_id: str, run_id: str, /) -> Handle[Any]: ...

    def task(self, ref: TaskRef) -> Handle[Any]: ...


def _client(
    of: str,
    credential: object,
    *,
    account: object = None,
    base_url: str = _HERE,
    transport: ScriptedTransport | None = None,
) -> _Client:
    """Make a provider's client, of any credential and name."""
    secret, name = cast("str", credential), cast("str | None", account)
    carrier = ScriptedTransport() if transport is None else transport
    if of == "coze":
        return Coze(carrier, token=secret, account=name, base_url=base_url)
    return CopyAI(carrier, api_key=secret, account=name, base_url=base_url)


def _run(
    of: str, credential: object, *, account: str | None = None, base_url: str = _HERE
) -> Handle[Any]:
    """Return a client's handle of one and the same run."""
    client = _client(of, credential, account=account, base_url=base_url)
    return client.workflow_run("7350", "7431")


_PROVIDERS = ("coze", "copyai")

every_provider = pytest.mark.parametrize("of", _PROVIDERS)


class _Vault:
    """Keeps a token, as a program of many tenants may; all of them are equal."""

    def __init__(self, token: str = _ONE) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    async def __call__(self) -> str:
        return self._token

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Vault)

    def __hash__(self) -> int:
        return 7


async def _fetch() -> str:
    return _ONE


async def _fetch_other() -> str:
    return _TWO


def _jwt() -> CozeJWT:
    return CozeJWT("1117", "key-1", "-----BEGIN PRIVATE KEY-----")


def _is_one_account(one: Handle[Any], other: Handle[Any]) -> bool:
    """Return whether two handles are of one account, which their keys and hashes agree on."""
    same = one.key == other.key
    assert len({one.key, other.key}) == (1 if same else 2)
    assert not same or hash(one.key) == hash(other.key)
    return same


# --- tokens and names ---------------------------------------------------------------------------


@every_provider
def test_one_token_is_one_account(of: str) -> None:
    """Two clients of one token ask as one: their tasks are the same, and count together."""
    one, two = _run(of, _ONE), _run(of, _ONE)
    assert _is_one_account(one, two)
    assert one.budget == two.budget


@every_provider
def test_two_tokens_are_two_accounts(of: str) -> None:
    """Two tenants never share a look at a task, though its ids are the same, nor a budget."""
    one, two = _run(of, _ONE), _run(of, _TWO)
    assert not _is_one_account(one, two)
    assert one.budget != two.budget
    assert one.ref == two.ref


@every_provider
def test_a_name_is_one_account_whatever_its_token(of: str) -> None:
    """A token may be renewed, and come as a text or from a function: the name stays the account."""
    runs = [_run(of, credential, account="a") for credential in (_ONE, _TWO, _fetch, _Vault())]
    for run in runs:
        assert _is_one_account(run, runs[0])
        assert run.budget == runs[0].budget


@every_provider
def test_two_names_are_two_accounts(of: str) -> None:
    """Names tell accounts apart that have one token, and a name is another than none."""
    runs = [_run(of, _ONE, account=name) for name in ("a", "b", None)]
    assert len({run.key for run in runs}) == 3
    assert len({run.budget for run in runs}) == 3


@every_provider
def test_a_token_in_the_place_of_a_name_is_another_account(of: str) -> None:
    """A name that reads as another account's token, or as its hash, is not that account."""
    token = _run(of, _ONE)
    for name in (_ONE, str(hash(_ONE)), "<source of tokens>"):
        assert not _is_one_account(token, _run(of, _TWO, account=name))
        assert not _is_one_account(_run(of, _fetch), _run(of, _TWO, account=name))


@every_provider
def test_tasks_of_one_account_differ_by_their_ids(of: str) -> None:
    """Other ids are another task of the same budget."""
    run = _run(of, _ONE)
    ids = {name: f"{value}0" for name, value in run.ref.ids.items()}
    other = _client(of, _ONE).task(msgspec.structs.replace(run.ref, ids=ids))
    assert other.key != run.key
    assert other.budget == run.budget


def test_one_token_at_two_providers_is_two_accounts() -> None:
    """The provider is a part of both, and the first one of a budget."""
    coze, copyai = _run("coze", _ONE, account="a"), _run("copyai", _ONE, account="a")
    assert not _is_one_account(coze, copyai)
    assert (coze.budget[0], copyai.budget[0]) == ("coze", "copyai")


def test_groups_of_endpoints_have_budgets_of_their_own() -> None:
    """Runs, chats and copies of one account are counted apart, as Coze limits them."""
    coze = Coze(ScriptedTransport(), token=_ONE)
    handles = (coze.workflow_run("1", "2"), coze.chat("1", "2"), coze.copy_task("1"))
    assert [handle.budget[2] for handle in handles] == ["workflow", "chat", "copy"]
    assert len({handle.budget[:2] for handle in handles}) == 1


# --- sources of tokens --------------------------------------------------------------------------


@every_provider
def test_a_client_with_a_function_is_one_account(of: str) -> None:
    """All handles of one client are of one account, also when each token is another."""
    client = _client(of, _fetch)
    one, two = client.workflow_run("7350", "7431"), client.workflow_run("7350", "7431")
    assert _is_one_account(one, two)
    assert _is_one_account(one, client.task(one.ref))
    assert one.budget == two.budget


@every_provider
def test_the_same_function_is_one_account(of: str) -> None:
    """A function, a partial or an object that two clients have makes them one account."""
    vault = _Vault()
    bound: Source = partial(_Vault.token, vault)
    for source in (_fetch, vault, bound):
        assert _is_one_account(_run(of, source), _run(of, source))


@every_provider
def test_the_same_bound_method_is_one_account(of: str) -> None:
    """Python makes a method again each time that it is named: object and function count."""
    vault, other = _Vault(), _Vault()
    assert vault.token is not vault.token
    assert _is_one_account(_run(of, vault.token), _run(of, vault.token))
    assert not _is_one_account(_run(of, vault.token), _run(of, other.token))
    assert not _is_one_account(_run(of, vault.token), _run(of, vault))


@every_provider
def test_two_functions_are_two_accounts(of: str) -> None:
    """Which tokens they give is not known, so that not even equal objects are taken for one."""
    sources: list[object] = [_fetch, _fetch_other, _Vault(), _Vault(), _ONE]
    assert len({_run(of, source).key for source in sources}) == len(sources)
    assert not _is_one_account(_run(of, _Vault()), _run(of, _Vault()))


@every_provider
def test_a_function_that_is_gone_lends_its_account_to_no_other(of: str) -> None:
    """A function's address is given to a later one only when no key has the first any more."""

    def source() -> Source:
        async def fetch() -> str:
            return _ONE

        return fetch

    assert len({_run(of, source()).key for _ in range(200)}) == 200


@every_provider
def test_unnamed_functions_of_one_place_share_one_budget(of: str) -> None:
    """A client may be made for each request: a budget for each would be no limit at all."""
    sources: list[Source] = [_fetch, _fetch_other, _Vault(), _Vault().token]
    budgets: set[Hashable] = {_run(of, source).budget for source in sources}
    assert len(budgets) == 1
    assert _run(of, _fetch, base_url=_ELSEWHERE).budget not in budgets
    assert _run(of, _ONE).budget not in budgets
    assert _run(of, _fetch, account="a").budget not in budgets


def test_one_service_app_is_one_account() -> None:
    """Clients of one app and key are one account with one budget, though each makes its own."""
    one, same = _run("coze", _jwt()), _run("coze", _jwt())
    assert _is_one_account(one, same)
    assert one.budget == same.budget != _run("coze", _fetch).budget
    elsewhere = _run("coze", _jwt(), base_url=_ELSEWHERE)
    assert not _is_one_account(one, elsewhere)
    assert one.budget != elsewhere.budget


@pytest.mark.parametrize(
    "other",
    [
        CozeJWT("1118", "key-1", "-----BEGIN PRIVATE KEY-----"),
        CozeJWT("1117", "key-2", "-----BEGIN PRIVATE KEY-----"),
        CozeJWT("1117", "key-1", "-----BEGIN ANOTHER KEY-----"),
        CozeJWT("1117", "key-1", "-----BEGIN PRIVATE KEY-----", account_id="9"),
        CozeJWT("1117", "key-1", "-----BEGIN PRIVATE KEY-----", scope={"a": 1}),
    ],
    ids=["app", "key id", "key", "account", "scope"],
)
def test_what_gets_other_tokens_is_another_account(other: CozeJWT) -> None:
    """Apps, keys, accounts and scopes tell service apps apart; a name makes them one account."""
    one = _run("coze", _jwt())
    assert not _is_one_account(one, _run("coze", other))
    assert one.budget != _run("coze", other).budget
    named = _run("coze", _jwt(), account="a")
    assert _is_one_account(named, _run("coze", other, account="a"))
    assert named.budget == _run("coze", _ONE, account="a").budget != one.budget


# --- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "a"], ids=["unnamed", "named"])
@pytest.mark.parametrize("credential", [_ONE, _fetch], ids=["token", "function"])
@every_provider
def test_base_urls_are_accounts_of_their_own(
    of: str, credential: str | Source, name: str | None
) -> None:
    """A token of one region is unknown in the other, and a name is of one place."""
    here = _run(of, credential, account=name)
    for elsewhere in (_ELSEWHERE, "https://proxy.example:8443", "http://127.0.0.1:8080"):
        there = _run(of, credential, account=name, base_url=elsewhere)
        assert not _is_one_account(here, there)
        assert here.budget != there.budget


@every_provider
def test_a_final_slash_is_no_other_place(of: str) -> None:
    """Both spellings of a base URL, and a host in capitals, are one account."""
    spellings = (_ELSEWHERE, f"{_ELSEWHERE}/", "https://PROXY.example/a")
    runs = [_run(of, _ONE, base_url=url) for url in spellings]
    assert len({run.key for run in runs}) == 1
    assert len({run.budget for run in runs}) == 1


# --- all of it at once --------------------------------------------------------------------------

_VAULT = _Vault()
_CREDENTIALS: dict[str, Callable[[], object]] = {
    "one": lambda: _ONE,
    "two": lambda: _TWO,
    "function": lambda: _fetch,
    "other function": lambda: _fetch_other,
    "method": lambda: _VAULT.token,
    "object": lambda: _VAULT,
}
_WHO = st.tuples(
    st.sampled_from(_PROVIDERS),
    st.sampled_from([_HERE, _ELSEWHERE]),
    st.sampled_from(sorted(_CREDENTIALS)),
    st.sampled_from([None, "a", "b"]),
)


@given(_WHO, _WHO)
def test_two_clients_are_one_account_exactly_where_they_ask_as_one(
    one: tuple[str, str, str, str | None], other: tuple[str, str, str, str | None]
) -> None:
    """Provider, place and name decide, and where there is no name the credential does."""
    runs: list[Handle[Any]] = []
    accounts: list[object] = []
    budgets: list[object] = []
    for provider, place, credential, name in (one, other):
        made = _CREDENTIALS[credential]()
        runs.append(_run(provider, made, base_url=place, account=name))
        accounts.append((provider, place, name, None if name else credential))
        counted = credential if isinstance(made, str) else "any source"
        budgets.append((provider, place, name, None if name else counted))
    assert _is_one_account(*runs) == (accounts[0] == accounts[1])
    assert (runs[0].budget == runs[1].budget) == (budgets[0] == budgets[1])


# --- references ---------------------------------------------------------------------------------


@every_provider
def test_the_name_is_in_the_reference_and_survives_the_way(of: str) -> None:
    """Written as text and read again, a reference names its account, and leads back to it."""
    run = _run(of, _ONE, account="acme, 北京")
    assert run.ref.account == "acme, 北京"
    again = decode_ref(encode_ref(run.ref))
    assert again == run.ref
    assert again.account == "acme, 北京"
    assert _is_one_account(_client(of, _TWO, account="acme, 北京").task(again), run)


@every_provider
def test_without_a_name_a_reference_has_none(of: str) -> None:
    """A credential makes no name: there is nothing of it that might be written down."""
    for credential in (_ONE, _fetch):
        assert _run(of, credential).ref.account is None


async def test_what_was_started_names_its_account() -> None:
    """The reference of a start has the name, and that of each kind of task has."""
    script = [reply({"execute_id": "7431"}), reply({"data": {"task_id": "1"}})]
    script.append(reply({"data": {"id": "7382", "conversation_id": "7381"}}))
    coze = Coze(ScriptedTransport(script), token=_ONE, account="a")
    copyai = CopyAI(ScriptedTransport([reply({"data": {"id": "R"}})]), api_key=_ONE, account="a")
    started: list[Handle[Any]] = [
        await coze.start_workflow("7350"),
        await coze.start_copy("7530", entity_type="bot"),
        await coze.start_chat("7379", user_id="ann"),
        await copyai.start_workflow("WCFG-1"),
    ]
    assert [handle.ref.account for handle in started] == ["a"] * 4


@pytest.mark.parametrize("name", [None, "acme"], ids=["unnamed", "named"])
@every_provider
def test_nothing_of_a_token_is_in_what_is_shown_or_written(of: str, name: str | None) -> None:
    """Neither the token nor a hash of it is in a reference, its text, or a handle's repr."""
    run = _run(of, _ONE, account=name)
    (_, _, who), *_ = cast("tuple[tuple[str, str, Hashable], ...]", run.key)
    secrets = {_ONE, _ONE.removeprefix("pat_"), str(hash(_ONE)), str(hash(who))}
    secrets |= {str(who)} - {name}
    secrets |= {
        hashlib.new(kind, _ONE.encode(), usedforsecurity=False).hexdigest()[:16]
        for kind in ("md5", "sha1", "sha256")
    }
    for text in (str(run.ref), repr(run.ref), repr(run), str(run), encode_ref(run.ref)):
        assert [secret for secret in secrets if secret in text] == []


@every_provider
def test_a_key_shows_no_token(of: str) -> None:
    """A key may be printed: it has a hash, which holds for one process, and never the token."""
    run = _run(of, _ONE)
    assert _ONE not in f"{run.key!r} {run.budget!r}"
    source = _run(of, _fetch)
    assert "_fetch" not in f"{source.key!r} {source.budget!r}"


@every_provider
def test_a_reference_of_the_first_version_is_todays(of: str) -> None:
    """A text that an older release wrote has no account, and equals what this one writes."""
    run = _run(of, _ONE)
    today = encode_ref(run.ref)
    old = today.replace('"account":null,"v":2', '"v":1')
    assert old != today
    assert decode_ref(old) == decode_ref(today) == run.ref
    assert hash(decode_ref(old)) == hash(run.ref)
    assert encode_ref(decode_ref(old)) == today
    assert _is_one_account(_client(of, _ONE).task(decode_ref(old)), run)


@every_provider
def test_a_reference_without_a_name_is_taken_by_any_account(of: str) -> None:
    """A named client takes what an older release or an unnamed client wrote, and names it."""
    ref = _run(of, _ONE).ref
    taken = _client(of, _ONE, account="acme").task(ref)
    assert taken.ref == msgspec.structs.replace(ref, account="acme")
    assert _is_one_account(taken, _run(of, _ONE, account="acme"))


@every_provider
def test_a_named_reference_is_taken_by_a_client_without_a_name(of: str) -> None:
    """A client that has one credential alone need not know what another program calls it."""
    ref = _run(of, _ONE, account="acme").ref
    assert _is_one_account(_client(of, _ONE).task(ref), _run(of, _ONE))


@every_provider
def test_a_reference_of_another_account_is_refused_by_both_names(of: str) -> None:
    """Asked for with the wrong credential, a task would be taken for one that is gone."""
    transport = ScriptedTransport()
    client = _client(of, _ONE, transport=transport, account="zenith")
    ref = _run(of, _ONE, account="acme").ref
    with pytest.raises(ValueError, match=r"'acme'.*'zenith'") as refused:
        client.task(ref)
    assert str(ref) in str(refused.value)
    assert _ONE not in str(refused.value)
    assert transport.requests == []


@pytest.mark.parametrize("kind", ["workflow_run", "copy_task", "chat"])
def test_every_kind_of_task_is_refused_to_another_account(kind: str) -> None:
    """Not only runs have an account."""
    coze = Coze(ScriptedTransport(), token=_ONE, account="zenith")
    names = ["workflow_id", "execute_id", "task_id", "conversation_id", "chat_id"]
    ids = dict.fromkeys(names, "7350")
    assert coze.task(TaskRef("coze", kind, ids, account="zenith")).ref.account == "zenith"
    with pytest.raises(ValueError, match=r"'acme'.*'zenith'"):
        coze.task(TaskRef("coze", kind, ids, account="acme"))


# --- names that cannot be -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        ("", ValueError, "account is empty: pass the name"),
        (" ", ValueError, "account is empty"),
        ("a\nb", ValueError, "account=.* line break"),
        ("a\r\n", ValueError, "account=.* line break"),
        ("a\x00", ValueError, "account=.* control character"),
        ("\ud800", ValueError, "account=.* control character"),
        (" a", ValueError, "account=' a' has spaces around it: pass 'a'"),
        ("a" * 101, ValueError, "account has 101 bytes as JSON, and a name has at most 100"),
        ("编" * 34, ValueError, "account has 102 bytes as JSON, and a name has at most 100"),
        ('"' * 51, ValueError, "account has 102 bytes as JSON, and a name has at most 100"),
        ("a" * 300, ValueError, "account has 300 characters"),
        (7, TypeError, "account must be a text, not int"),
        (True, TypeError, "account must be a text, not bool"),
        (b"acme", TypeError, "account must be a text, not bytes"),
        (["acme"], TypeError, "account must be a text, not list"),
    ],
    ids=[
        "empty",
        "blank",
        "two lines",
        "line break",
        "null",
        "half a letter",
        "spaces",
        "too long",
        "too many bytes",
        "too many quotes",
        "much too long",
        "number",
        "truth value",
        "bytes",
        "list",
    ],
)
@every_provider
def test_a_name_that_cannot_be_is_refused(
    of: str, bad: object, kind: type[Exception], words: str
) -> None:
    """What is no line of a hundred bytes is refused by its name, and nothing is sent."""
    transport = ScriptedTransport()
    with pytest.raises(kind, match=words) as refused:
        _client(of, _ONE, transport=transport, account=bad)
    assert _ONE not in str(refused.value)
    assert transport.requests == []


@every_provider
def test_the_longest_name_is_taken(of: str) -> None:
    """A hundred characters are a name."""
    assert _run(of, _ONE, account="a" * 100).ref.account == "a" * 100
