"""The demo's case: loan applications, with a season, a shock, delayed labels and columns that are nobody's business."""

from modelwright.demo.lending.case import Lending

__all__ = ["Lending"]
