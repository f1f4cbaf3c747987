SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PY := .venv/bin/python
PYTEST := .venv/bin/pytest
ON_SQLITE := DATABASE_URL=sqlite://:memory: WECHAT_DATABASE_URL=sqlite://:memory:
# the address and the accounts show at once, into a pipe too
export PYTHONUNBUFFERED := 1
# not as a command prefix, which would swallow the failure of the script
ON_MYSQL = DATABASE_URL=$$($(PY) scripts/mysql_url.py); export DATABASE_URL; \
	export WECHAT_DATABASE_URL=$${WECHAT_DATABASE_URL:-$${DATABASE_URL}_wechat};
# more arguments for pytest: make test ARGS="tests/crm -k excel"
ARGS ?=

.PHONY: help run test test-mysql test-full browser soak bench lint clean dev mysql

help: ## 列出这些命令
	@echo "客源 CRM："
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## 安装依赖、建库、准备演示数据并启动（PORT=8001 换端口）
	@scripts/setup.sh venv
	@exec $(PY) manage.py serve --prepare

test: dev ## 在 SQLite 上跑测试
	@$(ON_SQLITE) $(PYTEST) -n auto -m "not full and not browser and not soak and not mysql" $(ARGS)

test-mysql: mysql ## 在 MySQL/MariaDB 上跑同一套测试（DATABASE_URL 或本机 3306）
	@$(ON_MYSQL) $(PYTEST) -n auto -m "not full and not browser and not soak" $(ARGS)

test-full: mysql ## 两种数据库上的完整矩阵，并用 LibreOffice 打开导出的文件
	@scripts/setup.sh packages libreoffice-calc fonts-noto-cjk
	@$(ON_SQLITE) $(PYTEST) -n auto -m "not browser and not soak and not mysql" $(ARGS)
	@$(ON_MYSQL) $(PYTEST) -n auto -m "not browser and not soak" $(ARGS)

browser: dev ## 在 Chromium 里走一遍业务流程，截图存入 artifacts/
	@scripts/setup.sh browser
	@mkdir -p artifacts
	@$(ON_SQLITE) $(PYTEST) tests/browser -m browser $(ARGS)

soak: mysql ## 长时间的中断与并发测试
	@$(ON_MYSQL) $(PYTEST) -m soak $(ARGS)

bench: mysql ## 性能基准：印出倍数与机器，写入 docs/performance.md（ARGS=100000 不测更大的）
	@$(ON_MYSQL) $(PY) -m benchmarks $(ARGS)

lint: dev ## 代码风格、分层依赖、上线检查、遗漏的迁移
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports
	@$(ON_SQLITE) HTTPS=true ALLOWED_HOSTS=crm.example.com COLLECTED_STATIC=true \
		$(PY) manage.py check --deploy --fail-level WARNING
	@$(ON_SQLITE) $(PY) manage.py makemigrations --check --dry-run

clean: ## 清理缓存与测试产物（数据库、上传的文件和 .venv 不动）
	@rm -rf artifacts .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

dev:
	@scripts/setup.sh dev

mysql:
	@scripts/setup.sh mysql
	@scripts/setup.sh dev
