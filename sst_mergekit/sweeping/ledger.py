"""The SQLite file that the processes of a sweep share: what was asked, and the scores."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sst_mergekit.errors import SstError
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.sweeping.sampling import Asked
from sst_mergekit.sweeping.space import Settings

PATIENCE = 120  # seconds that a process waits for the file
_TABLE = """
CREATE TABLE IF NOT EXISTS settings (
    subject TEXT NOT NULL,     -- a recipe or method, as it is scored
    key TEXT NOT NULL,         -- of the unit of work
    number INTEGER NOT NULL,   -- order of asking
    settings TEXT NOT NULL,    -- JSON
    notes TEXT NOT NULL,       -- JSON, the sampler's
    safety REAL, safety_stderr REAL, safety_n INTEGER,
    utility REAL, utility_stderr REAL, utility_n INTEGER,
    PRIMARY KEY (subject, key)
)
"""
Propose = Callable[[Sequence[Asked]], Asked | None]


@dataclass(frozen=True)
class Row:
    """Settings of a subject, with their scores or None."""

    key: str
    settings: Settings
    notes: dict
    safety: Rate | None
    utility: Rate | None

    @property
    def asked(self) -> Asked:
        """As samplers see it."""
        known = self.safety and self.utility
        scores = (self.safety.value, self.utility.value) if known else None  # type: ignore[union-attr]
        return Asked(self.settings, scores, self.notes)


class Ledger:
    """The file; every method is one transaction, so that no settings are given to two processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._transaction() as connection:
            connection.execute(_TABLE)

    def rows(self, subject: str) -> list[Row]:
        """Return all that was asked of a subject, in order."""
        with self._transaction() as connection:
            return _rows(connection, subject)

    def ask(
        self, subject: str, count: int, budget: int | None, propose: Propose, key: Callable[[Settings], str]
    ) -> list[Row]:
        """Return up to `count` new settings, which are this process's to score.

        Args:
            subject: what they are of.
            count: how many at most.
            budget: of all processes together (None: as long as there is anything new).
            propose: what comes after all that was asked.
            key: of the unit of work that scores the settings.
        """
        given = []
        with self._transaction() as connection:
            rows = _rows(connection, subject)
            while len(given) < count and (budget is None or len(rows) < budget):
                found = propose([row.asked for row in rows])
                if found is None:
                    break
                row = Row(key(found.settings), found.settings, dict(found.notes), None, None)
                values = (row.key, len(rows), subject, json.dumps(row.settings), json.dumps(row.notes))
                connection.execute(
                    "INSERT INTO settings (key, number, subject, settings, notes) VALUES (?, ?, ?, ?, ?)",
                    values,
                )
                rows.append(row)
                given.append(row)
        return given

    def tell(self, subject: str, key: str, safety: Rate, utility: Rate) -> None:
        """Write the scores of settings."""
        names = ("safety", "safety_stderr", "safety_n", "utility", "utility_stderr", "utility_n")
        values = (safety.value, safety.stderr, safety.n, utility.value, utility.stderr, utility.n)
        with self._transaction() as connection:
            new = ", ".join(f"{name} = ?" for name in names)
            connection.execute(
                f"UPDATE settings SET {new} WHERE subject = ? AND key = ?",  # noqa: S608
                (*values, subject, key),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the file, to this process alone; what was written stays only if the block succeeds."""
        try:
            with closing(sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise SstError(f"{self.path}: {error}; choose another --out, or delete the file") from None


def _rows(connection: sqlite3.Connection, subject: str) -> list[Row]:
    columns = "key, settings, notes, safety, safety_stderr, safety_n, utility, utility_stderr, utility_n"
    found = connection.execute(
        f"SELECT {columns} FROM settings WHERE subject = ? ORDER BY number",  # noqa: S608
        (subject,),
    )
    return [
        Row(
            key,
            json.loads(settings),
            json.loads(notes),
            None if rates[0] is None else Rate(*rates[:3]),
            None if rates[3] is None else Rate(*rates[3:]),
        )
        for key, settings, notes, *rates in found
    ]
