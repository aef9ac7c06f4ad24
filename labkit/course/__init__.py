"""The course: checks that look at the live system, and exercises made from their solutions."""

from labkit.course.verdict import Verdict, WrongAnswer, check
from labkit.course.workbench import Workbench

__all__ = ["Verdict", "Workbench", "WrongAnswer", "check"]
