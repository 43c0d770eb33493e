"""Run the SQL script beside a migration."""

from pathlib import Path

from alembic import context, op


def run_script(name: str) -> None:
    """Run a script of migrations/versions; `{runtime_role}` in it becomes the quoted name of that role."""
    script = (Path(__file__).parent / "versions" / name).read_text(encoding="utf-8")
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["runtime_role"])
    # Several statements at once: only the driver's own connection takes them.
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None
    connection.run_async(lambda driver: driver.execute(script.replace("{runtime_role}", role)))
