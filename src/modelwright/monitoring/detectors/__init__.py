"""Detectors: has this column changed against its reference, by how much, and could chance alone do that?

One file per detector. Each is a small object with a `name`, a practical `floor` for its effect, the kinds of column it
reads, and `compare(reference, current) -> Comparison`. `REGISTRY` holds them by name; the generic checks of
`tests/monitoring/detectors` run over every one of them. Besides these stand the stream detectors on a model's loss
(`edetector`, `adwin`) and the classifier that tells the reference from the present (`domain`).
"""

from modelwright.monitoring.detectors.base import ColumnKind, Comparison, Detector, Values, values_of
from modelwright.monitoring.detectors.chi_square import ChiSquare
from modelwright.monitoring.detectors.jensen_shannon import JensenShannon
from modelwright.monitoring.detectors.kolmogorov_smirnov import KolmogorovSmirnov
from modelwright.monitoring.detectors.missing import MissingShare
from modelwright.monitoring.detectors.stability import PopulationStability
from modelwright.monitoring.detectors.wasserstein import Wasserstein

REGISTRY: dict[str, Detector] = {
    detector.name: detector
    for detector in (
        PopulationStability(),
        KolmogorovSmirnov(),
        ChiSquare(),
        Wasserstein(),
        JensenShannon(),
        MissingShare(),
    )
}

__all__ = ["REGISTRY", "ColumnKind", "Comparison", "Detector", "Values", "values_of"]
