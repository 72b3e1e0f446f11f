"""The story of one model's whole life, told on a real server: on generated loans, or on any case of that shape."""

from modelwright.demo.case import Case, Plan, Request, Source
from modelwright.demo.performance import tell

__all__ = ["Case", "Plan", "Request", "Source", "tell"]
