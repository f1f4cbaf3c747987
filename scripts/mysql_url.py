"""Print the DATABASE_URL that the MySQL/MariaDB tests use, with the server's time zone tables loaded.

DATABASE_URL of the environment if it names MySQL, else root without a password on this machine (port 3306, socket).
Exits non-zero and says how to mend it when no server answers or the tables cannot be loaded.
"""

import os
import shutil
import subprocess
import sys

import environ
import MySQLdb

LOCAL_URLS = ("mysql://root@127.0.0.1:3306/keyuan", "mysql://root@localhost/keyuan")
LOAD_TIME_ZONES = "mariadb-tzinfo-to-sql /usr/share/zoneinfo | mariadb -u root -p mysql"


def credentials(url):
    """Connection arguments without a database: the tests make theirs, the real one need not exist."""
    config = environ.Env.db_url_config(url)
    arguments = {"host": config["HOST"], "user": config["USER"], "password": config["PASSWORD"]}
    if config["PORT"]:
        arguments["port"] = int(config["PORT"])
    return {key: value for key, value in arguments.items() if value}


def reachable_url():
    given = os.environ.get("DATABASE_URL", "")
    urls = (given,) if given.startswith("mysql") else LOCAL_URLS
    for url in urls:
        try:
            return url, MySQLdb.connect(**credentials(url), connect_timeout=5)
        except MySQLdb.OperationalError as error:
            reason = error
    sys.exit(
        f"连不上 MySQL/MariaDB：{reason}\n"
        "请启动服务器（例如 sudo apt-get install -y mariadb-server && sudo service mariadb start），\n"
        "或指定：DATABASE_URL=mysql://用户:密码@主机:3306/keyuan make test-mysql"
    )


def load_time_zones(url):
    tool = shutil.which("mariadb-tzinfo-to-sql") or shutil.which("mysql_tzinfo_to_sql")
    client = shutil.which("mariadb") or shutil.which("mysql")
    if not tool or not client:
        return False
    arguments = credentials(url)
    environment = os.environ | {"MYSQL_PWD": arguments.pop("password", "")}
    statements = subprocess.run([tool, "/usr/share/zoneinfo"], capture_output=True).stdout
    options = [f"--{key}={value}" for key, value in arguments.items()]
    return subprocess.run([client, *options, "mysql"], input=statements, env=environment).returncode == 0


def time_zones_loaded(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT CONVERT_TZ('2000-01-01 00:00:00', 'UTC', 'Asia/Shanghai') IS NOT NULL")
    return cursor.fetchone()[0]


def main():
    url, connection = reachable_url()
    if not time_zones_loaded(connection):
        print("正在载入数据库的时区表", file=sys.stderr)
        # a session remembers a zone it did not find: ask in a new one
        if not load_time_zones(url) or not time_zones_loaded(MySQLdb.connect(**credentials(url))):
            sys.exit(f"数据库的时区表是空的，请在数据库服务器上执行：{LOAD_TIME_ZONES}")
    print(url)


if __name__ == "__main__":
    main()
