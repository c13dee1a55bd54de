"""What is written below each reading: of whose tasks it is, and where they are polled."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from itertools import pairwise

from asyncclient.catalogue import _language, _media, _work


def texts() -> Mapping[str, str]:
    """Return the docstring of each reading by its constant's name; it is read in the source."""
    found: dict[str, str] = {}
    for module in (_language, _media, _work):
        for line, below in pairwise(ast.parse(inspect.getsource(module)).body):
            match line, below:
                case ast.Assign(targets=[ast.Name(name)]), ast.Expr(ast.Constant(str(text))):
                    found[name] = text
                case _:
                    pass
    return found


def constant_of(name: str) -> str:
    """Return the name of a reading's constant."""
    return name.upper().replace(".", "_")
