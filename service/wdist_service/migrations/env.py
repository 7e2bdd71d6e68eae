"""Alembic's environment: runs migrations on the caller's connection, inside its transaction."""

from alembic import context

from wdist_service.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
