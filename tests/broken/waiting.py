"""Ways to break the rules of waiting, of one task and of many."""

from __future__ import annotations

from tests.broken.trial import Break

_BUDGET = "asyncclient/_budget.py"
_CALL = "asyncclient/_call.py"
_DECIDE = "asyncclient/_decide.py"
_DRIVER = "asyncclient/_driver.py"
_PENDING = "asyncclient/_pending.py"
_POLLER = "asyncclient/_poller.py"
_POOL = "asyncclient/_pool.py"
_SCHEDULE = "asyncclient/_schedule.py"
_STATE = "asyncclient/_state.py"
_WAIT = "asyncclient/_wait.py"
_WIRE = "asyncclient/_wire.py"
_COZE_TASKS = "asyncclient/providers/coze/_tasks.py"

_TEST_AS_DONE = "tests/poller/test_as_done.py"
_TEST_BUDGET = "tests/test_budget.py"
_TEST_BUDGETS = "tests/poller/test_budgets.py"
_TEST_CALL = "tests/sockets/test_call.py"
_TEST_CALLBACKS = "tests/waiting/test_callbacks.py"
_TEST_CANCELLATION = "tests/waiting/test_cancellation.py"
_TEST_CONFORMANCE = "tests/providers/test_conformance.py"
_TEST_DECIDE = "tests/test_decide.py"
_TEST_EVIDENCE = "tests/waiting/test_evidence.py"
_TEST_LEARNED = "tests/waiting/test_learned.py"
_TEST_LISTENER = "tests/waiting/test_listener.py"
_TEST_LOGGING = "tests/waiting/test_logging.py"
_TEST_POOL = "tests/sockets/test_pool.py"
_TEST_PROMISES = "tests/waiting/test_promises.py"
_TEST_PURE_PROMISES = "tests/test_promises.py"
_TEST_RULES = "tests/waiting/test_rules.py"
_TEST_SCHEDULE = "tests/test_schedule.py"
_TEST_SHARING = "tests/poller/test_sharing.py"
_TEST_STATE = "tests/test_state.py"
_TEST_SOCKET_PROMISES = "tests/sockets/test_promises.py"
_TEST_WAKE = "tests/poller/test_wake.py"
_TEST_WATCH = "tests/waiting/test_watch.py"
_TEST_WIRE = "tests/test_wire.py"
_TEST_MANY_PROMISES = "tests/poller/test_promises.py"

_TIMEOUT = (
    Break(
        "A wait ends after ten minutes by default.",
        _WAIT,
        "    timeout: float = 600.0,\n    schedule: Pacing | None = None,\n    on_change",
        "    timeout: float = 86_400.0,\n    schedule: Pacing | None = None,\n    on_change",
        (_TEST_RULES,),
    ),
    Break(
        "Following a task ends after ten minutes by default.",
        _WAIT,
        "    timeout: float = 600.0,\n    schedule: Pacing | None = None,\n    on_blocked",
        "    timeout: float = 86_400.0,\n    schedule: Pacing | None = None,\n    on_blocked",
        (_TEST_PROMISES,),
    ),
    Break(
        "A wait of a Poller ends after ten minutes by default.",
        _POLLER,
        "async def wait(self, task: Task[T], *, timeout: float = 600.0,",
        "async def wait(self, task: Task[T], *, timeout: float = 86_400.0,",
        (_TEST_MANY_PROMISES,),
    ),
    Break(
        "The waits of a loop over many end after ten minutes by default.",
        _POLLER,
        "        timeout: float = 600.0,\n    ) -> AsDone[T]:",
        "        timeout: float = 86_400.0,\n    ) -> AsDone[T]:",
        (_TEST_MANY_PROMISES,),
    ),
    Break(
        "A timeout is a number more than 0.",
        _WAIT,
        'unit="seconds", above=0, finite=False, advice=advice)',
        'unit="seconds", finite=False, advice=advice)',
        ("tests/waiting/test_bad_input.py",),
    ),
    Break(
        "A timeout bounds a request that hangs.",
        _WAIT,
        "        return latest + last_poll_grace(self._slowest)",
        "        return latest + 1000.0",
        (_TEST_RULES,),
    ),
    Break(
        "A timeout of a Poller's wait bounds a request that hangs.",
        _DRIVER,
        "            waiter.deadline, self.reach_deadline",
        "            waiter.deadline + 1000.0, self.reach_deadline",
        (_TEST_RULES,),
    ),
    Break(
        "A timeout in a loop over many bounds a request that hangs.",
        "asyncclient/_as_done.py",
        "if self._timer is None and waiter.deadline < math.inf:",
        "if False:",
        (_TEST_MANY_PROMISES,),
    ),
    Break(
        "A request that hangs from the first gets no grace.",
        _DECIDE,
        "    if slowest_answer is None:\n        return 0.0\n",
        "    if slowest_answer is None:\n        return _LEAST_GRACE\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "The grace for the last answer is bounded.",
        _DECIDE,
        "return min(_LONGEST_GRACE, max(_LEAST_GRACE, 2 * slowest_answer))",
        "return max(_LEAST_GRACE, 2 * slowest_answer)",
        (_TEST_DECIDE,),
    ),
    Break(
        "A request has a timeout of its own.",
        _POOL,
        "                timeout=timeout,\n            )\n",
        "                timeout=None,\n            )\n",
        (_TEST_POOL,),
    ),
    Break(
        "A request's own timeout goes before the pool's.",
        _POOL,
        "            timeout = self._timeout_of(_positive(",
        "            _ = self._timeout_of(_positive(",
        (_TEST_POOL,),
    ),
    Break(
        "Of a request's timeout and what remains of a wait, the lesser counts.",
        _WAIT,
        "            if scope.deadline != limit:\n                scope.deadline = limit\n",
        "            scope.deadline = limit + 1\n",
        (_TEST_RULES,),
    ),
)

_POLLS = (
    Break(
        "A wait polls first, then waits.",
        _WAIT,
        "            self._deadline = now + self._timeout\n",
        "            self._deadline = now + self._timeout\n"
        "            self._due = max(self._due, now + 0.5)\n",
        (_TEST_RULES,),
    ),
    Break(
        "A Poller polls a lone task first, then waits.",
        _DRIVER,
        "        phase = self._first_phase(now)\n",
        "        phase = self._first_phase(now) + 0.5\n",
        (_TEST_RULES,),
    ),
    Break(
        "A gap counts from poll to poll: what the request took comes off.",
        _DECIDE,
        "rest = max(delay - took, delay * _LEAST_REST)",
        "rest = delay",
        (_TEST_DECIDE,),
    ),
    Break(
        "However slow a service is, it gets a rest between two polls.",
        _DECIDE,
        "rest = max(delay - took, delay * _LEAST_REST)",
        "rest = max(delay - took, 0.0)",
        (_TEST_DECIDE,),
    ),
    Break(
        "A gap is never nothing, whatever a schedule says.",
        _DECIDE,
        "    delay = max(_LEAST_DELAY, delay)\n",
        "",
        (_TEST_PURE_PROMISES,),
    ),
    Break(
        "The longer of schedule and hint is the gap.",
        _DECIDE,
        "if hint is not None and rest < hint < math.inf:",
        "if hint is not None and hint < math.inf:",
        (_TEST_DECIDE,),
    ),
    Break(
        "No wait goes past the deadline.",
        _DECIDE,
        "    if sleep.seconds + min(slowest, _LONGEST_GRACE) < remaining:\n",
        "    if sleep.seconds < math.inf:\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "One last poll falls on the deadline.",
        _DECIDE,
        '    return Sleep(remaining, "deadline", last=True, hint=sleep.hint)\n',
        "    return None\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "A poll that would still be under way at the deadline is put off to it.",
        _DECIDE,
        "    if sleep.seconds + min(slowest, _LONGEST_GRACE) < remaining:\n",
        "    if sleep.seconds < remaining:\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "A poll that was under way at the deadline is followed by one more.",
        _DECIDE,
        "return late if asked < deadline else None",
        "return None",
        (_TEST_DECIDE,),
    ),
    Break(
        "The last poll is the last.",
        _DECIDE,
        "return late if asked < deadline else None",
        "return late",
        (_TEST_DECIDE,),
    ),
    Break(
        "The last poll on the deadline has time to be answered.",
        _DECIDE,
        "return min(_LONGEST_GRACE, max(_LEAST_GRACE, 2 * slowest_answer))",
        "return 0.0",
        (_TEST_RULES,),
    ),
    Break(
        "A callback does not make a timeout of what has ended in time.",
        _WAIT,
        "            if isinstance(step, Return | Raise):\n                return changed, step\n",
        "            if isinstance(step, Return | Raise):\n"
        "                await self._report(course, changed)\n"
        "                return changed, step\n",
        (_TEST_CALLBACKS,),
    ),
    Break(
        "A callback that hangs on the last change does not keep the result for ever.",
        _WAIT,
        "with anyio.move_on_after(left + _LAST_CALL):",
        "with anyio.move_on_after(1000.0):",
        (_TEST_CALLBACKS,),
    ),
    Break(
        "A task thought to take long is asked about before the timeout is over.",
        _WAIT,
        "min(silence, self._timeout * LATEST_FIRST_POLL)",
        "silence",
        (_TEST_LEARNED,),
    ),
)

_HINTS = (
    Break(
        "A hint is read from the headers of a good answer.",
        _WAIT,
        "                hint = seconds_asked(response)\n",
        "                pass\n",
        (_TEST_RULES,),
    ),
    Break(
        "A hint is read from the body of a good answer, where the task knows how.",
        _WAIT,
        'hint = _finite(self._trait("hint_of", result))',
        "hint = None",
        (_TEST_RULES,),
    ),
    Break(
        "A hint in milliseconds goes before one in seconds.",
        _WIRE,
        "    if milliseconds is not None:\n",
        "    if False:\n",
        (_TEST_WIRE,),
    ),
    Break(
        "A hint may be an HTTP date.",
        _WIRE,
        "        seconds = until - now if until and now else None\n",
        "        seconds = None\n",
        (_TEST_WIRE,),
    ),
    Break(
        "A date is measured against the answer's own.",
        _WIRE,
        'now = _unix_time(headers.get("date")) or response.received',
        "now = response.received",
        (_TEST_WIRE,),
    ),
    Break(
        "The hint of a refusal is obeyed.",
        _DECIDE,
        "    if hint is None or not delay <= hint < math.inf:\n",
        "    if True:\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "A hint of less than the backoff does not shorten it.",
        _DECIDE,
        "    if hint is None or not delay <= hint < math.inf:\n",
        "    if hint is None or not hint < math.inf:\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "A refusal for longer than remains ends the wait at once.",
        _DECIDE,
        'if sleep.why == "refused" and sleep.hint is not None and sleep.hint > remaining:',
        "if False:",
        (_TEST_DECIDE,),
    ),
    Break(
        "Advice in a good answer for longer than remains does not end the wait.",
        _DECIDE,
        'if sleep.why == "refused" and sleep.hint is not None and sleep.hint > remaining:',
        "if sleep.hint is not None and sleep.hint > remaining:",
        (_TEST_DECIDE,),
    ),
    Break(
        "The timeout bears the hint that exceeded what remained.",
        _WAIT,
        "retry_after=sleep.hint if unmet else None",
        "retry_after=None",
        (_TEST_RULES,),
    ),
    Break(
        "The timeout of a Poller's wait bears the hint that exceeded what remained.",
        _DRIVER,
        "hint = step.hint if step is not None else None",
        "hint = None",
        (_TEST_RULES,),
    ),
    Break(
        "A request of a caller is not repeated after a hint longer than the budget of time.",
        _DECIDE,
        "in_time = max(sleep.seconds, sleep.hint or 0.0) <= seconds_left",
        "in_time = True",
        (_TEST_DECIDE, _TEST_CALL),
    ),
)

_FAILED_POLLS = (
    Break(
        "A failed poll is no failure of the task.",
        _DECIDE,
        "if patient and (_is_transient(error) or isinstance(error, transient)):",
        "if False:",
        (_TEST_DECIDE,),
    ),
    Break(
        "Failed polls are not borne for ever.",
        _DECIDE,
        "if patient and (_is_transient(error) or isinstance(error, transient)):",
        "if _is_transient(error) or isinstance(error, transient):",
        (_TEST_DECIDE,),
    ),
    Break(
        "A burst of quick failures does not end a wait.",
        _DECIDE,
        "patient = self.failures <= self.rules.failed_polls or failing"
        " <= self.rules.failing_seconds",
        "patient = self.failures <= self.rules.failed_polls",
        (_TEST_DECIDE,),
    ),
    Break(
        "A few slow failures do not end a wait.",
        _DECIDE,
        "patient = self.failures <= self.rules.failed_polls or failing"
        " <= self.rules.failing_seconds",
        "patient = failing <= self.rules.failing_seconds",
        (_TEST_DECIDE,),
    ),
    Break(
        "A good answer resets the count of failed polls.",
        _DECIDE,
        "        self.failures = 0\n        before",
        "        before",
        (_TEST_DECIDE,),
    ),
    Break(
        "The seconds of a row of failed polls count from its first.",
        _DECIDE,
        "        if not self.failures:\n            self._own().failing_since = now\n",
        "        self._own().failing_since = now\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "A good answer resets the backoff.",
        _WAIT,
        "        self._error_delays = None\n        unknown_before",
        "        unknown_before",
        (_TEST_RULES,),
    ),
    Break(
        "A good answer resets the backoff of a Poller's wait.",
        _DRIVER,
        "        record.slowest = max(took, record.slowest or 0.0)\n"
        "        record.error_delays = None\n",
        "        record.slowest = max(took, record.slowest or 0.0)\n",
        (_TEST_RULES,),
    ),
    Break(
        "Only errors that may pass are borne.",
        _DECIDE,
        "error, RateLimited | ServerError | DecodeError | TimeoutError | ConnectionError\n",
        "error, Exception\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "A request that the server gave up on, or came too early for, may be repeated.",
        _WIRE,
        "    425: ServerError,\n",
        "",
        (_TEST_WIRE,),
    ),
    Break(
        "What asking again cannot mend, as a bad certificate, ends the wait at once.",
        _DECIDE,
        "        return not error.permanent\n",
        "        return True\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "A token that is refused in a wait is renewed.",
        _CALL,
        "        fresh = source is None\n",
        "        fresh = True\n",
        (_TEST_EVIDENCE,),
    ),
    Break(
        "A poll of a handle is one request, and not repeated underneath.",
        _COZE_TASKS,
        "        return await self._account.once(\n            GET_WORKFLOW_RUN,",
        "        return await self._account.call(\n            GET_WORKFLOW_RUN,",
        (_TEST_CONFORMANCE,),
    ),
    Break(
        "A read by a caller is repeated.",
        "asyncclient/providers/coze/_client.py",
        "return await self._account.call(GET_WORKFLOW_RUN,",
        "return await self._account.once(GET_WORKFLOW_RUN,",
        ("tests/providers/test_coze_retries.py",),
    ),
    Break(
        "A task that is not found is borne for a grace after it began.",
        _DECIDE,
        "age < self.rules.not_found_seconds",
        "False",
        (_TEST_DECIDE,),
    ),
    Break(
        "A task that is not found for longer than the grace has expired.",
        _DECIDE,
        "age < self.rules.not_found_seconds",
        "True",
        (_TEST_DECIDE,),
    ),
    Break(
        "The grace counts from when the task began, as far as is known.",
        _DECIDE,
        "age = self.age + now - self.began",
        "age = now - self.began",
        (_TEST_PROMISES,),
    ),
    Break(
        "A page that is not the provider's own is not borne for ever in a task's place.",
        _DECIDE,
        "borne = error.foreign and patient",
        "borne = error.foreign",
        (_TEST_DECIDE, _TEST_RULES),
    ),
    Break(
        "A task that was there and is not found any more has expired.",
        _DECIDE,
        "borne = error.foreign and patient",
        "borne = True",
        (_TEST_DECIDE,),
    ),
)

_WORDS = (
    Break(
        "A word in no vocabulary is not taken for an end.",
        _STATE,
        "return self._states.get(word) if",
        "return self._states.get(word, TaskState.SUCCEEDED) if",
        (_TEST_STATE, _TEST_RULES),
    ),
    Break(
        "Words are compared exactly.",
        _STATE,
        "return self._states.get(word) if",
        "return self._states.get(word, self._states.get(str(word).lower())) if",
        (_TEST_RULES,),
    ),
    Break(
        "A word in no vocabulary does not end a wait.",
        _DECIDE,
        '        if self.rules.unknown == "wait":\n            return sleep\n',
        "",
        (_TEST_DECIDE,),
    ),
    Break(
        "A word in no vocabulary is an error for the strict.",
        _DECIDE,
        '        if self.rules.unknown == "wait":\n            return sleep\n',
        "        return sleep\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "A word in no vocabulary is logged once.",
        _WAIT,
        "if len(course.unknown_words) > unknown_before:",
        "if facts.state is None:",
        (_TEST_LOGGING,),
    ),
    Break(
        "A word in no vocabulary is logged.",
        _WAIT,
        "if len(course.unknown_words) > unknown_before:",
        "if False:",
        (_TEST_LOGGING,),
    ),
    Break(
        "A word in no vocabulary is logged once by a Poller.",
        _DRIVER,
        "if len(course.unknown_words) > unknown_before:",
        "if facts.state is None:",
        (_TEST_MANY_PROMISES,),
    ),
    Break(
        "The timeout names the words in no vocabulary.",
        _DECIDE,
        "        if self.unknown_words:\n",
        "        if False:\n",
        (_TEST_DECIDE,),
    ),
    Break(
        "The words in no vocabulary that are kept are few.",
        _DECIDE,
        " and len(rare.unknown_words) < _UNKNOWN_WORDS:",
        ":",
        (_TEST_PURE_PROMISES,),
    ),
    Break(
        "A few answers without a word are borne.",
        _DECIDE,
        'if rare.wordless <= self.rules.wordless_polls and self.rules.unknown == "wait":',
        "if False:",
        (_TEST_DECIDE,),
    ),
    Break(
        "Answers without a word are not borne for ever.",
        _DECIDE,
        'if rare.wordless <= self.rules.wordless_polls and self.rules.unknown == "wait":',
        "if True:",
        (_TEST_DECIDE,),
    ),
    Break(
        "Only answers in a row without a word end a wait.",
        _DECIDE,
        "        if self._rare.wordless:\n            self._rare.wordless = 0\n",
        "",
        (_TEST_DECIDE,),
    ),
)

_DEMANDS = (
    Break(
        "A task that only its caller can move on ends the wait where there is no handler.",
        _WAIT,
        "if isinstance(step, Ask) and self._on_blocked is None:",
        "if False:",
        (_TEST_RULES,),
    ),
    Break(
        "The handler is called with what the task wants, and the wait goes on.",
        _WAIT,
        "if isinstance(step, Ask) and self._on_blocked is None:",
        "if isinstance(step, Ask):",
        (_TEST_CALLBACKS,),
    ),
    Break(
        "A demand that was met and still shows is not met again.",
        _DECIDE,
        "return sleep if stale else Ask(error, sleep, facts.block)",
        "return Ask(error, sleep, facts.block)",
        (_TEST_DECIDE,),
    ),
    Break(
        "A demand that stays after it was met is met again.",
        _DECIDE,
        "stale = same and now - self._rare.met_at <= self.rules.same_block_seconds",
        "stale = same",
        (_TEST_DECIDE,),
    ),
    Break(
        "A Poller ends the wait for a task that only its caller can move on.",
        _DRIVER,
        "        if isinstance(step, Raise | Ask):\n",
        "        step = step.then if isinstance(step, Ask) else step\n"
        "        if isinstance(step, Raise):\n",
        (_TEST_RULES,),
    ),
)

_CANCELLATION = (
    Break(
        "A cancelled wait ends at once.",
        _WAIT,
        "        await anyio.sleep(max(0.0, self._due - anyio.current_time()))\n",
        "        with anyio.CancelScope(shield=True):\n"
        "            await anyio.sleep(max(0.0, self._due - anyio.current_time()))\n",
        (_TEST_RULES,),
    ),
    Break(
        "A cancelled poll is no failed poll.",
        _WAIT,
        "        except Exception as error:  # noqa: BLE001  (which ones end",
        "        except BaseException as error:  # noqa: BLE001  (which ones end",
        (_TEST_RULES, _TEST_CANCELLATION),
    ),
    Break(
        "A cancelled wait cancels the remote job where that is asked for.",
        _WAIT,
        'if cancelled and self._on_cancel == "cancel":',
        "if False:",
        (_TEST_CANCELLATION,),
    ),
    Break(
        "A cancelled wait leaves the remote job alone by default.",
        _WAIT,
        'if cancelled and self._on_cancel == "cancel":',
        "if cancelled:",
        (_TEST_CANCELLATION,),
    ),
    Break(
        "Only a cancellation cancels the remote job.",
        _WAIT,
        'if cancelled and self._on_cancel == "cancel":',
        'if self._on_cancel == "cancel":',
        (_TEST_CANCELLATION,),
    ),
    Break(
        "Cancelling the remote job is shielded from the cancellation itself.",
        _WAIT,
        "with anyio.move_on_after(_CANCEL_SECONDS, shield=True):",
        "with anyio.move_on_after(_CANCEL_SECONDS):",
        (_TEST_CANCELLATION,),
    ),
    Break(
        "Cancelling the remote job is bounded.",
        _WAIT,
        "with anyio.move_on_after(_CANCEL_SECONDS, shield=True):",
        "with anyio.move_on_after(1000.0, shield=True):",
        (_TEST_CANCELLATION,),
    ),
    Break(
        "A remote job that cannot be cancelled does not hide the cancellation.",
        _WAIT,
        "                _report.not_cancelled(course, error)\n",
        "                raise\n",
        (_TEST_CANCELLATION,),
    ),
    Break(
        "A cancelled request gives its connection up.",
        _POOL,
        "            except BaseException:\n                response.close()\n",
        "            except Exception:\n                response.close()\n",
        (_TEST_SOCKET_PROMISES,),
    ),
    Break(
        "A request that its caller cancels ends as cancelled, though the pool is closed too.",
        _POOL,
        "if task not in self._cut or task.uncancel() > self._cut[task]:",
        "if task not in self._cut:",
        (_TEST_POOL,),
    ),
    Break(
        "A poll under way is cancelled when nobody waits for it any more.",
        _DRIVER,
        "                flight.cancel()\n                record.lane.in_flight -= 1\n",
        "                record.lane.in_flight -= 1\n",
        (_TEST_SHARING,),
    ),
)

_EVIDENCE = (
    *(
        Break(
            f"An error of a wait bears {what}.",
            _DECIDE,
            f"            error.{name} = {value}\n",
            "",
            (_TEST_EVIDENCE,),
        )
        for what, name, value in (
            ("the reference of its task", "ref", "self.ref"),
            ("the last answer", "snapshot", "self.snapshot"),
            ("how many polls were made", "polls", "self.polls"),
            ("how long it waited", "elapsed", "now - self.began"),
            ("the last failed poll", "last_error", "self.last_error"),
        )
    ),
    Break(
        "A poll that is unanswered at the deadline is counted and told.",
        _WAIT,
        '            course.last_error = RequestTimeout("a poll was still',
        '            _ = RequestTimeout("a poll was still',
        (_TEST_EVIDENCE,),
    ),
    Break(
        "A poll that is unanswered at the deadline is told by a Poller.",
        _DRIVER,
        '        course.last_error = RequestTimeout("a poll was still',
        '        _ = RequestTimeout("a poll was still',
        (_TEST_EVIDENCE,),
    ),
    Break(
        "Failed polls are counted.",
        _DECIDE,
        "        self.polls += 1\n        self.last_error = error\n",
        "        self.last_error = error\n",
        (_TEST_EVIDENCE,),
    ),
    Break(
        "A gateway's 404 after a good answer is borne.",
        _DECIDE,
        "                borne = error.foreign and patient\n",
        "                borne = False\n",
        (_TEST_RULES,),
    ),
    Break(
        "A gateway's 404 before any answer is borne once or twice.",
        _DECIDE,
        "stray = error.foreign and missed < self.rules.foreign_not_found",
        "stray = False",
        (_TEST_RULES,),
    ),
    Break(
        "A task that has expired by being forgotten has the refusal as its cause.",
        _DECIDE,
        "        expired.__cause__ = error\n",
        "",
        (_TEST_EVIDENCE,),
    ),
    Break(
        "A failure tells the provider's reason.",
        _DECIDE,
        'reason = f": {facts.reason}" if facts.reason else ""',
        'reason = ""',
        (_TEST_EVIDENCE,),
    ),
)

_JITTER = (
    Break(
        "Healthy gaps are spread by a tenth and no more.",
        _SCHEDULE,
        "    jitter: float = 0.1\n",
        "    jitter: float = 0.5\n",
        (_TEST_SCHEDULE, _TEST_RULES),
    ),
    Break(
        "Healthy gaps have no full jitter.",
        _SCHEDULE,
        "        return low + draw(high - low)\n",
        "        return 0.01 + draw(high - 0.01)\n",
        (_TEST_SCHEDULE,),
    ),
    Break(
        "Healthy gaps are spread at all.",
        _SCHEDULE,
        "        return low + draw(high - low)\n",
        "        return low\n",
        (_TEST_SCHEDULE,),
    ),
    Break(
        "No gap is over the cap.",
        _SCHEDULE,
        "high = min(gap * (1 + self.jitter), self.cap)",
        "high = gap * (1 + self.jitter)",
        (_TEST_SCHEDULE,),
    ),
    Break(
        "The first gap is a random phase.",
        _SCHEDULE,
        "            return low + draw(gap - low)\n",
        "            return gap\n",
        (_TEST_SCHEDULE,),
    ),
    Break(
        "The first gap is not nothing.",
        _SCHEDULE,
        "            low = gap * _PHASE_FLOOR\n",
        "            low = 0.0\n",
        (_TEST_SCHEDULE,),
    ),
    Break(
        "Gaps after failed polls have full jitter.",
        _SCHEDULE,
        "            yield max(draw(gaps[index]), floor)\n",
        "            yield gaps[index]\n",
        (_TEST_SCHEDULE,),
    ),
    Break(
        "Gaps after failed polls double.",
        _SCHEDULE,
        "gaps = _growth(self.first, 2.0, self.cap)",
        "gaps = _growth(self.first, 1.0, self.cap)",
        (_TEST_SCHEDULE,),
    ),
    Break(
        "The same seed gives the same gaps.",
        _SCHEDULE,
        "return backoff.full_jitter if rng is None else lambda width: rng.uniform(0.0, width)",
        "return backoff.full_jitter",
        (_TEST_SCHEDULE,),
    ),
)

_MANY = (
    Break(
        "However many wait for a task, it is polled once.",
        _DRIVER,
        "        record = self._records.get(key)\n        fresh = record is None\n",
        "        record = None\n        fresh = record is None\n",
        (_TEST_SHARING,),
    ),
    Break(
        "The last one out stops the polling.",
        _DRIVER,
        "        if not record.waiters:\n            if self._records",
        "        if False:\n            if self._records",
        (_TEST_SHARING,),
    ),
    Break(
        "One that leaves takes nobody along.",
        _DRIVER,
        "tuple(other for other in record.waiters if other is not waiter)",
        "()",
        (_TEST_SHARING,),
    ),
    Break(
        "A wait that is cancelled leaves.",
        _DRIVER,
        "        self._leave(waiter, asyncio.CancelledError())\n",
        "        pass\n",
        (_TEST_SHARING,),
    ),
    Break(
        "Each waiter has a deadline of its own.",
        _DRIVER,
        "            deadline=waiter.deadline,\n",
        "            deadline=record.waiters[0].deadline,\n",
        (_TEST_SHARING,),
    ),
    Break(
        "One who joins with a shorter timeout gets a poll before it is over.",
        _DRIVER,
        "and record.due > waiter.deadline:",
        "and False:",
        (_TEST_SHARING,),
    ),
    Break(
        "Each waiter gets an error of its own.",
        _DRIVER,
        "error = _twin(step.error) if number else step.error",
        "error = step.error",
        (_TEST_SHARING,),
    ),
    Break(
        "An error tells each waiter how long it waited itself.",
        _DRIVER,
        "            error.elapsed = elapsed\n",
        "            pass\n",
        (_TEST_SHARING,),
    ),
    Break(
        "A poll is made in the context of who waited first.",
        _DRIVER,
        "loop.create_task(self._poll(record), context=record.context.copy())",
        "loop.create_task(self._poll(record))",
        (_TEST_LISTENER,),
    ),
    Break(
        "A given rate is kept.",
        _BUDGET,
        "+ 1 / self.rate\n",
        "+ 0.5 / self.rate\n",
        (_TEST_BUDGETS,),
    ),
    Break(
        "A rate that is given goes before one that is documented.",
        _DRIVER,
        "            if rate is None:\n                good",
        "            if True:\n                good",
        (_TEST_BUDGETS,),
    ),
    Break(
        "A rate that the provider documents is kept.",
        _DRIVER,
        'rate = cast("float", documented) if good else math.inf',
        "rate = math.inf",
        (_TEST_BUDGETS,),
    ),
    Break(
        "A refusal for too many requests pauses the whole account.",
        _BUDGET,
        "            self._next_at = max(self._next_at, now + min(retry_after, _LONGEST_PAUSE))\n",
        "",
        (_TEST_BUDGETS,),
    ),
    Break(
        "A refusal for too many requests slows the account down.",
        _DRIVER,
        "record.lane.budget.refused(now, error.retry_after)",
        "pass",
        (_TEST_BUDGETS,),
    ),
    Break(
        "Other failures do not slow the account down.",
        _DRIVER,
        "            if isinstance(error, RateLimited):\n",
        "            if isinstance(error, AsyncClientError):\n"
        "                error.retry_after = None\n",
        (_TEST_BUDGETS,),
    ),
    Break(
        "A rate that fell creeps up again.",
        _BUDGET,
        "            self.rate = min(self.ceiling, risen)\n",
        "            pass\n",
        (_TEST_BUDGET,),
    ),
    Break(
        "Each account of a provider has a budget of its own.",
        _CALL,
        "return (*self._budget, group)",
        "return (self._budget[0], group)",
        (_TEST_MANY_PROMISES,),
    ),
    Break(
        "The polls of one account under way are bounded.",
        _DRIVER,
        "while lane.line and lane.in_flight < self._concurrency:",
        "while lane.line:",
        (_TEST_BUDGETS,),
    ),
    Break(
        "Weight buys polls where the budget is short.",
        _PENDING,
        "1 / math.sqrt(weight)",
        "1",
        (_TEST_BUDGETS,),
    ),
    Break(
        "No task starves where the budget is short, whatever the weights of others are.",
        _PENDING,
        "max(self.lane.served, self.turn) + 1 / math.sqrt(weight)",
        "-weight",
        (_TEST_BUDGETS,),
    ),
    Break(
        "Newcomers do not starve those who wait longer.",
        _PENDING,
        "max(self.lane.served, self.turn) + 1 / math.sqrt(weight)",
        "self.turn + 1 / math.sqrt(weight)",
        (_TEST_MANY_PROMISES,),
    ),
    Break(
        "A last poll goes before what is merely due.",
        _PENDING,
        "                return -math.inf\n",
        "                pass\n",
        (_TEST_MANY_PROMISES,),
    ),
    Break(
        "A signal makes the next poll immediate.",
        _DRIVER,
        "min(record.due, self._soonest(record))",
        "record.due",
        (_TEST_WAKE,),
    ),
    Break(
        "A signal during a poll makes one more.",
        _DRIVER,
        "min(due, self._soonest(record)) if record.woken else due",
        "due",
        (_TEST_WAKE,),
    ),
    Break(
        "A signal is spent once.",
        _PENDING,
        "        record.woken = False\n",
        "",
        (_TEST_WAKE,),
    ),
    Break(
        "A signal goes before what is merely due.",
        _PENDING,
        "        if self.woken:\n            return self.lane.served - 1",
        "        if False:\n            return self.lane.served - 1",
        (_TEST_WAKE,),
    ),
    Break(
        "A signal does not exceed the rate.",
        _PENDING,
        "        record.woken = False\n",
        "        if record.woken:\n            self.budget._next_at = -math.inf\n"
        "        record.woken = False\n",
        (_TEST_WAKE,),
    ),
    Break(
        "A signal by reference finds the task of each account.",
        _DRIVER,
        "        if isinstance(key, TaskRef):\n",
        "        if False:\n",
        (_TEST_WAKE,),
    ),
    Break(
        "A task that stands in line at its deadline gets its last poll.",
        _DRIVER,
        "        if record.ready and waiter.final is None:\n",
        "        if False:\n",
        ("tests/poller/test_promises.py",),
    ),
    Break(
        "The first answer after an outage brings its tasks back.",
        _PENDING,
        "_IN_A_ROW = 5",
        "_IN_A_ROW = 10**9",
        ("tests/poller/test_outage.py",),
    ),
    Break(
        "An outage that is over lets the doubling of gaps begin anew.",
        _PENDING,
        "                failing.error_delays = None\n",
        "                pass\n",
        ("tests/poller/test_outage.py",),
    ),
    Break(
        "A provider that is half down is not asked more often than a healthy one.",
        _DRIVER,
        "due = max(now + self._draw(gap), record.sent + gap)",
        "due = now + self._draw(gap)",
        ("tests/poller/test_outage.py",),
    ),
    Break(
        "What a provider has put off by a hint stays put off.",
        _DRIVER,
        'if isinstance(step, Sleep) and step.why == "error":',
        "if isinstance(step, Sleep):",
        ("tests/poller/test_outage.py",),
    ),
    Break(
        "A crowd that comes at once is spread.",
        _DRIVER,
        "return first * (self._crowd * _GOLDEN % 1.0)",
        "return 0.0",
        ("tests/poller/test_herd.py",),
    ),
)

WAITING = (
    *_TIMEOUT,
    *_POLLS,
    *_HINTS,
    *_FAILED_POLLS,
    *_WORDS,
    *_DEMANDS,
    *_CANCELLATION,
    *_EVIDENCE,
    *_JITTER,
    *_MANY,
)
