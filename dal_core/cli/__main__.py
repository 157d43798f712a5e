"""`python -m dal_core.cli` is `dal`."""

import sys

from dal_core.cli import main

sys.exit(main())
