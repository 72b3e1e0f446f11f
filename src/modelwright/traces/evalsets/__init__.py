"""Evaluation sets: examples of what goes in and what should come out, to run a program on and judge its answers.

`EvaluationSets` is the service.
"""

from modelwright.traces.evalsets.records import EvaluationSet, Example, ExampleGiven, ExamplePage, Merged
from modelwright.traces.evalsets.service import EvaluationSets

__all__ = ["EvaluationSet", "EvaluationSets", "Example", "ExampleGiven", "ExamplePage", "Merged"]
