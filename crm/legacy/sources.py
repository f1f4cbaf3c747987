"""Where old rows come from: a dump, a folder of dumps, or the old MySQL database itself, which is only read."""

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from crm.legacy import dumps, fieldmap
from crm.legacy.staging import Staging, StagingError

BATCH = 2000


class SourceError(ValueError):
    """The source cannot be read; the message says why and what to do."""


def address(host, user, password) -> str:
    """The ``mysql://`` address of a database at ``host:port/name``."""
    return f"mysql://{quote(user, safe='')}:{quote(password, safe='')}@{host}"


def shown(source) -> str:
    """``source``, of one or several lines, without passwords, for pages and logs."""
    if len(lines := str(source).splitlines()) > 1:
        return "、".join(map(shown, lines))
    if not str(source).startswith("mysql://"):
        return Path(source).name
    parts = urlsplit(source)
    return f"mysql://{parts.username or ''}@{parts.hostname}:{parts.port or 3306}{parts.path}"


def fill(staging: Staging, source, tables=None, *, beat=lambda rows: None) -> int:
    """Read ``source`` into ``staging``; gives the number of rows. ``tables`` limits a database to those names.

    Several sources, one a line, are read one after the other.

    ``beat(rows so far)`` is called now and then. Raises SourceError.
    """
    if len(lines := str(source).splitlines()) > 1:
        return sum(fill(staging, line, tables, beat=beat) for line in lines)
    try:
        if str(source).startswith("mysql://"):
            return _from_database(staging, source, tables, beat)
        path = Path(source)
        files = sorted(path.glob("*.sql*")) if path.is_dir() else [path]
        if not files or not all(file.is_file() for file in files):
            raise SourceError(f"找不到转储文件“{path.name}”。")
        return _from_dumps(staging, files, beat)
    except (dumps.DumpError, StagingError) as error:
        raise SourceError(str(error)) from error


def _from_dumps(staging, files, beat):
    total = 0
    for file in files:
        for part in _of_one_database(staging, dumps.read(file)):
            if isinstance(part, dumps.Definition):
                if part.is_new or staging.columns(part.table) is None:
                    staging.define(part.table, part.columns)
            elif isinstance(part, dumps.Dropped):
                staging.drop(part.table)
            elif isinstance(part, dumps.Emptied):
                staging.empty(part.table)
            elif isinstance(part, dumps.Added):
                staging.widen(part.table, part.column, part.after)
            elif isinstance(part, dumps.Rows):
                if part.columns is None and staging.columns(part.table) is None:
                    _suppose(staging, part.table, len(part.rows[0]))
                staging.add(part.table, part.columns, part.rows)
                total += len(part.rows)
                beat(total)
            else:
                staging.note(f"未执行的语句：{part.text}")
    if not staging.tables():
        raise SourceError("文件里没有建表或插入语句，不是 MySQL 转储文件。")
    return total


def _of_one_database(staging, parts):
    """Without what a further database in the file says of a table of the same name, which is noted."""
    homes, told, database = {}, set(), ""
    for part in parts:
        if isinstance(part, dumps.Chosen):
            database = part.database
            continue
        table = getattr(part, "table", "").lower()
        homes[table] = homes.get(table) or database
        if not table or homes[table] == database:
            yield part
        elif table not in told:
            told.add(table)
            staging.note(f"文件里有两个数据库都有表 {part.table}：读了 {homes[table]} 的，没有读 {database} 的")


def _suppose(staging, table, width):
    """A dump of rows alone has the columns of the document of its system, if there are as many of them."""
    columns = fieldmap.columns_in_order(table)
    if len(columns) == width:
        staging.define(table, columns)
        staging.note(f"表 {table} 没有建表语句，按对照表里 {width} 列的次序读入，请核对；最好连同表结构一起导出")


def _from_database(staging, url, tables, beat):
    try:
        import MySQLdb
        from MySQLdb.constants import FIELD_TYPE
        from MySQLdb.cursors import SSCursor
    except ImportError as error:
        raise SourceError("没有安装 mysqlclient，不能直接读数据库；请改用转储文件。") from error
    parts = urlsplit(url)
    try:
        connection = MySQLdb.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path.lstrip("/"),
            charset="utf8mb4",
            conv={FIELD_TYPE.BIT: lambda value: str(int.from_bytes(value, "big"))},
            connect_timeout=10,
        )
    except MySQLdb.Error as error:
        raise SourceError(f"连不上旧数据库 {shown(url)}：{error.args[-1]}") from error
    try:
        cursor = connection.cursor(SSCursor)
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        cursor.execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
        names = [_text(row[0]) for row in cursor.fetchall()]
        total = 0
        for name in names:
            if tables is not None and name.lower() not in tables:
                continue
            total += _copy(staging, cursor, name, beat, total)
        return total
    except MySQLdb.Error as error:
        raise SourceError(f"读旧数据库时出错：{error.args[-1]}") from error
    finally:
        connection.close()


def _copy(staging, cursor, table, beat, before):
    quoted = table.replace("`", "``")
    cursor.execute(f"SELECT * FROM `{quoted}`")  # noqa: S608
    staging.define(table, [part[0] for part in cursor.description])
    total = 0
    while rows := cursor.fetchmany(BATCH):
        staging.add(table, None, [[_text(value) for value in row] for row in rows])
        total += len(rows)
        beat(before + total)
    return total


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
