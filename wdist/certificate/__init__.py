"""The certificate: a file from which a stranger can derive a result again. `wdist.verify` reads it."""
