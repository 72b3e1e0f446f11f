from __future__ import annotations

import numpy as np
import vl_convert

from modelwright.evaluation import Plan, assess, calibration_chart, roc_chart, roc_curve, slices_chart


def test_every_chart_is_a_specification_that_renders() -> None:
    random = np.random.default_rng(0)
    scores = random.random(400)
    labels = (random.random(400) < scores).astype(float)
    report = assess(labels, scores, slices={"origin": np.arange(400) % 3}, plan=Plan(replicates=50))
    specs = [calibration_chart(report.calibration), slices_chart(report.slices), roc_chart(roc_curve(labels, scores))]
    for spec in specs:
        assert spec["description"]
        assert vl_convert.vegalite_to_svg(spec).startswith("<svg")
