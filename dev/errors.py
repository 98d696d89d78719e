"""What keeps a run from starting."""


class CannotRun(Exception):
    """Something is missing or in the way; says what to do."""
