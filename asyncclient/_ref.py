"""A task's portable reference, and when two references mean the same task."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import TypeVar

import msgspec

from asyncclient._arguments import NO_LINE, text
from asyncclient._portable import Portable
from asyncclient._text import LONGEST_TEXT, shown, text_of, type_name

T = TypeVar("T")

# The id of a task that is found by its path or URL alone, of an API without a client of its own.
ADDRESS = "path"
# The ids of what is looked at together, at most 50, joined by commas.
MANY_IDS = "document_ids"
REF_VERSION = 2  # 1 had no account
_REF_VERSIONS = range(1, REF_VERSION + 1)


class TaskRef(Portable, msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to find a task again, in this process or another; there is no secret in it.

    The reference of a `TaskAPI`'s task has a URL that its provider may have signed; texts show it
    without its query.

    Attributes:
        provider: as `coze`.
        kind: as `workflow_run`.
        ids: the provider's ids by their names.
        created: Unix time in whole seconds at which it was started; None when not known.
        account: the name of the account that asks, where its client was given one.
        v: version of this form.
    """

    provider: str
    kind: str
    ids: dict[str, str]
    created: int | None = None
    account: str | None = None
    v: int = msgspec.field(default=REF_VERSION)

    def __post_init__(self) -> None:
        if self.v not in _REF_VERSIONS:
            msg = f"a task reference of version {self.v}, and this library knows {REF_VERSION}"
            raise ValueError(msg)
        # It takes the newest version, since equal references would differ otherwise.
        msgspec.structs.force_setattr(self, "v", REF_VERSION)

    def __hash__(self) -> int:
        return hash((self.provider, self.kind, frozenset(self.ids.items())))

    @property
    def shown_ids(self) -> dict[str, str]:
        """Its ids as texts show them: a path or URL without its query.

        The query may be a signature, and the other parts of such a request may be long.
        """
        path = self.ids.get(ADDRESS)
        return self.ids if path is None else {ADDRESS: path.partition("?")[0]}

    @property
    def shown_kind(self) -> str:
        """Its kind without the provider, as `job` of `acme.job`."""
        return self.kind.removeprefix(f"{self.provider}.")

    def __str__(self) -> str:
        ids = "/".join(text_of(each) for each in self.shown_ids.values())
        return f"{text_of(self.provider)} {text_of(self.shown_kind)} {ids}"

    def __repr__(self) -> str:
        fields = (f"{name}={shown(value, LONGEST_TEXT)}" for name, value in self.__rich_repr__())
        return f"TaskRef({', '.join(fields)})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [
            ("provider", self.provider),
            ("kind", self.kind),
            ("ids", self.shown_ids),
            ("created", self.created),
            ("account", self.account),
        ]


_ref_encoder = msgspec.json.Encoder()
_ref_decoder = msgspec.json.Decoder(TaskRef)
_version_decoder = msgspec.json.Decoder(dict[str, object])


def encode_ref(ref: object) -> str:
    """Write a reference as one line of JSON, for a queue, a database or a URL.

    It has some 125 bytes, the ids and the account's name: under 300 bytes with ids of Coze (20
    digits) or Copy.ai (41 characters) and a name of up to 90. For a provider's handle it has at
    most 2300 bytes, and 1,200 for 50 documents. The reference of a `TaskAPI`'s task holds its whole
    URL, which may be signed: keep it as you keep a key.

    Raises:
        TypeError: it is not a `TaskRef`.
    """
    if not isinstance(ref, TaskRef):
        msg = f"encode_ref takes a TaskRef (a handle's .ref), not {type_name(ref)}"
        raise TypeError(msg)
    return _ref_encoder.encode(ref).decode()


def decode_ref(text: object) -> TaskRef:
    """Read what `encode_ref` wrote.

    Raises:
        TypeError: it is neither text nor bytes.
        ValueError: it is not such a text, or has a version that this library does not know.
    """
    return read_versioned(
        text,
        _ref_decoder,
        _REF_VERSIONS,
        what="a task reference",
        reader="decode_ref",
        writer="encode_ref",
        advice="update it, or start the wait where the reference was made",
    )


def read_versioned(
    text: object,
    decoder: msgspec.json.Decoder[T],
    versions: range,
    *,
    what: str,
    reader: str,
    writer: str,
    advice: str,
) -> T:
    """Read JSON that another process wrote, and that holds its version."""
    if not isinstance(text, str | bytes):
        msg = f"{reader} takes the text that {writer} wrote, not {type_name(text)}"
        raise TypeError(msg)
    try:
        found = _version_decoder.decode(text).get("v")
        if isinstance(found, int) and found in versions:
            return decoder.decode(text)
        reason = ""
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        found, reason = None, text_of(error)
    if reason:
        msg = f"not {what}: {reason}; pass the whole text that {writer} wrote"
    else:
        msg = (
            f"{what} of version {shown(found)}: this library reads version {versions[-1]}; {advice}"
        )
    raise ValueError(msg)


def task_key(account: Hashable, ref: TaskRef) -> tuple[Hashable, ...]:
    """Return the identity of a task: its account, kind, and ids in any order."""
    return (account, ref.kind, *(ref.ids[name] for name in sorted(ref.ids)))


def is_same_task(one: TaskRef, other: TaskRef) -> bool:
    """Return whether two references mean the same task; an account that is not named fits any."""
    accounts = {one.account, other.account} - {None}
    ids = (one.provider, one.kind, one.ids) == (other.provider, other.kind, other.ids)
    return ids and len(accounts) < 2  # noqa: PLR2004  (they name one account, or none)


def unix_time() -> int:
    """Return the wall clock in whole seconds: a reference is read in other processes."""
    return int(time.time())  # noqa: TID251  (as above)


def age_of(ref: TaskRef | None) -> float:
    """Return the age of a task in seconds; 0 when it is not known."""
    if ref is None or ref.created is None:
        return 0.0
    return max(0.0, time.time() - ref.created - 1)  # noqa: TID251  (cut down to whole seconds)


def check_words(ref: TaskRef) -> None:
    """Refuse a reference from which no worker could make a task.

    Raises:
        TypeError: one of its words is not a text.
        ValueError: one has a line break, another control character or a lone surrogate.
    """
    named = [("provider", ref.provider), ("kind", ref.kind), ("account", ref.account or "")]
    for name, value in ref.ids.items():
        named += [("the name of an id", name), (f"ids[{shown(name)}]", value)]
    for name, value in named:
        if NO_LINE.search(text(name, value)):
            msg = (
                f"{name}={shown(value)} has a line break or a control character: no client takes "
                "such a reference; look at where it was made"
            )
            raise ValueError(msg)


def checked_ref(ref: object, taker: str = "task()") -> TaskRef:
    """Return a reference, or raise an error that says what to pass."""
    if not isinstance(ref, TaskRef):
        msg = f"{taker} takes a TaskRef, not {type_name(ref)}: read a text with decode_ref first"
        raise TypeError(msg)
    return ref
