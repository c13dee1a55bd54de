"""Where a provider is, and what its client reads from environment variables."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from asyncclient._arguments import text
from asyncclient._http import Secret, base_of, header_value
from asyncclient._text import shown


class Variables(NamedTuple):
    """The environment variables of a provider.

    Attributes:
        credential: the one that holds the token or key.
        what: what that is.
        base: the one that holds the base URL.
        default: the base URL unless it is set.
        places: the possible base URLs, in words.
        no_api: what addresses of the provider look like that are not its API.
    """

    credential: str
    what: str
    base: str
    default: str
    places: str
    no_api: re.Pattern[str]

    def read_credential(self) -> Secret:
        """Return the token or key.

        Raises:
            ValueError: it is missing or not valid; the error does not show it.
        """
        return credential_in(self.credential, self.what)

    def read_base_url(self) -> str:
        """Return the base URL.

        Raises:
            ValueError: it cannot be, or would send the credential in the clear.
        """
        name = self.base
        value = Secret(os.environ.get(name) or self.default)
        # A URL with a password in it is not shown, nor a query, which may hold a key.
        seen = "what is in it" if "@" in value else repr(str(value.partition("?")[0]))
        if not _is_base(value, allow_http=True) or self.no_api.match(value):
            msg = f"{name}: {seen} is not the address of the API: use {self.places}"
            raise ValueError(msg)
        if not _is_base(value, allow_http=False):
            # Plain http to another machine is all that the first call allows and this one does not.
            msg = f"{name}: {seen} would send the credential in the clear: use https"
            raise ValueError(msg)
        return str(value)


def check_address(base_url: object, no_api: re.Pattern[str], of_api: str) -> None:
    """Refuse an address of the provider's own that is not that of its API.

    Args:
        base_url: what was given.
        no_api: what such an address looks like.
        of_api: whose API it should be of, and what to pass.
    """
    url = text("base_url", base_url)
    if "@" not in url and no_api.match(url):  # a password is not shown, nor a query with a key
        msg = f"base_url={shown(url.partition('?')[0])} is not the address of {of_api}"
        raise ValueError(msg)


def credential_in(name: str, what: str) -> Secret:
    """Return the token or key in an environment variable.

    Args:
        name: of the variable.
        what: what it should hold.

    Raises:
        ValueError: it is missing or not valid; the error does not show it.
    """
    value = Secret(os.environ.get(name, ""))
    if not value:
        msg = f"{name} is not set: put {what} into this environment variable"
        raise ValueError(msg)
    if value.lower().startswith("bearer "):
        msg = f"{name} begins with 'Bearer ': put {what} alone into it"
        raise ValueError(msg)
    return header_value(name, value)


def _is_base(url: str, *, allow_http: bool) -> bool:
    try:
        base_of(url, allow_http=allow_http)
    except ValueError:
        return False
    return True
