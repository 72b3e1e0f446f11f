"""Saved views: how somebody looks at the runs of an experiment, kept under a name for everybody who may read them."""

from modelwright.experiments.views.records import Page, View
from modelwright.experiments.views.service import Views

__all__ = ["Page", "View", "Views"]
