"""All benchmarks; what they print becomes the second half of docs/performance.md.

``python -m benchmarks [largest]``: ``largest`` leaves out sizes above it (default 1,000,000). A part that fails leaves
the report as it was.
"""

import os
import subprocess
import sys
from pathlib import Path

REPORT = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
MARK = "<!-- 以下由 make bench 写成，不要手改 -->\n"
SIZES = (10_000, 100_000, 1_000_000)


def parts(largest):
    """``(module, arguments, whether on SQLite)`` in the order of the report."""
    sizes = [str(size) for size in SIZES if size <= largest]
    yield "imports", sizes, False
    yield "size", sizes, False
    yield "busy", [], False
    yield "busy", [], True
    yield "stock", [], False
    yield "churn", [str(largest)], False
    yield "reports", sizes, False
    yield "legacy", sizes, False
    yield "traces", sizes[:1] + sizes[1:][-1:], False


def main(largest):
    report = [REPORT.read_text(encoding="utf-8").partition(MARK)[0] + MARK]
    for module, arguments, on_sqlite in parts(largest):
        environment = os.environ | ({"DATABASE_URL": ""} if on_sqlite else {})
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
        if process.wait():
            sys.exit(f"benchmarks.{module} 没有做完")
        report.append("".join(lines).strip() + "\n")
    REPORT.write_text("\n".join(report), encoding="utf-8")
    print(f"写入 {REPORT.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else SIZES[-1])
