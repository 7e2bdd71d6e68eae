"""`Client(":local:")`: the requests of the API, answered in this process by the library wdist instead of a server.

Nothing is stored: sets, jobs and monitors live as long as the client. Jobs run one after the other in a thread
(`worker`). wdist (and torch) are imported with the first local client, by the user's choice; without them the error
says what to install.

`transport` replaces the HTTP transport and routes requests. `sets`, `jobs`, `batches` and `monitors` hold what the
server would store. `records` builds the responses.
"""
