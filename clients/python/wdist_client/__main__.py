"""python -m wdist_client: as `wdist remote`."""

import sys

from wdist_client.command import main

sys.exit(main(prog="python -m wdist_client"))
