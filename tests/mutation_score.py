"""Add up what the mutation tool found: `nox -s mutation` shows how many breaks the tests notice.

A mutant is the code with one small change (`<` for `<=`, a constant, an argument left out). The
tool has run the tests with each; this reads what it says of them, and fails where too few are
noticed, or where one survives that is not among those below.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

_LEAST_SHARE = 0.95
# Mutants that survive, by function: how many at most, and why no test notices them.
_SURVIVORS = {
    "_http.answers._refusal": (1, "the name is in a text that is not shown"),
    "_http.decoding.decode": (1, "a codec's name has no case"),
    "_http.decoding.decoded_size": (4, "one quote more, or a size of exactly the limit"),
    "_http.proxy._parts_of": (1, "an origin has a host"),
    "_http.proxy._goes_without": (1, "what has no / names no network"),
    "_http.proxy._is_within": (1, "None is false"),
    "_http.failure.retry_after_of": (1, "no headers are as good as none found"),
    "_http.hint._unix_time": (1, "what is no date is none, empty or not"),
    "_http.hint.seconds_asked_in": (1, "any time in 1970 is too long ago"),
    "_http.lenient._cut": (3, "X is no bracket; what is left of an open one is null"),
    "_http.lenient._read": (3, "None is false; mending a text that is whole changes nothing"),
    "_http.places.named_hosts": (4, "what is refused is not read; a star stays before its name"),
    "_http.quoting.ascii_host": (5, "the scheme is no part of it; an ASCII host stays as it is"),
    "_http.quoting.parts_of": (1, "a URL without a host is refused"),
    "_http.quoting._is_finite": (2, "None is false; only an error counts"),
    "_http.quoting.path_segment": (1, "an X is never quoted"),
    "_http.refusal.refusal_error": (2, "no advice is as good as an empty one"),
    "_http.refusal._place": (2, "no header is as good as an empty one"),
    "_learning.memory.Memory.add": (
        2,
        "where just as much counts as may, and where as little is left",
    ),
    "_learning.memory.edge_near": (1, "at the first age both ways lead to the first edge"),
    "_learning.curve.Curve.__init__": (3, "there are as many ages as shares"),
    "_learning.curve._expected": (2, "None is false"),
    "_learning.curve._smoothed": (11, "the reach grows as it must; parts of one end make no law"),
    "_learning.curve.fitted": (4, "nothing is left of a first guess"),
    "_learning.plan.Known.curve": (1, "a tenth is new to the last digit"),
    "_learning.learned._Kind.__init__": (1, "None is false"),
    "_learning.learned._Kind._begin": (2, "as many new ends soon take its place"),
    "_learning.learned._Kind.review": (11, "a change is noticed a few ends sooner or later"),
    "_learning.learned._Kind.saw": (1, "at exactly ten ends or eleven"),
    "_learning.learned.LearnedSchedule.observe": (
        1,
        "an end in the last bins of all, after ten days",
    ),
    "_learning.learned._Kind.take": (3, "what others say is bounded before; heavy tests hold it"),
    "_learning.learned.LearnedSchedule.efficiency": (1, "no silence is exactly a minute"),
    "_learning.learned.LearnedSchedule.gap": (1, "a first poll of exactly the age of the silence"),
    "_learning.plan.Known.plan": (3, "a plan that is made again is the same"),
    "_learning.plan.Plan.__init__": (
        10,
        "lists are longer than used; of equal places each is best",
    ),
    "_learning.plan.Plan.efficiency": (5, "none of the outermost intervals is the best"),
    "_learning.plan.Plan.gap": (2, "a draw or a gap of exactly the limit"),
    "_learning.saved._header": (1, "the order of bytes is the default"),
    "_learning.saved._saved": (1, "none ends between an edge and itself"),
    "_many.budget.Budget.__init__": (2, "the first request resets what is counted"),
    "_many.budget.Budget.spend": (2, "nothing changes at the ceiling, nor where no time has gone"),
    "_many.budget.Budget.leave": (1, "no request is late by exactly a standstill"),
    "_many.budget.Budget.take_share": (1, "nothing is left of a gap that ends now"),
    "_many.budget.Budget.refused": (1, "half is the least share with either guard"),
    "_many.price.Price.__init__": (2, "what was asked before the first look has faded"),
    "_reading.Reading._word": (1, "what is raised counts as what is not there"),
    "_reading._number": (1, "what is raised counts as what is not there"),
    "_schedule.Schedule.__post_init__": (1, "a gap is cut to the cap, or is as long"),
    "_schedule.Schedule.delay": (1, "what is drawn from nothing is nothing"),
    "_schedule._Growth.__init__": (1, "a gap that does not grow is kept once or often"),
    "_schedule._Growth.__getitem__": (2, "what is at the cap is kept once or often"),
    "_state.Vocabulary.state_of": (1, "the quick way and the other one give the same"),
    "_state.Vocabulary.__init__": (3, "there are as many states as arguments"),
    "_waiting.rules.fit": (1, "at the least gap, it is cut to the least gap"),
    "_waiting.rules.rare_after_answer": (2, "what is as it will be may be set again"),
    "_waiting.rules.TimeLimit.due_after": (2, "an answer that comes on the very deadline"),
    "_waiting.rules.TimeLimit.prolong": (1, "a standstill of exactly the least length"),
    "_waiting.rules.TimeLimit.end_of_look": (3, "the end is set, which alone is asked then"),
}
_RESULT = re.compile(r"^\s*asyncclient\.(\S+)__mutmut_\d+: (.+)$", re.MULTILINE)
# What the tool counts as noticed, beside a failed test: a loop that never ends, a crash.
_NOTICED = {"killed", "timeout", "segfault", "suspicious"}


def main() -> None:
    """Print a line for each module, and exit with 1 where something is not as it should be."""
    listed = subprocess.run(
        ["mutmut", "results", "--all", "true"],  # noqa: S607  (of the session's environment)
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    made: Counter[str] = Counter()
    noticed: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    for mangled, status in _RESULT.findall(listed):
        module, function = _names(mangled)
        made[module] += 1
        if status in _NOTICED:
            noticed[module] += 1
        else:
            survived[f"{module}.{function}"] += 1
    if not made:
        sys.exit("the tool has tried no mutant: run `nox -s mutation`")
    for module in sorted(made):
        _show(module, noticed[module], made[module])
    _show("all", noticed.total(), made.total())
    unnamed = [
        f"{function}: {number} survive, {_SURVIVORS.get(function, (0, ''))[0]} are named"
        for function, number in sorted(survived.items())
        if number > _SURVIVORS.get(function, (0, ""))[0]
    ]
    if noticed.total() < _LEAST_SHARE * made.total() or unnamed:
        sys.exit("\n".join(["too few mutants are noticed (`mutmut browse` shows them):", *unnamed]))


def _names(mangled: str) -> tuple[str, str]:
    """Return module and function of a mutant's name: `a.b.x_f`, or `a.b.xǁCǁf` for a method."""
    module, _, function = mangled.rpartition(".")
    return module, function.removeprefix("xǁ").replace("ǁ", ".").removeprefix("x_")


def _show(name: str, noticed: int, made: int) -> None:
    sys.stdout.write(f"{name:24}{noticed:6} of {made:5}{noticed / made:8.1%}\n")


if __name__ == "__main__":
    main()
