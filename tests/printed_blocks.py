"""Check the types of every Python block of the pages, as it is printed, by both type checkers.

`python tests/printed_blocks.py` writes each block to a module of its own, at the lines where it
stands on its page: what a checker says of line 30 is said of line 30 of the page.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (
    ROOT / "README.md",
    ROOT / "README.zh.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples" / "README.md",
    ROOT / "examples" / "worker" / "README.md",
)
BLOCK = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)
# A block that begins so is the module of that name, and others import it by it.
NAMED = re.compile(r"# (\w+)\.py\n")

# Blocks that cannot be checked where mypy and pyright run, each with the reason.
SKIPPED = {
    "waits_streaq": "streaq is only in the group `recipes`",
    "waits_taskiq": "taskiq and taskiq-redis are only in the group `recipes`",
    "waits_arq": "arq needs an older redis than docket, which is installed here",
    "waits_dbos": "dbos is only in the group `recipes`",
    "waits_restate": "restate-sdk and hypercorn are only in the group `recipes`",
    "waits_airflow": "Airflow needs an older fastapi than the tests, which is installed here",
    "waits_temporal": "temporalio is only in the group `recipes`",
}

# What blocks import that is the reader's own.
STORE = """
class Database:
    async def execute(self, query: str, *values: object) -> str:
        raise NotImplementedError


db = Database()
"""


def blocks() -> Iterator[tuple[str, str]]:
    """Yield each block as the name of a module, and its text at its place on the page."""
    for page in PAGES:
        text = page.read_text()
        for number, block in enumerate(BLOCK.finditer(text), 1):
            named = NAMED.match(block[1])
            name = f"{page.stem.lower().replace('.', '_')}_{number}" if named is None else named[1]
            yield name, "\n" * text.count("\n", 0, block.start(1)) + block[1]


def write_modules(folder: Path) -> list[str]:
    """Write all blocks that are checked into a folder, and return the files' names."""
    found = list(blocks())
    names = [name for name, _ in found]
    if len(set(names)) < len(names) or "store" in names:
        sys.exit(f"two blocks are one module: {sorted(names)}")
    if gone := SKIPPED.keys() - set(names):
        sys.exit(f"SKIPPED names blocks that are not printed: {sorted(gone)}")
    modules = {name: text for name, text in found if name not in SKIPPED} | {"store": STORE}
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return [f"{name}.py" for name in modules]


def pyright_settings() -> dict[str, object]:
    """Return how strict this project is, without where its own files are."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    return {name: settings[name] for name in settings.keys() - {"include", "extraPaths"}}


def main() -> None:
    """Run both checkers over all blocks at once, and fail as they do."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_modules(folder)
        (folder / "pyrightconfig.json").write_text(json.dumps(pyright_settings()))
        cache = f"--cache-dir={ROOT / '.mypy_cache' / 'printed'}"
        commands = (
            # As readers have it: strict, and nothing else is set.
            ("mypy", "--strict", "--config-file=", cache, *files),
            ("pyright", "--pythonpath", sys.executable, "--warnings"),
        )
        codes = [
            subprocess.run((sys.executable, "-m", *command), cwd=folder, check=False).returncode  # noqa: S603  (fixed words, and files that were just written)
            for command in commands
        ]
    for skipped, reason in SKIPPED.items():
        sys.stderr.write(f"NOT CHECKED: {skipped}: {reason}\n")
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
