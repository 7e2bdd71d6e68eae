"""`python -m wdist_service` is the `wdist` command."""

from wdist_service.cli import main

raise SystemExit(main())
