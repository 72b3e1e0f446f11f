"""Logged models: what a run made, or somebody logged without one, before anybody decided to register it."""

from modelwright.experiments.logged.records import LoggedModel, LoggedStatus, Measurement, OnDataset, Sort
from modelwright.experiments.logged.service import LoggedModels

__all__ = ["LoggedModel", "LoggedModels", "LoggedStatus", "Measurement", "OnDataset", "Sort"]
