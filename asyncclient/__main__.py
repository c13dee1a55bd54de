"""`python -m asyncclient` is the command `asyncclient`."""

from __future__ import annotations

import sys

try:
    from asyncclient.cli import main
except KeyboardInterrupt:
    sys.stderr.write("asyncclient: interrupted\n")
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
