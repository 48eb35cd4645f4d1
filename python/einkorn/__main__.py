"""``python -m einkorn`` is the command ``einkorn``."""

import sys

from einkorn.cli import main

sys.exit(main())
