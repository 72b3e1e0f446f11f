"""Tracking: what a training script says to its run, through `import modelwright as mw`.

The calls check, append to a log on this machine, and return; a thread in the background delivers. `fluent` holds the calls,
`run` the run, `journal` the log and what survives, `courier` the thread, `outbox` one delivery.
"""

from modelwright.tracking.active import active_run
from modelwright.tracking.autologging import autolog, watch
from modelwright.tracking.fluent import (
    end_run,
    log_artifact,
    log_artifacts,
    log_dict,
    log_figure,
    log_input,
    log_metric,
    log_metrics,
    log_output,
    log_param,
    log_params,
    log_table,
    log_text,
    set_tag,
    set_tags,
    start_run,
)
from modelwright.tracking.reproducing import reproduce
from modelwright.tracking.run import TrackedRun
from modelwright.tracking.settings import TrackingSettings

__all__ = [
    "TrackedRun",
    "TrackingSettings",
    "active_run",
    "autolog",
    "end_run",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_input",
    "log_metric",
    "log_metrics",
    "log_output",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "reproduce",
    "set_tag",
    "set_tags",
    "start_run",
    "watch",
]
