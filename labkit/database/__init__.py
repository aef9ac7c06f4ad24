"""PostgreSQL: the tables of digits and how to change them."""

from labkit.database.digit_tables import DigitTables

__all__ = ["DigitTables"]
