"""Bad use of the command: the line that names what is wrong and what to write."""

from __future__ import annotations

import shlex
import sys

import pytest

from asyncclient.cli import main
from tests.cli.shell import NOWHERE, SIGNED, Shell

pytestmark = pytest.mark.usefixtures("environment")

ANYWHERE = "https://api.acme.example/v1/jobs/7"
FLOW = "start coze-workflow"
API = "--api replicate.prediction"
WORDS = "--succeeded done --failed error,rejected"
OWN = f"--status data.state {WORDS}"

# Of each command line, what is said.
LINES = {
    "nothing": "No such command 'nothing'",
    "start": "Missing command",
    FLOW: "Missing argument 'WORKFLOW_ID'",
    f"{FLOW} ..": "workflow_id='..' is not an id",
    f"{FLOW} 1 --bot-id 2 --app-id 3": "exclude each other",
    f"{FLOW} 1 --param tea": "not of the form NAME=VALUE",
    f"{FLOW} 1 --param x=\udcff": "is not in this terminal's",
    f"{FLOW} 1 --token x": "No such option",
    f"{FLOW} 1 --params-json no.json": "'no.json': No such file",
    f"{FLOW} 1 --parameters @": 'give JSON, as \'{"topic": "tea"}\'',
    f"{FLOW} 1 --parameters /": "Is a directory",
    f"{FLOW} 1 --parameters [1]": "not a JSON object",
    f"{FLOW} 1 --parameters \"{{'a': 1}}\"": "not a JSON object",
    f"{FLOW} 1 --parameters '{{\"a\": \udcff}}'": "not a JSON object",
    f"{FLOW} 1 --json": "--json needs --wait",
    f"{FLOW} 1 --outputs": "--outputs needs --wait",
    "start copyai-workflow 1 --metadata =x": "not of the form NAME=VALUE",
    "demo --tasks 0": "is not in the range",
    "demo --tasks 1.5": "'1.5' is not a valid integer",
    "simulate --coze-port 80000": "is not in the range",
    "simulate --fault-share 2": "is not in the range",
    "simulate --fault-share nan": "nan is not a number",
    "wait tea": "not a task reference",
    f"wait '{NOWHERE}' --timeout 0": "is not in the range",
    f"watch '{NOWHERE}' --timeout nan": "'--timeout': nan is not a number",
    f"watch '{NOWHERE}' --timeout soon": "'soon' is not a valid number",
    f"wait '{NOWHERE[:40]}'": "give the whole line that 'start' wrote, in single quotes",
    f"wait '{NOWHERE.replace('coze', 'other')}'": "the providers coze and copyai",
    f"wait '{NOWHERE.replace('workflow_run', 'a')}'": "is not a reference of a coze task",
    f"wait '{NOWHERE.replace(':2', ':9')}'": "not a task reference that this command can",
    f"wait '{NOWHERE.replace('execute_id', 'id')}'": "give the whole line that 'start' wrote",
    "watch {provider:coze kind:x}": "put the reference in single quotes",
    "wait coze-workflow 1": "coze-workflow takes WORKFLOW_ID EXECUTE_ID, and got 1 id",
    "wait coze-copy 1 2": "coze-copy takes TASK_ID, and got 2 ids",
    "wait coze-documents 1": "takes DATASET_ID DOCUMENT_ID... (at most 50), and got 1 id",
    f"wait coze-documents {' 1' * 52}": "(at most 50), and got 52 ids",
    "wait coze-workflow 1 ..": "execute_id='..' is not an id",
    "wait coze-workflow 1 ''": "execute_id is empty",
    "wait coze-workfow 1 2": "did you mean coze-workflow?",
    "wait copyai-workflows": "did you mean copyai-workflow?",
    f"wait coze-copy 1 {API}": "go with a URL: 'coze-copy' is none",
    "wait - --header 'accept: text/plain'": "standard input is empty",
    f"wait {ANYWHERE} {API} --outputs": "--outputs is for tasks of Coze and Copy.ai",
}
# The same of a URL, whether it is waited for or watched.
URLS = {
    f"{ANYWHERE} --api replicate.predicton": "did you mean replicate.prediction?",
    f"{ANYWHERE} --api openai": "openai.batch or openai.fine_tuning_job or openai.resp",
    f"{ANYWHERE} --api zzzz": "the API 'zzzz' is unknown: 'asyncclient apis' lists all 33",
    f"{ANYWHERE}?{SIGNED}": "of 'https://api.acme.example/v1/jobs/7' are unknown: give --api",
    "https://api.replicate.com/v1/predictions/7": "give --api replicate.prediction;",
    f"{ANYWHERE} {API} --failed x": "--api replicate.prediction has its own words",
    f"{ANYWHERE} {WORDS}": "--status is missing",
    f"{ANYWHERE} --status a --succeeded x": "--failed is missing",
    f"{ANYWHERE} --status a --failed x": "--succeeded is missing",
    f"{ANYWHERE} {OWN} --running done": "stands under both running and succeeded",
    f"{ANYWHERE} {WORDS} --status a..b": "'a..b' is not a path",
    f"http://acme.example/jobs/7 {API}": "use https, or add --allow-http if you mean",
    f"ftp://acme.example/jobs/7 {API}": "is not an http(s) URL",
    f"https:///jobs?{SIGNED} {API}": "'https:///jobs' is not an http(s) URL",
    f"https://[::x?{SIGNED} {API}": "'https://[::x' is not a URL",
    f"https://u:{SIGNED}@acme.example/ {API}": "holds a user name or a password",
    f"https://u:{SIGNED}@acme.example/7": "of 'https://acme.example/7' are unknown",
    f"https://u:{SIGNED}@acme.example/7 8": "the URL 'https://acme.example/7': put it",
    f"u:{SIGNED}@acme.example/7 {API}": "with a URL: 'acme.example/7' is none",
    f"ftp://acme.example?by=a@b {API}": "'ftp://acme.example' is not an http(s) URL",
    f"{ANYWHERE}?{SIGNED}#top {API}": "has a fragment",
    f"{ANYWHERE} 8 {API}": "more follows the URL",
    f"{ANYWHERE} {API} -H 'x-api-key: {SIGNED}'": "'x-api-key' seems to hold a cred",
    f"{ANYWHERE} {API} -H 'X: Bearer {SIGNED}'": "write {token} in its place",
    f"{ANYWHERE} {API} -H 'Cookie: {SIGNED}'": "'Cookie' seems to hold a credential",
    f"{ANYWHERE} {API} -H {SIGNED}": "write each as 'Name: value'",
    f"{ANYWHERE} {API} -H 'a: b' -H 'A: c'": "'A' is given twice",
    f"{ANYWHERE} {API} -H 'Host: b'": "'Host' cannot be set here",
    f"{ANYWHERE} {API} --token {SIGNED}": "put it into an environment variable",
    f"{ANYWHERE} {API} --api-key={SIGNED}": "put it into an environment variable",
    f"acme.example/jobs/7?{SIGNED} {API}": "with a URL: 'acme.example/jobs/7' is none",
}
ALL = LINES | {f"{name} {line}": said for name in ("wait", "watch") for line, said in URLS.items()}


@pytest.mark.parametrize(("line", "said"), ALL.items(), ids=range(len(ALL)))
def test_bad_use_ends_with_2_and_one_line(shell: Shell, line: str, said: str) -> None:
    """It says what the command cannot take, before anything is sent, and shows no secret."""
    assert shell(*shlex.split(line)) == 2
    assert said in shell.complaint
    assert shell.out == ""


_BASE = "is not the address of the API: use https://api.coze.com or "


@pytest.mark.parametrize(
    ("name", "value", "line", "said"),
    [
        ("COZE_API_TOKEN", "", "bots 123", " is not set"),
        ("COPYAI_API_KEY", "", "start copyai-workflow WCFG-1", " is not set"),
        ("COZE_API_BASE", "api.coze.cn", "bots 123", f": 'api.coze.cn' {_BASE}https://api.coze.cn"),
        ("ASYNCCLIENT_TOKEN", "Bearer x", f"wait {ANYWHERE} {API}", " begins with 'Bearer '"),
        ("ASYNCCLIENT_TOKEN", "x\n", f"wait {ANYWHERE} {API}", " has a line break"),
        ("ASYNCCLIENT_TOKEN", "té", f"wait {ANYWHERE} {API}", " has characters that are not"),
        ("ASYNCCLIENT_TOKEN", "", f"wait {ANYWHERE} {API} -H 'a: {{token}}'", " is not set"),
    ],
)
def test_a_wrong_variable_is_named(
    shell: Shell, name: str, value: str, line: str, said: str
) -> None:
    """A variable that is missing or cannot be is named, with what can be, and is not sent."""
    shell.monkeypatch.setenv(name, value)
    assert shell(*shlex.split(line)) == 2
    assert f"{name}{said}" in shell.complaint


def test_standard_input_holds_references_or_one_object_of_inputs(shell: Shell) -> None:
    """A bad line is named, even if it is no text, and nothing is sent; no line is an error."""
    for text in ("[1]", "{", "\udc80"):
        assert shell("start", "coze-workflow", "1", "--params-json", "-", stdin=text) == 2
        assert "not a JSON object" in shell.complaint
    for line in ("tea", "\udcff", NOWHERE[:40]):
        assert shell("wait", "-", stdin=f"{NOWHERE}\n\n{line}\n") == 2
        assert "line 3: not a task reference" in shell.complaint
    for empty in ("", " \n\n"):
        assert shell("wait", "-", stdin=empty) == 2
        assert "standard input is empty: pipe in what 'start' wrote" in shell.complaint
    assert shell("watch", "-", stdin=NOWHERE) == 2
    assert "watch follows one task" in shell.complaint
    shell.monkeypatch.setattr(sys, "stdin", None)  # closed
    assert main(("wait", "-")) == 2
    assert main((*FLOW.split(), "1", "--parameters", "-")) == 2
