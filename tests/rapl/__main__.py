"""`python tests/rapl`: pyRAPL installs a package `tests`, which would hide this one from `python -m tests.rapl`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from rapl.machine import main  # noqa: E402

sys.exit(main())
