"""What sets pipelines off: a pure decision (`deciding`), its place on the record, and the operator's part."""

from modelwright.pipelines.triggers.deciding import Trigger
from modelwright.pipelines.triggers.reconciling import PipelineReconciler, Starter
from modelwright.pipelines.triggers.service import Due, Triggers

__all__ = ["Due", "PipelineReconciler", "Starter", "Trigger", "Triggers"]
