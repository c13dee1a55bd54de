"""`python -m asyncclient` is the command `asyncclient`."""

from __future__ import annotations

import sys

from asyncclient.cli import main

if __name__ == "__main__":
    sys.exit(main())
