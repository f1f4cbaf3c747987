"""Compound files (what xls and encrypted workbooks are stored in): the streams inside, by name."""

import struct

from crm.excel.reading.values import DAMAGED, WorkbookError

_LAST_SECTOR = 0xFFFFFFFA
_STREAM = 2


class Compound:
    """The streams of a compound file held in memory, by name in lower case. Any inconsistency raises WorkbookError."""

    def __init__(self, data):
        self._data = data
        try:
            self._read_directory()
        except struct.error:
            raise WorkbookError(DAMAGED) from None

    def stream(self, name):
        """The bytes of a stream, or None where there is none of that name."""
        if name not in self.streams:
            return None
        start, size = self.streams[name]
        if size < self._small_limit:
            chain = self._chain(start, self._small_table)
            return b"".join(self._small[i * 64 : (i + 1) * 64] for i in chain)[:size]
        return self._read(start)[:size]

    def _read_directory(self):
        shift, _small_shift = struct.unpack_from("<HH", self._data, 30)
        if shift not in (9, 12):
            raise WorkbookError(DAMAGED)
        self._size = 1 << shift
        directory, _signature, self._small_limit, small_table = struct.unpack_from("<IIII", self._data, 48)
        table_list, _count = struct.unpack_from("<II", self._data, 68)
        sectors = list(struct.unpack_from("<109I", self._data, 76))
        seen = set()
        while table_list < _LAST_SECTOR and table_list not in seen:
            seen.add(table_list)
            *more, table_list = self._numbers(self._sector(table_list))
            sectors += more
        tables = [self._sector(sector) for sector in sectors if sector < _LAST_SECTOR]
        self._table = self._numbers(b"".join(tables))
        self._small_table = self._numbers(self._read(small_table))
        self.streams, self._small = {}, b""
        self._entries = self._read(directory)
        *_rest, child, start, _size = self._entry(0)
        self._small = self._read(start)
        self._list(child)

    def _entry(self, number):
        length, kind, left, right, child = struct.unpack_from("<HBxIII", self._entries, number * 128 + 64)
        start, size = struct.unpack_from("<II", self._entries, number * 128 + 116)
        return length, kind, left, right, child, start, size

    def _list(self, root):
        """The streams of the root alone: documents embedded in a sheet lie in storages below it."""
        waiting, seen = [root], set()
        while waiting:
            number = waiting.pop()
            if number >= _LAST_SECTOR or number in seen:
                continue
            seen.add(number)
            length, kind, left, right, _child, start, size = self._entry(number)
            waiting += [left, right]
            if kind == _STREAM:
                name = self._entries[number * 128 : number * 128 + min(max(length - 2, 0), 62)]
                self.streams[name.decode("utf-16-le", "replace").lower()] = start, size

    def _sector(self, number):
        return self._data[(number + 1) * self._size : (number + 2) * self._size]

    def _read(self, start):
        return b"".join(map(self._sector, self._chain(start, self._table)))

    def _chain(self, sector, table):
        seen = 0
        while sector < _LAST_SECTOR:
            seen += 1
            if sector >= len(table) or seen > len(table):
                raise WorkbookError(DAMAGED)
            yield sector
            sector = table[sector]

    @staticmethod
    def _numbers(data):
        return struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
