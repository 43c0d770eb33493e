"""Which version of `app/db/sql` is installed."""

from sqlalchemy import Column, Table, Text

from app.db.tables.base import metadata

#: At most one row: the hash of all files of `app/db/sql` as they were installed last.
installed_sql = Table("installed_sql", metadata, Column("hash", Text, primary_key=True))
