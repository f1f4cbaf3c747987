"""Lists, search and exports at growing numbers of customers, in one database: each size is made once.

``python -m benchmarks.size [customers …]``, default 10,000, 100,000 and 1,000,000.
"""

import sys

from benchmarks import _common, exports, lists, search


def main(sizes):
    from benchmarks import data

    print(f"## 列表、搜索、导出\n\n{_common.machine()}", flush=True)
    known = {}
    for size in sizes:
        data.grow(size)
        data.analyze()
        print(f"\n### {size:,} 个客户\n\n列表页（毫秒；倍数以 10,000 个客户时为 1）：\n", flush=True)
        lists.measure(size, known)
        print("\n搜索：\n", flush=True)
        search.write_and_settle(size)
        search.measure(size)
        print("\n导出：\n", flush=True)
        exports.measure(size)


if __name__ == "__main__":
    _common.prepare("bench_size")
    main([int(number) for number in sys.argv[1:]] or [10_000, 100_000, 1_000_000])
