"""The one error a user of the lab meets: what is wrong, and the command that mends it."""


class LabError(Exception):
    """Something a person can mend.

    Args:
        problem: One line that names what is wrong.
        fix: One line that says what to do, usually a command to type.
    """

    def __init__(self, problem: str, fix: str | None = None) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(problem if fix is None else f"{problem} → {fix}")
