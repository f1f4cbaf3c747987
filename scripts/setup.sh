#!/usr/bin/env bash
# What the Makefile and .ci/run need of the machine. Each returns at once when it is there already.
#   setup.sh venv             .venv with what the product needs
#   setup.sh dev              the same, and what its tests need
#   setup.sh mysql            what the MySQL driver is compiled with
#   setup.sh browser          Chromium, a Chinese font, what PDFs are drawn with
#   setup.sh packages NAME…   any Debian/Ubuntu packages
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

packages() {
  local name missing=()
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$name" 2>/dev/null)" = "ii " ] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then
    say "缺少系统软件包，请执行：sudo apt-get install -y ${missing[*]}"
    exit 1
  fi
  say "正在安装系统软件包：${missing[*]}"
  # one source out of reach need not matter: install decides
  as_root apt-get update -q >&2 || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  say "需要 Python 3.11 或更高版本，请先安装；已装在别处时用 PYTHON=/路径/python3 make … 指定。"
  exit 1
}

create_venv() {
  local python
  python=$(find_python)
  "$python" -c 'import ensurepip' 2>/dev/null ||
    packages "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  say "正在建立虚拟环境 .venv"
  "$python" -m venv --clear .venv
}

mysql_headers() {
  command -v gcc >/dev/null || return 1
  local name
  for name in mysqlclient libmariadb mariadb; do
    if pkg-config --exists "$name" 2>/dev/null; then
      [ -f "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]
      return
    fi
  done
  return 1
}

# install [requirements-dev.txt]
install() {
  .venv/bin/python -c 'import pip' 2>/dev/null || create_venv
  local base=requirements-base.txt stamp sum
  if mysql_headers; then base=requirements.txt; fi
  stamp=".venv/.installed-$base${1:+-$1}"
  sum=$(sha256sum requirements*.txt)
  [ "$(cat "$stamp" 2>/dev/null)" != "$sum" ] || return 0
  say "正在安装依赖（$base${1:+、$1}），首次约需一两分钟"
  .venv/bin/python -m pip install -qq --disable-pip-version-check -r "$base" ${1:+-r "$1"} >&2
  echo "$sum" >"$stamp"
}

case "${1-}" in
  venv) install ;;
  dev) install requirements-dev.txt ;;
  mysql)
    .venv/bin/python -c 'import pip' 2>/dev/null || create_venv
    mysql_headers || packages libmariadb-dev pkg-config gcc python3-dev
    ;;
  browser)
    command -v chromium >/dev/null || packages chromium
    packages fonts-noto-cjk libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0
    ;;
  packages) shift && packages "$@" ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
