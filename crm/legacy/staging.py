"""The rows of an old system in a scratch SQLite file of ours: read once, then counted and read again at will."""

import json
import sqlite3
from collections.abc import Iterator

from crm.legacy.fieldmap import plain

SECRETS = {"password", "userpwd", "pwd", "userpassword", "salt", "loginpwd"}


def quoted(name) -> str:
    return '"' + name.replace('"', '""') + '"'


class StagingError(ValueError):
    """Rows that fit no table; the message says which."""


class Staging:
    """Tables of text columns. Passwords are never taken in (``SECRETS``, by plain column name).

    ``outcome`` holds what became of each row: ``(table, n, key, outcome, target, money, notes)``.
    """

    def __init__(self, path):
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("CREATE TABLE IF NOT EXISTS _tables (name TEXT PRIMARY KEY COLLATE NOCASE, columns TEXT)")
        self.db.execute("CREATE TABLE IF NOT EXISTS _notes (text TEXT)")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS _outcomes (tbl TEXT, n INTEGER, key TEXT, outcome TEXT, reason TEXT,"
            " PRIMARY KEY (tbl, n))"
        )
        self.db.execute("CREATE TABLE IF NOT EXISTS _seen (kind TEXT, word TEXT, id INTEGER, PRIMARY KEY (kind, word))")

    def close(self):
        self.db.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    # --- Filling -----------------------------------------------------------------------------------------------------

    def drop(self, table):
        """Forget ``table``, in whatever case its name is written."""
        self.db.execute(f"DROP TABLE IF EXISTS {quoted(table)}")
        self.db.execute("DELETE FROM _tables WHERE name = ?", (table,))

    def empty(self, table):
        """Forget the rows of ``table``, if there is one."""
        if self.columns(table) is not None:
            self.db.execute(f"DELETE FROM {quoted(table)}")  # noqa: S608

    def widen(self, table, column, after=""):
        """One more column, behind ``after``, last ("") or first (None); nothing where it or the table is not known."""
        columns = self.columns(table)
        names = [name.lower() for name in columns or ()]
        if columns is None or column.lower() in names:
            return
        place = 0 if after is None else names.index(after.lower()) + 1 if after.lower() in names else len(columns)
        columns.insert(place, column)
        if column.lower().replace("_", "") not in SECRETS:
            self.db.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {quoted(column)} TEXT")
        self.db.execute("UPDATE _tables SET columns = ? WHERE name = ?", (json.dumps(columns), table))

    def define(self, table, columns):
        """A new table; one of the same name gives way, as in the dump it stands in."""
        kept = [column for column in columns if column.lower().replace("_", "") not in SECRETS]
        self.drop(table)
        parts = ", ".join(f"{quoted(column)} TEXT" for column in kept)
        self.db.execute(f"CREATE TABLE {quoted(table)} (_n INTEGER PRIMARY KEY AUTOINCREMENT, {parts})")
        self.db.execute("INSERT INTO _tables VALUES (?, ?)", (table, json.dumps(list(columns))))

    def add(self, table, columns, rows):
        """Rows of text in the order of ``columns`` (None: of the table)."""
        known = self.columns(table)
        if known is None:
            if columns is None:
                raise StagingError(f"表 {table} 没有建表语句，插入语句也没有写列名，不知道各列是什么。")
            self.define(table, columns)
            known = columns
        columns = columns or known
        names = {name.lower() for name in known}
        for column in columns:
            if column.lower() not in names:  # of a dump that defines less than it fills
                self.widen(table, column)
        for row in rows:
            if len(row) != len(columns):
                raise StagingError(f"表 {table} 有 {len(columns)} 列，这一行却有 {len(row)} 个值：{row[:3]}…")
        kept = [i for i, column in enumerate(columns) if column.lower().replace("_", "") not in SECRETS]
        names = ", ".join(quoted(columns[i]) for i in kept)
        marks = ", ".join("?" * len(kept))
        self.db.execute("BEGIN")
        self.db.executemany(
            f"INSERT INTO {quoted(table)} ({names}) VALUES ({marks})",  # noqa: S608  quoted names
            ([row[i] for i in kept] for row in rows),
        )
        self.db.execute("COMMIT")

    def note(self, text):
        self.db.execute("INSERT INTO _notes VALUES (?)", (text,))

    # --- Reading -----------------------------------------------------------------------------------------------------

    def notes(self) -> list[str]:
        return [text for (text,) in self.db.execute("SELECT text FROM _notes")]

    def tables(self) -> list[str]:
        return [name for (name,) in self.db.execute("SELECT name FROM _tables ORDER BY rowid")]

    def columns(self, table) -> list[str] | None:
        row = self.db.execute("SELECT columns FROM _tables WHERE name = ?", (table,)).fetchone()
        return json.loads(row[0]) if row else None

    def count(self, table) -> int:
        return self.db.execute(f"SELECT COUNT(*) FROM {quoted(table)}").fetchone()[0]  # noqa: S608

    def chunk(self, table, after, size) -> list[tuple[int, dict]]:
        """``[(number, {column: text or None}), …]`` of the ``size`` rows behind number ``after``."""
        query = f"SELECT * FROM {quoted(table)} WHERE _n > ? ORDER BY _n LIMIT ?"  # noqa: S608
        cursor = self.db.execute(query, (after, size))
        names = [part[0] for part in cursor.description]
        return [(row[0], dict(zip(names[1:], row[1:], strict=True))) for row in cursor]

    def find(self, table, column, words) -> Iterator[dict]:
        """``{plain name: text}`` of the rows whose ``column`` is one of ``words``; names however they are spelt."""
        name = next((each for each in self.tables() if each.lower() == table), None)
        names = {plain(each): each for each in self.columns(name) or ()} if name else {}
        if plain(column) not in names:
            return
        for _, row in self.rows_with(name, names[plain(column)], words):
            yield {plain(each): value for each, value in row.items()}

    def rows_with(self, table, column, words) -> Iterator[tuple[int, dict]]:
        """``(number, {column: text or None})`` of the rows of ``table`` whose ``column`` is one of ``words``."""
        name, target = quoted(table), quoted(column)
        self.db.execute(f"CREATE INDEX IF NOT EXISTS {quoted(f'_{table}_{column}')} ON {name} ({target})")
        words = sorted(words)
        for start in range(0, len(words), 500):
            part = words[start : start + 500]
            marks = ", ".join("?" * len(part))
            cursor = self.db.execute(f"SELECT * FROM {name} WHERE {target} IN ({marks})", part)  # noqa: S608
            names = [each[0] for each in cursor.description]
            for row in cursor:
                yield row[0], dict(zip(names[1:], row[1:], strict=True))

    # --- What became of them -----------------------------------------------------------------------------------------

    def forget_outcomes(self):
        self.db.execute("DELETE FROM _outcomes")
        self.db.execute("DELETE FROM _seen")

    def settle(self, table, outcomes):
        """``[(number, key, outcome, reason)]``; a chunk that is done again says the same again."""
        self.db.execute("BEGIN")
        self.db.executemany(
            "INSERT OR REPLACE INTO _outcomes VALUES (?, ?, ?, ?, ?)", ((table, *outcome) for outcome in outcomes)
        )
        self.db.execute("COMMIT")

    def outcomes(self, table, first, last) -> dict[int, tuple[str, str]]:
        """``{number: (key, outcome)}`` of the rows from ``first`` to ``last``."""
        query = "SELECT n, key, outcome FROM _outcomes WHERE tbl = ? AND n BETWEEN ? AND ?"
        return {n: (key, outcome) for n, key, outcome in self.db.execute(query, (table, first, last))}

    def outcome_counts(self) -> dict[str, dict[str, int]]:
        found: dict = {}
        for table, outcome, count in self.db.execute(
            "SELECT tbl, outcome, COUNT(*) FROM _outcomes GROUP BY tbl, outcome"
        ):
            found.setdefault(table, {})[outcome] = count
        return found

    def reasons(self, table) -> list[tuple[str, str, int]]:
        """``[(outcome, reason, rows), …]``, the most frequent first."""
        return list(
            self.db.execute(
                "SELECT outcome, reason, COUNT(*) FROM _outcomes WHERE tbl = ? AND reason <> ''"
                " GROUP BY outcome, reason ORDER BY 3 DESC LIMIT 100",
                (table,),
            )
        )

    def told(self) -> Iterator[tuple[str, int, str, str, str, dict]]:
        """Every row of which there is something to say: ``(table, number, key, outcome, reason, {column: text})``."""
        for (table,) in self.db.execute("SELECT DISTINCT tbl FROM _outcomes ORDER BY tbl").fetchall():
            cursor = self.db.execute(
                f"SELECT o.n, o.key, o.outcome, o.reason, t.* FROM _outcomes o JOIN {quoted(table)} t ON t._n = o.n"  # noqa: S608
                " WHERE o.tbl = ? AND o.reason <> '' ORDER BY o.n",
                (table,),
            )
            names = [part[0] for part in cursor.description][5:]
            for number, key, outcome, reason, _, *values in cursor:
                yield table, number, key, outcome, reason, dict(zip(names, values, strict=True))

    # --- A dry run's memory ------------------------------------------------------------------------------------------

    def saw(self, kind, ids):
        """``{word: id}`` of what a dry run would have made."""
        self.db.executemany("INSERT OR IGNORE INTO _seen VALUES (?, ?, ?)", ((kind, *pair) for pair in ids.items()))

    def seen(self, kind, words) -> dict[str, int]:
        found: dict = {}
        words = list(words)
        for start in range(0, len(words), 500):
            part = words[start : start + 500]
            marks = ", ".join("?" * len(part))
            query = f"SELECT word, id FROM _seen WHERE kind = ? AND word IN ({marks})"  # noqa: S608
            found |= dict(self.db.execute(query, (kind, *part)))
        return found
