"""Which transactions a statement sees."""

from dataclasses import dataclass

from app.db.engine import Database


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What had ended when a statement began: all below `horizon`, and of those below `end` all but `running`."""

    horizon: int
    end: int
    running: frozenset[int]

    def sees(self, transaction: int) -> bool:
        """Say whether a transaction that was committed is seen. 0 stands for none."""
        return 0 < transaction < self.horizon or (
            self.horizon <= transaction < self.end and transaction not in self.running
        )


async def read_snapshot(database: Database) -> Snapshot:
    """Give the present one; later statements see no less."""
    [[text]] = await database.fetch("select pg_current_snapshot()::text")
    horizon, end, running = text.split(":")
    return Snapshot(int(horizon), int(end), frozenset(int(each) for each in running.split(",") if each))
