"""Ways to break what SECURITY.md promises: the credential, the bill, the process."""

from __future__ import annotations

from tests.broken.trial import Break

_ARGUMENTS = "asyncclient/_arguments.py"
_BUDGET = "asyncclient/_budget.py"
_CALL = "asyncclient/_call.py"
_DECIDE = "asyncclient/_decide.py"
_DRIVER = "asyncclient/_driver.py"
_POOL = "asyncclient/_pool.py"
_TASK = "asyncclient/_task.py"
_WIRE = "asyncclient/_wire.py"
_SPANS = "asyncclient/integrations/opentelemetry.py"
_COPYAI = "asyncclient/providers/copyai.py"
_COZE = "asyncclient/providers/coze/_client.py"
_COZE_ANSWERS = "asyncclient/providers/coze/_answers.py"
_COZE_AUTH = "asyncclient/providers/coze/_auth.py"
_COZE_ENDPOINTS = "asyncclient/providers/coze/_endpoints.py"
_COZE_TASKS = "asyncclient/providers/coze/_tasks.py"

_TEST_ARGUMENTS = "tests/test_arguments.py"
_TEST_BUDGET = "tests/test_budget.py"
_TEST_CALL = "tests/sockets/test_call.py"
_TEST_CONFORMANCE = "tests/providers/test_conformance.py"
_TEST_COPYAI = "tests/providers/test_copyai.py"
_TEST_COZE_ARGUMENTS = "tests/providers/test_coze_arguments.py"
_TEST_COZE_RETRIES = "tests/providers/test_coze_retries.py"
_TEST_COZE_WORKFLOWS = "tests/providers/test_coze_workflows.py"
_TEST_DECIDE = "tests/test_decide.py"
_TEST_FAULTS = "tests/sockets/test_faults.py"
_TEST_JWT = "tests/providers/test_coze_jwt.py"
_TEST_LIFECYCLE = "tests/poller/test_lifecycle.py"
_TEST_MANY_PROMISES = "tests/poller/test_promises.py"
_TEST_NEVER_SENT = "tests/adversity/test_never_sent.py"
_TEST_POOL = "tests/sockets/test_pool.py"
_TEST_PROMISES = "tests/test_promises.py"
_TEST_PROVIDER_PROMISES = "tests/providers/test_promises.py"
_TEST_SECRETS = "tests/sockets/test_secrets.py"
_TEST_SOCKET_PROMISES = "tests/sockets/test_promises.py"
_TEST_SPANS = "tests/integrations/test_opentelemetry.py"
_TEST_STARTED_ONCE = "tests/adversity/test_started_once.py"
_TEST_TASK = "tests/test_task.py"
_TEST_UNKNOWN_STARTS = "tests/providers/test_unknown_starts.py"
_TEST_WAKE = "tests/poller/test_wake.py"
_TEST_WEBHOOKS = "tests/providers/test_copyai_webhooks.py"
_TEST_WIRE = "tests/test_wire.py"

_CREDENTIALS = (
    Break(
        "A credential that a refusal repeats is taken out of its error.",
        _CALL,
        "except AuthenticationFailed as error:\n                _hide(headers, error)\n",
        "except AuthenticationFailed as error:\n",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "A credential that any other answer repeats is taken out of its error.",
        _CALL,
        "DecodeError) as error:\n                _hide(headers, error)\n",
        "DecodeError) as error:\n",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "A client is not pickled with its credential.",
        _CALL,
        "    def __reduce__(self) -> NoReturn:\n",
        "    def not_reduced(self) -> NoReturn:\n",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "A CozeJWT is not pickled with its private key.",
        _COZE_AUTH,
        "    def __reduce__(self) -> NoReturn:\n",
        "    def not_reduced(self) -> NoReturn:\n",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "A private key that cannot be used is not shown by a frame's variables.",
        _COZE_AUTH,
        "self._private_key = Secret(private_key)",
        "self._private_key = private_key",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "A start that is answered with 303 may have happened.",
        _CALL,
        "_SEE_OTHER = 303",
        "_SEE_OTHER = 0",
        (_TEST_FAULTS,),
    ),
    Break(
        "A search for a lost start that left pages unread does not say none.",
        _COPYAI,
        "        if unread and not found:\n",
        "        if False:\n",
        (_TEST_UNKNOWN_STARTS,),
    ),
    Break(
        "A search for a lost start follows a list that grows while it is read.",
        _COPYAI,
        "            total = as_int(page.total)\n            if rises",
        "            if rises",
        (_TEST_UNKNOWN_STARTS,),
    ),
    Break(
        "The repr of an account shows no credential.",
        _CALL,
        '        """The base URL, without a final slash."""\n'
        "        return self._origin + self._prefix\n",
        '        """The base URL, without a final slash."""\n'
        "        return self._origin + self._prefix\n\n"
        "    def __repr__(self) -> str:\n"
        '        return f"<Account {[str(value) for value in self._fixed_headers.values()]}>"\n',
        (_TEST_SECRETS,),
    ),
    Break(
        "The repr of a client of Coze shows no credential.",
        _COZE,
        'return f"<Coze {self._account.base_url}>"',
        'return f"<Coze {[str(value) for value in self._account._fixed_headers.values()]}>"',
        (_TEST_SECRETS,),
    ),
    Break(
        "The repr of a client of Copy.ai shows no credential.",
        _COPYAI,
        'return f"<CopyAI {self._account.base_url}>"',
        'return f"<CopyAI {[str(value) for value in self._account._fixed_headers.values()]}>"',
        (_TEST_SECRETS,),
    ),
    Break(
        "The repr of a service app's credentials does not show its private key.",
        _COZE_AUTH,
        'return f"<CozeJWT app {self._app_id}, key {self._key_id}>"',
        'return f"<CozeJWT app {self._app_id}, key {self._private_key}>"',
        (_TEST_JWT,),
    ),
    Break(
        "The repr of a service app's source of tokens does not show the token in use.",
        _COZE_AUTH,
        'return "<token source of a CozeJWT>"',
        'return f"<token source of a CozeJWT: {self._grant.token}>"',
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "The repr of a fetched token does not show it.",
        _COZE_ANSWERS,
        'return "<Token>"',
        'return f"<Token {self.access_token}>"',
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "The repr of a request shows no header.",
        _WIRE,
        'return f"<Request {self.name}: {self.label}>"',
        'return f"<Request {self.name}: {[str(value) for value in self.headers.values()]}>"',
        (_TEST_WIRE,),
    ),
    Break(
        "What rich prints of a request shows no header.",
        _WIRE,
        '("label", self.label)]',
        '("label", self.label), ("headers", [str(value) for value in self.headers.values()])]',
        (_TEST_SECRETS,),
    ),
    Break(
        "What a request is called in messages leaves out its query.",
        _WIRE,
        "self.target.partition('?')[0]",
        "self.target",
        (_TEST_WIRE,),
    ),
    Break(
        "The repr of an answer shows neither headers nor body.",
        _WIRE,
        'return f"<Response {self.status}, {len(self.body)} bytes>"',
        'return f"<Response {self.status}, {dict(self.headers)}>"',
        (_TEST_WIRE,),
    ),
    Break(
        "What rich prints of an answer shows no header.",
        _WIRE,
        '("bytes", len(self.body))]',
        '("headers", dict(self.headers))]',
        (_TEST_SECRETS,),
    ),
    Break(
        "The repr of a secret text does not show it.",
        _WIRE,
        "return \"'***'\"",
        "return str.__repr__(self)",
        (_TEST_WIRE, _TEST_SECRETS),
    ),
    Break(
        "An accepted credential is a text that hides itself.",
        _WIRE,
        "    return Secret(value)\n",
        "    return value\n",
        (_TEST_WIRE, _TEST_SECRETS),
    ),
    Break(
        "Coze's header hides itself, in frames too.",
        _COZE_ENDPOINTS,
        'Secret(f"Bearer {token}")',
        'f"Bearer {token}"',
        (_TEST_SECRETS,),
    ),
    Break(
        "Copy.ai's header hides itself, in frames too.",
        _COPYAI,
        '"x-copy-ai-api-key": Secret(api_key)',
        '"x-copy-ai-api-key": str(api_key)',
        (_TEST_SECRETS,),
    ),
    Break(
        "No credential is logged, at DEBUG either.",
        _CALL,
        "            try:\n                return endpoint.read(",
        '            _log.debug("%s as %s", request, [str(value) for value in headers.values()])\n'
        "            try:\n                return endpoint.read(",
        (_TEST_SOCKET_PROMISES,),
    ),
    Break(
        "No error has aiohttp's own as its cause, since that holds the request's headers.",
        _POOL,
        "failure = _failure(error, request, sent=_is_sent(content), closed=self._closed)",
        "failure = _failure(error, request, sent=_is_sent(content), closed=self._closed)\n"
        "            failure.__cause__ = error",
        (_TEST_SOCKET_PROMISES,),
    ),
    Break(
        "No error has aiohttp's own as its context.",
        _POOL,
        "failure = _failure(error, request, sent=_is_sent(content), closed=self._closed)",
        "raise _failure(\n"
        "                error, request, sent=_is_sent(content), closed=self._closed\n"
        "            ) from None",
        (_TEST_SOCKET_PROMISES,),
    ),
    Break(
        "A message tells what aiohttp's error says, and not its repr, which has the headers.",
        _POOL,
        "{type(error).__name__}: {error}",
        "{type(error).__name__}: {[str(v) for v in request.headers.values()]}",
        (_TEST_SOCKET_PROMISES,),
    ),
    Break(
        "What is wrong with the answer that bears a token is told without the answer.",
        _COZE_ENDPOINTS,
        '        reason = error.path or "not JSON"\n',
        "        raise\n",
        (_TEST_JWT,),
    ),
    Break(
        "A private key that cannot be read is not shown.",
        _COZE_AUTH,
        "RSA private key ({failure})",
        "RSA private key ({private_key})",
        (_TEST_JWT,),
    ),
    Break(
        "What was passed in place of a private key is not shown.",
        _COZE_AUTH,
        'msg = "private_key must be the text of a PEM file',
        'msg = private_key + " must be the text of a PEM file',
        (_TEST_JWT,),
    ),
    Break(
        "What was passed in place of a text is not shown, since it may be a credential.",
        _ARGUMENTS,
        "must be a text, not {type(value).__name__}{decode}",
        "must be a text, not {value!r}",
        (_TEST_COZE_ARGUMENTS,),
    ),
    Break(
        "A credential that a header cannot bear is not shown.",
        _WIRE,
        '"strip what the file or the environment added"',
        'f"strip what the file or the environment added to {value!s}"',
        (_TEST_WIRE,),
    ),
    Break(
        "A credential with odd letters is not shown.",
        _WIRE,
        "copy it again from the provider",
        "copy {value!s} again from the provider",
        (_TEST_WIRE,),
    ),
    Break(
        "A password in a base URL is not shown.",
        _WIRE,
        'or password: pass the token as an argument"',
        'or password: pass the token as an argument " + url',
        (_TEST_WIRE,),
    ),
    Break(
        "The key of a task holds no credential.",
        _CALL,
        "self.key: Hashable = (provider, self._origin + self._prefix)",
        "self.key: Hashable = (provider, self._origin + self._prefix, str(token))",
        (_TEST_SECRETS, _TEST_COZE_ARGUMENTS),
    ),
    Break(
        "What a Poller counts polls against gives no credential away.",
        _CALL,
        'hash(("asyncclient", token))',
        "token",
        (_TEST_MANY_PROMISES,),
    ),
    Break(
        "A reference to a run of Coze holds no credential.",
        _COZE_TASKS,
        '{"workflow_id": workflow_id, "execute_id": execute_id},\n',
        '{"workflow_id": workflow_id, "execute_id": execute_id,'
        ' "as": str(account._fixed_headers.get("Authorization"))},\n',
        (_TEST_CONFORMANCE,),
    ),
    Break(
        "A reference to a run of Copy.ai holds no credential.",
        _COPYAI,
        '{"workflow_id": workflow_id, "run_id": run_id}, created\n',
        '{"workflow_id": workflow_id, "run_id": run_id,'
        ' "as": str(account._fixed_headers.get("x-copy-ai-api-key"))}, created\n',
        (_TEST_CONFORMANCE,),
    ),
    Break(
        "A span tells which kind of error there was, and not its words.",
        _SPANS,
        '{"exception.type": _full_type_of(error)}',
        '{"exception.type": _full_type_of(error), "exception.message": str(error)}',
        (_TEST_SPANS,),
    ),
    Break(
        "Where a redirect leads is told without a user name or a password.",
        _WIRE,
        "return f\"{scheme}{_host(host)}{f':{port}' if port else ''}\"",
        'return f"{scheme}{parts.netloc}"',
        (_TEST_WIRE,),
    ),
    Break(
        "Where a redirect leads is told without its query.",
        _WIRE,
        "repr(parts.path[:_EXCERPT])",
        'repr(response.headers["location"])',
        (_TEST_PROMISES,),
    ),
    Break(
        "No cookie that a provider sets is sent back.",
        _POOL,
        "cookie_jar=aiohttp.DummyCookieJar(),",
        "cookie_jar=aiohttp.CookieJar(unsafe=True),",
        (_TEST_POOL,),
    ),
    Break(
        "No proxy that the environment names gets a request, and no netrc file changes one.",
        _POOL,
        "cookie_jar=aiohttp.DummyCookieJar(),",
        "cookie_jar=aiohttp.DummyCookieJar(), trust_env=True,",
        (_TEST_FAULTS,),
    ),
)

_CALLERS_OBJECTS = (
    Break(
        "The headers that a request bears stay as they are.",
        _POOL,
        "headers=request.headers,",
        'headers=[request.headers.update({"x": "1"}), request.headers][1],',
        (_TEST_POOL,),
    ),
    Break(
        "The inputs of a run of Copy.ai stay as they are.",
        _COPYAI,
        '"startVariables": encode_argument("start_variables", start_variables),',
        '"startVariables": encode_argument("start_variables", start_variables),\n'
        "            **(start_variables.clear() or {}),",
        (_TEST_COPYAI,),
    ),
    Break(
        "The metadata of a run of Copy.ai stay as they are.",
        _COPYAI,
        '"metadata": encode_argument("metadata", metadata),',
        '"metadata": encode_argument("metadata", metadata), **(metadata.clear() or {}),',
        (_TEST_COPYAI,),
    ),
    Break(
        "The inputs of a run of Coze stay as they are.",
        _COZE,
        "    return _encoded(name, inputs)\n",
        "    encoded = _encoded(name, inputs)\n"
        "    _ = inputs is None or inputs.clear()\n"
        "    return encoded\n",
        (_TEST_COZE_WORKFLOWS,),
    ),
)

_CONNECTIONS = (
    Break(
        "No redirect is followed.",
        _POOL,
        "allow_redirects=False",
        "allow_redirects=True",
        (_TEST_FAULTS,),
    ),
    Break(
        "A redirect is an error, and never read as an answer.",
        _WIRE,
        "return 200 <= self.status < 300",
        "return 200 <= self.status < 400",
        (_TEST_WIRE,),
    ),
    Break(
        "Plain http goes to loopback alone.",
        _WIRE,
        'if parts.scheme == "http" and not allow_http and not is_loopback(host):',
        "if False:",
        (_TEST_WIRE,),
    ),
    Break(
        "A client does not let plain http out unless it is told to.",
        _CALL,
        "base_of(base_url, allow_http=allow_http)",
        "base_of(base_url, allow_http=True)",
        (_TEST_COZE_ARGUMENTS,),
    ),
    Break(
        "A client lets plain http out when it is told to.",
        _CALL,
        "base_of(base_url, allow_http=allow_http)",
        "base_of(base_url)",
        (_TEST_COZE_ARGUMENTS,),
    ),
    Break(
        "A name that only ends like loopback's is another machine.",
        _WIRE,
        'host.endswith(".localhost")',
        'host.endswith("localhost")',
        (_TEST_WIRE,),
    ),
    Break(
        "A private address is another machine.",
        _WIRE,
        "return ip_address(host).is_loopback",
        "return ip_address(host).is_private",
        (_TEST_WIRE,),
    ),
    Break(
        "Certificates are verified.",
        _POOL,
        "ssl=True if self._ssl_context is None else self._ssl_context,",
        "ssl=False if self._ssl_context is None else self._ssl_context,",
        (_TEST_FAULTS,),
    ),
    Break(
        "Certificates are verified against the caller's own authority where there is one.",
        _POOL,
        "ssl=True if self._ssl_context is None else self._ssl_context,",
        "ssl=True,",
        (_TEST_POOL,),
    ),
    Break(
        "There is no switch that turns verification off.",
        _POOL,
        "if value is None or isinstance(value, ssl.SSLContext):",
        "if value is None or value is False or isinstance(value, ssl.SSLContext):",
        (_TEST_POOL,),
    ),
    Break(
        "A server whose certificate does not verify is not asked again.",
        _POOL,
        "permanent=bad_certificate,",
        "permanent=False,",
        (_TEST_FAULTS,),
    ),
)

_IDS = (
    Break(
        "An id is quoted into one segment of the path.",
        _WIRE,
        'return quote(id_text(name, value), safe="")',
        "return id_text(name, value)",
        (_TEST_WIRE,),
    ),
    Break(
        "A slash in an id is quoted.",
        _WIRE,
        'return quote(id_text(name, value), safe="")',
        'return quote(id_text(name, value), safe="/")',
        (_TEST_WIRE,),
    ),
    Break(
        "A percent sign in an id is quoted.",
        _WIRE,
        'return quote(id_text(name, value), safe="")',
        'return quote(id_text(name, value), safe="%")',
        (_TEST_WIRE,),
    ),
    Break(
        "An id is looked at whole before it is taken as it is.",
        _WIRE,
        "_PLAIN_ID.fullmatch(value)",
        "_PLAIN_ID.match(value)",
        (_TEST_WIRE,),
    ),
    Break(
        "An id cannot be `.` or `..`.",
        _ARGUMENTS,
        'if identity in {".", ".."}:',
        "if False:",
        (_TEST_ARGUMENTS, _TEST_COZE_ARGUMENTS),
    ),
    Break(
        "An id has no line break and no control character.",
        _ARGUMENTS,
        "if _NO_LINE.search(line):",
        "if False:",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "An id has a bounded length.",
        _ARGUMENTS,
        "if len(line) > LONGEST_ID:",
        "if False:",
        (_TEST_ARGUMENTS,),
    ),
    Break(
        "Coze's path of a run quotes the workflow's id.",
        _COZE_TASKS,
        'workflow = path_segment("workflow_id", workflow_id)',
        'workflow = id_text("workflow_id", workflow_id)',
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "Coze's path of a run quotes the run's id.",
        _COZE_TASKS,
        "{path_segment('execute_id', execute_id)}",
        "{id_text('execute_id', execute_id)}",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "Coze's path of a node quotes its id.",
        _COZE,
        'node = path_segment("node_execute_uuid", node_execute_uuid)',
        'node = id_text("node_execute_uuid", node_execute_uuid)',
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "Coze's path of a copy quotes its id.",
        _COZE_TASKS,
        "{path_segment('task_id', task_id)}",
        "{id_text('task_id', task_id)}",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "Coze's path of a bot quotes its id.",
        _COZE,
        "{path_segment('bot_id', bot_id)}",
        "{id_text('bot_id', bot_id)}",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "Coze's path of an account's tokens quotes the account's id.",
        _COZE_AUTH,
        'path_segment("account_id", account_id)',
        'id_text("account_id", account_id)',
        (_TEST_JWT,),
    ),
    Break(
        "Copy.ai's path of a run quotes the workflow's id.",
        _COPYAI,
        "{path_segment('workflow_id', workflow_id)}",
        "{id_text('workflow_id', workflow_id)}",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "Copy.ai's path of a run quotes the run's id.",
        _COPYAI,
        "{path_segment('run_id', run_id)}",
        "{id_text('run_id', run_id)}",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "Copy.ai's path of a webhook quotes its id.",
        _COPYAI,
        "{path_segment('webhook_id', webhook_id)}",
        "{id_text('webhook_id', webhook_id)}",
        (_TEST_PROVIDER_PROMISES,),
    ),
    Break(
        "An id in a query stays one value of it.",
        _WIRE,
        'return f"?{urlencode(pairs)}" if pairs',
        "return '?' + '&'.join(f'{name}={value}' for name, value in pairs.items()) if pairs",
        (_TEST_COZE_ARGUMENTS,),
    ),
    Break(
        "A quoted path goes out as it is.",
        _POOL,
        "with_path(request.target, encoded=True)",
        "with_path(request.target)",
        (_TEST_POOL,),
    ),
    Break(
        "A handle refuses an id that no request could bear.",
        _COZE_TASKS,
        'self.execute_id = id_text("execute_id", execute_id)',
        "self.execute_id = execute_id",
        (_TEST_COZE_ARGUMENTS,),
    ),
    Break(
        "An id that a provider gives is looked at like one that a caller gives.",
        _CALL,
        'return id_text(field, str(value or ""))',
        'return str(value or "")',
        (_TEST_UNKNOWN_STARTS,),
    ),
    Break(
        "A base URL has nothing in its path that would have to be quoted.",
        _WIRE,
        "if not _URL_PATH.fullmatch(parts.path):",
        "if False:",
        (_TEST_PROMISES,),
    ),
    Break(
        "A reference of an unknown form is refused.",
        _TASK,
        "frozen=True, forbid_unknown_fields=True",
        "frozen=True",
        (_TEST_TASK,),
    ),
    Break(
        "A reference of another version is refused.",
        _TASK,
        "        if found == version:\n",
        "        if True:\n",
        (_TEST_TASK,),
    ),
    Break(
        "A reference nested too deeply is refused like other garbage.",
        _TASK,
        "except (msgspec.DecodeError, UnicodeError, RecursionError) as error:",
        "except (msgspec.DecodeError, UnicodeError) as error:",
        (_TEST_TASK,),
    ),
)

_TOKENS = (
    Break(
        "A line break in a token is refused.",
        _WIRE,
        "if _CONTROL.search(value) or value != value.strip():",
        "if value != value.strip():",
        (_TEST_WIRE,),
    ),
    Break(
        "Spaces and line breaks around a token are refused.",
        _WIRE,
        "if _CONTROL.search(value) or value != value.strip():",
        "if _CONTROL.search(value.strip()):",
        (_TEST_WIRE,),
    ),
    Break(
        "A token has no letters that a header cannot bear.",
        _WIRE,
        "if not value.isascii():",
        "if False:",
        (_TEST_WIRE, _TEST_SECRETS),
    ),
    Break(
        "A token that is given as a text is looked at when the client is made.",
        _CALL,
        "headers(header_value(argument, token))",
        "headers(token)",
        (_TEST_COZE_ARGUMENTS,),
    ),
    Break(
        "A token that a function gives is looked at like any other.",
        _CALL,
        "return header_value(self._argument, await token)",
        "return Secret(await token)",
        (_TEST_COZE_ARGUMENTS, _TEST_SECRETS),
    ),
)

_BOUNDS = (
    Break(
        "An answer longer than `max_body` is refused.",
        _POOL,
        "                if size > self._max_body:\n",
        "                if False:\n",
        (_TEST_FAULTS,),
    ),
    Break(
        "An answer is bounded as it streams, and not when it is whole.",
        _POOL,
        "async for chunk in response.content.iter_any():",
        "for chunk in [await response.read()]:",
        (_TEST_FAULTS,),
    ),
    Break(
        "What bounds an answer is its size after decompression.",
        _POOL,
        '            and "Content-Encoding" not in response.headers\n',
        "",
        (_TEST_FAULTS,),
    ),
    Break(
        "A promised length over `max_body` is refused before a byte is read.",
        _POOL,
        "if length is None or length <= self._max_body:",
        "if True:",
        (_TEST_FAULTS,),
    ),
    Break(
        "An answer that promises its length is bounded too.",
        _POOL,
        "            and int(length) <= self._max_body\n",
        "",
        (_TEST_FAULTS,),
    ),
    Break(
        "A header, and a status line, of an answer have a bounded size.",
        _POOL,
        "            trace_configs=self._trace_configs,\n        )\n",
        "            trace_configs=self._trace_configs,\n"
        "            max_line_size=2**40,\n"
        "            max_field_size=2**40,\n"
        "        )\n",
        (_TEST_FAULTS,),
    ),
    Break(
        "By default an answer has 32 MiB at most.",
        _POOL,
        "max_body: int = 32 * _MEBIBYTE,",
        "max_body: int = 32 * _MEBIBYTE**2,",
        (_TEST_SOCKET_PROMISES,),
    ),
    Break(
        "An answer that is nested too deeply is a DecodeError.",
        _WIRE,
        "except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:",
        "except (msgspec.DecodeError, UnicodeDecodeError) as error:",
        (_TEST_WIRE,),
    ),
    Break(
        "A refusal that is nested too deeply is a refusal.",
        _WIRE,
        "except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):",
        "except (msgspec.DecodeError, UnicodeDecodeError):",
        (_TEST_PROMISES,),
    ),
    Break(
        "JSON in text that is nested too deeply is left as it is.",
        _WIRE,
        "except (msgspec.DecodeError, UnicodeError, RecursionError):",
        "except (msgspec.DecodeError, UnicodeError):",
        (_TEST_WIRE,),
    ),
    Break(
        "An error shows the beginning of an answer, and not all of it.",
        _WIRE,
        "_EXCERPT = 200",
        "_EXCERPT = 2_000_000",
        (_TEST_WIRE,),
    ),
    Break(
        "A refusal's `Retry-After` is obeyed for an hour at most.",
        _DECIDE,
        'return Sleep(min(hint + min(delay, hint * 0.1), _LONGEST_HINT), "refused", hint=hint)',
        'return Sleep(hint + min(delay, hint * 0.1), "refused", hint=hint)',
        (_TEST_DECIDE,),
    ),
    Break(
        "Advice in a good answer is obeyed for an hour at most.",
        _DECIDE,
        "min(hint, _LONGEST_HINT)",
        "hint",
        (_TEST_DECIDE,),
    ),
    Break(
        "One answer holds up a whole account for a minute at most.",
        _BUDGET,
        "min(retry_after, _LONGEST_PAUSE)",
        "retry_after",
        (_TEST_BUDGET,),
    ),
    Break(
        "A hint that is no number of seconds is none.",
        _WIRE,
        "return value if math.isfinite(value) else None",
        "return None if math.isnan(value) else value",
        (_TEST_WIRE,),
    ),
    Break(
        "A negative hint is no time at all.",
        _WIRE,
        "return None if seconds is None else max(0.0, seconds)",
        "return seconds",
        (_TEST_WIRE,),
    ),
    Break(
        "However many signals come, a task is polled for them ten times a second at most.",
        _DRIVER,
        "return max(self.now(), record.sent + _LEAST_WAKE_GAP)",
        "return self.now()",
        (_TEST_MANY_PROMISES,),
    ),
    Break(
        "A signal makes a poll sooner, and never later.",
        _DRIVER,
        "min(record.due, self._soonest(record))",
        "self._soonest(record) + 1",
        (_TEST_WAKE,),
    ),
)

_BILL = (
    Break(
        "A start that may have happened is not sent again.",
        _DECIDE,
        "harmless = idempotent or (isinstance(error, ConnectFailed) and not error.sent)",
        "harmless = True",
        (_TEST_DECIDE,),
    ),
    Break(
        "A start whose connection was never made is sent again.",
        _DECIDE,
        "harmless = idempotent or (isinstance(error, ConnectFailed) and not error.sent)",
        "harmless = idempotent",
        (_TEST_DECIDE,),
    ),
    Break(
        "A start of a run of Coze is never repeated freely.",
        _COZE_ENDPOINTS,
        "functools.partial(_read_reply, name), idempotent=False)",
        "functools.partial(_read_reply, name), idempotent=True)",
        (_TEST_COZE_RETRIES,),
    ),
    Break(
        "A start of a chat with Coze is never repeated freely.",
        _COZE_ENDPOINTS,
        '"coze.start_chat", "POST", _chat_decoder, idempotent=False',
        '"coze.start_chat", "POST", _chat_decoder, idempotent=True',
        (_TEST_COZE_RETRIES,),
    ),
    Break(
        "A copy by Coze is never repeated freely.",
        _COZE_ENDPOINTS,
        "Envelope[CopyStarted], strict=False),\n    idempotent=False,",
        "Envelope[CopyStarted], strict=False),\n    idempotent=True,",
        (_TEST_COZE_RETRIES,),
    ),
    Break(
        "Tool outputs for Coze are never repeated freely.",
        _COZE_ENDPOINTS,
        '"coze.submit_tool_outputs", "POST", _chat_decoder, idempotent=False',
        '"coze.submit_tool_outputs", "POST", _chat_decoder, idempotent=True',
        (_TEST_COZE_RETRIES,),
    ),
    Break(
        "A start of a run of Copy.ai is never repeated freely.",
        _COPYAI,
        "_Envelope[_Started], strict=False),\n    idempotent=False,",
        "_Envelope[_Started], strict=False),\n    idempotent=True,",
        (_TEST_COPYAI,),
    ),
    Break(
        "A registration of a webhook is never repeated freely.",
        _COPYAI,
        '"copyai.register_webhook", "POST", _webhook_decoder, idempotent=False',
        '"copyai.register_webhook", "POST", _webhook_decoder, idempotent=True',
        (_TEST_WEBHOOKS,),
    ),
    Break(
        "The error of a start that may have happened says so.",
        _CALL,
        "                    error.may_have_started = True\n",
        "",
        (_TEST_CALL,),
    ),
    Break(
        "A good answer that does not say what was started may have started something.",
        _CALL,
        "    error.may_have_started = True\n    return error\n",
        "    return error\n",
        (_TEST_UNKNOWN_STARTS,),
    ),
    Break(
        "A start that the server failed at, or answered oddly, may have happened.",
        _CALL,
        "isinstance(error, ServerError | DecodeError)",
        "False",
        (_TEST_CALL,),
    ),
    Break(
        "A start that was sent and not answered may have happened.",
        _CALL,
        "        return error.sent\n",
        "        return False\n",
        (_TEST_CALL,),
    ),
    Break(
        "What was written to a connection counts as sent.",
        _POOL,
        "return content is None or content.is_sent",
        "return False",
        (_TEST_FAULTS,),
    ),
    Break(
        "A start may have happened when the connection broke before its answer was read.",
        _POOL,
        '{type(error).__name__}: {error}")',
        '{type(error).__name__}: {error}", sent=False)',
        (_TEST_STARTED_ONCE,),
    ),
    Break(
        "What never left this machine does not count as sent.",
        _POOL,
        "return content is None or content.is_sent",
        "return True",
        (_TEST_NEVER_SENT,),
    ),
    Break(
        "A body that was written in part counts as sent.",
        _POOL,
        "        self.is_sent = True\n        await super().write_with",
        "        await super().write_with_length(writer, content_length)\n"
        "        self.is_sent = True\n        return  # super().write_with",
        (_TEST_SOCKET_PROMISES,),
    ),
    Break(
        "A refused token is renewed once, and not for ever.",
        _CALL,
        "                fresh = True\n",
        "",
        (_TEST_JWT,),
    ),
    Break(
        "A start with bad inputs is refused before anything is sent.",
        _CALL,
        "    if not finite:\n",
        "    if False:\n",
        (_TEST_COZE_ARGUMENTS,),
    ),
)

_LIFE = (
    Break(
        "A pool that is used in another event loop says so.",
        _POOL,
        "elif self._loop is not loop:",
        "elif False:",
        (_TEST_POOL,),
    ),
    Break(
        "A Poller that is used in another event loop says so.",
        _DRIVER,
        "elif self._loop is not loop:",
        "elif False:",
        (_TEST_LIFECYCLE,),
    ),
    Break(
        "A closed pool says so.",
        _POOL,
        '        if self._closed:\n            msg = "this SessionPool is closed',
        '        if False:\n            msg = "this SessionPool is closed',
        (_TEST_POOL,),
    ),
    Break(
        "A closed Poller says so.",
        _DRIVER,
        '        if self.closed:\n            msg = "this Poller is closed',
        '        if False:\n            msg = "this Poller is closed',
        (_TEST_LIFECYCLE,),
    ),
    Break(
        "Closing a pool ends the requests under way.",
        _POOL,
        "            self._cut[task] = task.cancelling()\n            task.cancel()\n",
        "            self._cut[task] = task.cancelling()\n",
        (_TEST_POOL,),
    ),
    Break(
        "Closing a Poller ends its pending waits.",
        _DRIVER,
        "self._deliver(waiter, None, closed)",
        "pass",
        (_TEST_LIFECYCLE,),
    ),
    Break(
        "A forgotten pool warns.",
        _POOL,
        'if getattr(self, "_sessions", None):',
        "if False:",
        (_TEST_POOL,),
    ),
    Break(
        "Without an event loop of asyncio a pool says that one is needed.",
        _POOL,
        "        if task is None:\n            msg",
        "        if task is None:\n            return None\n            msg",
        (_TEST_POOL,),
    ),
)

SAFETY = (
    *_CREDENTIALS,
    *_CALLERS_OBJECTS,
    *_CONNECTIONS,
    *_IDS,
    *_TOKENS,
    *_BOUNDS,
    *_BILL,
    *_LIFE,
)
