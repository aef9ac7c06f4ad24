"""One small number for each row, in one byte: a million rows cost a megabyte, not a hundred."""

PAGE = 4096
EMPTY = 255


class RowBytes:
    """A mapping from (table, row id) to a number from 0 to 254.

    Row ids come from a sequence, so they are dense, but a row may have been given any id. So the bytes lie in pages,
    which are made when a row on them is first set.
    """

    def __init__(self) -> None:
        self._pages: dict[tuple[str, int], bytearray] = {}

    def get(self, table: str, row_id: int) -> int | None:
        """The row's number; None where it has none."""
        page = self._pages.get((table, row_id // PAGE))
        value = EMPTY if page is None else page[row_id % PAGE]
        return None if value == EMPTY else value

    def set(self, table: str, row_id: int, value: int) -> None:
        """Give the row a number.

        Raises:
            ValueError: It is not from 0 to 254.
        """
        if not 0 <= value < EMPTY:
            raise ValueError(f"{value} is not from 0 to {EMPTY - 1}")
        key = (table, row_id // PAGE)
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = bytearray([EMPTY]) * PAGE
        page[row_id % PAGE] = value

    def newest(self, table: str, value: int, count: int) -> list[int]:
        """Ids of the rows that have this number, highest first, at most so many."""
        rows: list[int] = []
        for number in sorted((number for name, number in self._pages if name == table), reverse=True):
            page = self._pages[table, number]
            place = page.rfind(value)
            while place >= 0 and len(rows) < count:
                rows.append(number * PAGE + place)
                place = page.rfind(value, 0, place)
        return rows

    def discard(self, table: str, row_id: int) -> None:
        """Take the row's number away, if it has one."""
        page = self._pages.get((table, row_id // PAGE))
        if page is not None:
            page[row_id % PAGE] = EMPTY
