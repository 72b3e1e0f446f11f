"""Experiments: runs with their parameters, metrics, artifacts, and what it takes to repeat them.

`Experiments` is the service, `ActiveRun` the handle that a running script logs through. `Artifacts` keeps the files of
runs and of whatever else lies below an experiment, `LoggedModels` the models that runs logged.
"""

from modelwright.experiments.artifacts import Artifacts, Entry, Located, Upload, UploadPart, media_type_of
from modelwright.experiments.artifacts.queries import drop_files, files_of, overdue_files
from modelwright.experiments.filenames import BadFileName, check_file_name, check_folder
from modelwright.experiments.logged import LoggedModel, LoggedModels, LoggedStatus, Measurement, OnDataset, Sort
from modelwright.experiments.queries import experiment_ids, experiment_names, experiment_titles, run_authors
from modelwright.experiments.records import (
    Artifact,
    Capture,
    Comparison,
    Curve,
    DatasetRead,
    Experiment,
    Lifecycle,
    Metric,
    ModelRole,
    ModelUse,
    Point,
    Run,
    RunStatus,
)
from modelwright.experiments.service import Experiments
from modelwright.experiments.tracking import ActiveRun

__all__ = [
    "ActiveRun",
    "Artifact",
    "Artifacts",
    "BadFileName",
    "Capture",
    "Comparison",
    "Curve",
    "DatasetRead",
    "Entry",
    "Experiment",
    "Experiments",
    "Lifecycle",
    "Located",
    "LoggedModel",
    "LoggedModels",
    "LoggedStatus",
    "Measurement",
    "Metric",
    "ModelRole",
    "ModelUse",
    "OnDataset",
    "Point",
    "Run",
    "RunStatus",
    "Sort",
    "Upload",
    "UploadPart",
    "check_file_name",
    "check_folder",
    "drop_files",
    "files_of",
    "overdue_files",
    "run_authors",
    "media_type_of",
    "experiment_ids",
    "experiment_names",
    "experiment_titles",
]
