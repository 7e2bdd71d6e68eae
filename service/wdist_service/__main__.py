"""`python -m wdist_service` is the `wdist` command."""

from wdist.cli.main import main

raise SystemExit(main())
