"""python -m wdist.verify CERT A B."""

import sys

from .command import main

sys.exit(main())
