"""What crosses the wire: messages, how answers are read, and the one place that opens sockets."""

from __future__ import annotations

from asyncclient._http.answers import (
    read_accepted as read_accepted,
    read_json as read_json,
    read_with_headers as read_with_headers,
)
from asyncclient._http.call import Account as Account
from asyncclient._http.credential import (
    HeaderSource as HeaderSource,
    TokenSource as TokenSource,
    bearer as bearer,
    credential_of as credential_of,
)
from asyncclient._http.cutting import Cutting as Cutting
from asyncclient._http.decoding import (
    MOST_DECODED as MOST_DECODED,
    decode as decode,
    decoded_size as decoded_size,
)
from asyncclient._http.failure import (
    is_rate_limited as is_rate_limited,
    is_transient as is_transient,
    retry_after_of as retry_after_of,
    status_of as status_of,
)
from asyncclient._http.handle import (
    Handle as Handle,
    RemoteTask as RemoteTask,
    look_endpoint as look_endpoint,
)
from asyncclient._http.hiding import (
    WithoutFrames as WithoutFrames,
    forget_frames as forget_frames,
)
from asyncclient._http.hint import (
    hint_of as hint_of,
    seconds_asked as seconds_asked,
    unix_time_of as unix_time_of,
)
from asyncclient._http.lenient import STRICT as STRICT, StatusWord as StatusWord
from asyncclient._http.message import (
    GOOD as GOOD,
    JSON as JSON,
    Address as Address,
    Answer as Answer,
    Endpoint as Endpoint,
    Request as Request,
    Response as Response,
    Secret as Secret,
    Transport as Transport,
    concealed as concealed,
)
from asyncclient._http.places import Places as Places, named_hosts as named_hosts
from asyncclient._http.pool import SessionPool as SessionPool
from asyncclient._http.quoting import (
    base_of as base_of,
    encode_argument as encode_argument,
    header_value as header_value,
    is_loopback as is_loopback,
    kept as kept,
    parts_of as parts_of,
    path_segment as path_segment,
    query_of as query_of,
)
from asyncclient._http.refusal import (
    error_type as error_type,
    refusal_error as refusal_error,
)
from asyncclient._http.repeat import LONGEST_HINT as LONGEST_HINT, delay_after as delay_after
