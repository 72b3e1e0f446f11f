"""Detectors on the stream of a model's errors, and the classifier that tells two samples apart."""

import numpy as np
import pyarrow as pa
import pytest

from modelwright.core.errors import Invalid
from modelwright.core.wire import decode, encode
from modelwright.monitoring.detectors.adwin import Adwin
from modelwright.monitoring.detectors.domain import separate
from modelwright.monitoring.detectors.edetector import EDetector


def errors(rate, rows, seed):
    return (np.random.default_rng(seed).random(rows) < rate).tolist()


def test_the_e_detector_keeps_its_promise_of_few_false_alarms():
    alarms = sum(EDetector(baseline=0.1).after(errors(0.1, 4000, seed)).alarmed for seed in range(20))
    assert alarms <= 2  # 0.8 expected at most, since 4000 * 20 outcomes are under the promised run length


def test_the_e_detector_finds_a_doubled_error_rate_soon():
    for seed in range(5):
        found = EDetector(baseline=0.1).after(errors(0.1, 1000, seed)).after(errors(0.2, 1000, 50 + seed))
        assert found.alarm_at is not None
        assert 1000 < found.alarm_at < 1600


def test_the_e_detector_goes_on_from_its_stored_state():
    stream = errors(0.15, 600, 3)
    stored = decode(encode(EDetector(baseline=0.1).after(stream[:250])), EDetector)
    assert stored.after(stream[250:]) == EDetector(baseline=0.1).after(stream)
    assert stored.restarted().seen == 0


@pytest.mark.parametrize("baseline", [0.0, 1.0, -0.2])
def test_a_baseline_without_room_is_refused(baseline):
    with pytest.raises(Invalid, match="between 0 and 1"):
        EDetector(baseline=baseline).after([True])


@pytest.mark.parametrize("baseline", [0.001, 0.4, 0.95])
def test_a_high_or_low_baseline_still_works(baseline):
    assert not EDetector(baseline=baseline).after(errors(baseline * 0.9, 500, 4)).alarmed


def test_adwin_cuts_after_a_change_and_not_before():
    window = Adwin()
    assert not window.update(errors(0.1, 3000, 5))
    assert window.size == 3000
    assert window.update(errors(0.3, 1500, 6))
    assert 3000 < window.changes[0] < 3500
    assert window.mean == pytest.approx(0.3, abs=0.05)


def table(seed, rows=600, moved=0.0):
    random = np.random.default_rng(seed)
    x = random.normal(moved, 1, rows)
    return pa.table({"x": x, "noise": random.normal(size=rows), "c": random.choice(["a", "b"], rows), "gap": [None] * rows})


def test_the_classifier_cannot_tell_alike_samples_apart():
    pytest.importorskip("sklearn")
    found = separate(table(1), table(2))
    assert found is not None
    assert not found.drifted


def test_the_classifier_tells_a_moved_sample_and_names_the_column():
    pytest.importorskip("sklearn")
    found = separate(table(1), table(2, moved=1.0))
    assert found is not None
    assert found.drifted
    assert max(found.importances, key=found.importances.__getitem__) == "x"


def test_the_classifier_says_nothing_on_few_rows():
    assert separate(table(1), table(2, rows=99)) is None
