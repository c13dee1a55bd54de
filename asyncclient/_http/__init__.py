"""What crosses the wire: messages, how answers are read, and the one place that opens sockets."""

from __future__ import annotations

from asyncclient._http.call import (
    Account as Account,
    TokenSource as TokenSource,
    answered_id as answered_id,
    explaining as explaining,
)
from asyncclient._http.decoding import (
    as_int as as_int,
    as_object as as_object,
    decode as decode,
    open_json as open_json,
    read_answer as read_answer,
    said_in as said_in,
)
from asyncclient._http.handle import Handle as Handle, looking as looking
from asyncclient._http.message import (
    JSON as JSON,
    Answer as Answer,
    Endpoint as Endpoint,
    Request as Request,
    Response as Response,
    Secret as Secret,
    Transport as Transport,
    enveloped as enveloped,
)
from asyncclient._http.pool import SessionPool as SessionPool
from asyncclient._http.quoting import (
    base_of as base_of,
    encode_argument as encode_argument,
    header_value as header_value,
    is_loopback as is_loopback,
    path_segment as path_segment,
    query_of as query_of,
)
from asyncclient._http.refusal import (
    error_type as error_type,
    refusal as refusal,
    seconds_asked as seconds_asked,
)
from asyncclient._http.repeat import (
    LONGEST_HINT as LONGEST_HINT,
    delay_after as delay_after,
    is_transient as is_transient,
)
