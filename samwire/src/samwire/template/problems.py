"""What is wrong with a template: where, which rule it breaks, and who says so.

TemplateError       the template, or what it was given, is wrong: one sentence
└─ TemplateProblems all that is wrong with it, a line for each
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from samwire.template.intrinsics import TemplateError


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that AWS would refuse.

    Attributes:
        logical_id: of the resource, parameter, condition or output.
        sentence: what is wrong, without the logical id.
        source: who says so: a page of AWS's documentation, or a rule of cfn-lint and its page.
        path: the property that it is about, as far as that is known: names from the outside in.
    """

    logical_id: str
    sentence: str
    source: str = ""
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = f"{self.logical_id}: {self.sentence}" if self.logical_id else self.sentence
        return f"{said} [{self.source}]" if self.source else said


class TemplateProblems(TemplateError):
    """All that is wrong with a template.

    Args:
        found: at least one.
    """

    def __init__(self, found: Iterable[Problem]) -> None:
        self.problems = list(dict.fromkeys(found))
        super().__init__("\n".join(map(str, self.problems)))


def problems_of(error: TemplateError, source: str = "") -> list[Problem]:
    """Return what an error says, as problems.

    Args:
        source: of an error that names none.
    """
    if isinstance(error, TemplateProblems):
        return error.problems
    return [Problem("", str(error), source)]


def told_once(first: Sequence[Problem], others: Iterable[Problem]) -> list[Problem]:
    """Join both, without those of the others that are about a property that the first are about."""
    about = {(problem.logical_id, problem.path) for problem in first if problem.path}
    rest = [problem for problem in others if (problem.logical_id, problem.path) not in about]
    return [*first, *rest]
