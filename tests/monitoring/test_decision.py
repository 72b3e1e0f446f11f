"""When a finding becomes an alert: the rule alone, without a database."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.refs import Ref
from modelwright.monitoring import Alert, AlertState, Aspect, Watch, WindowResult
from modelwright.monitoring.decision import OUTCOMES, Clear, Extend, Raise, decide, persistent
from modelwright.monitoring.multiplicity import discoveries

START, DAY = datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=1)
WATCH = Watch(reference=Ref.parse("dataset:reference@1"))


def window(day, *findings):
    return WindowResult(
        aspect=Aspect.DRIFT, start=START + day * DAY, end=START + (day + 1) * DAY, rows=300, findings=list(findings)
    )


def alert(until, state=AlertState.FIRING, findings=("a",)):
    return Alert(
        number=1,
        monitor=Ref.parse("monitor:delay@1"),
        deployment=Ref.parse("deployment:delay"),
        cause=Aspect.DRIFT,
        state=state,
        findings=list(findings),
        summary="",
        opened_at=START,
        since=START,
        until=START + until * DAY,
    )


def test_nothing_is_done_without_windows_or_findings():
    assert decide([], None, WATCH) is None
    assert decide([window(0), window(1)], None, WATCH) is None


def test_a_finding_must_stand_in_two_of_three_windows():
    assert decide([window(0, "a")], None, WATCH) is None
    assert decide([window(0, "a"), window(1), window(2)], None, WATCH) is None
    move = decide([window(0, "a"), window(1), window(2, "a")], None, WATCH)
    assert move == Raise(findings=["a"], since=START, until=START + 3 * DAY)


def test_different_findings_do_not_add_up():
    assert decide([window(0, "a"), window(1, "b"), window(2, "c")], None, WATCH) is None


def test_the_watch_over_outcomes_needs_no_second_window():
    assert isinstance(decide([window(0, OUTCOMES)], None, WATCH), Raise)
    assert persistent([window(0, OUTCOMES), window(1)], WATCH) == []


def test_an_open_alert_is_extended_and_never_raised_twice():
    history = [window(0, "a"), window(1, "a"), window(2, "a", "b"), window(3, "b")]
    assert decide(history, alert(2), WATCH) == Extend(findings=["a", "b"], until=START + 4 * DAY)


def test_an_open_alert_ends_after_clean_windows_only():
    assert decide([window(1, "a"), window(2), window(3)], alert(2), WATCH) is None
    assert decide([window(2), window(3), window(4)], alert(2), WATCH) == Clear()
    assert decide([window(3), window(4)], alert(2), WATCH) is None


def test_a_cause_that_ended_is_quiet_for_the_cool_down():
    over = alert(2, AlertState.CLEARED)
    assert decide([window(6, "a"), window(7, "a")], over, WATCH) is None
    assert isinstance(decide([window(7, "a"), window(8, "a")], over, WATCH), Raise)


def test_a_silenced_monitor_raises_nothing_until_the_silence_ends():
    history = [window(0, "a"), window(1, "a")]
    assert decide(history, None, WATCH, silenced_until=START + 2 * DAY) is None
    assert isinstance(decide(history, None, WATCH, silenced_until=START + DAY), Raise)


@given(st.lists(st.sets(st.sampled_from("abc"), max_size=3), max_size=12))
def test_whatever_happens_the_open_alert_is_the_only_one(findings):
    current, raised, history = None, 0, []
    for day, names in enumerate(findings):
        history.append(window(day, *sorted(names)))
        move = decide(history[-3:], current, WATCH)
        if isinstance(move, Raise):
            assert current is None or not current.open
            raised, current = raised + 1, alert(day + 1, findings=move.findings)
        elif isinstance(move, Clear):
            assert not any(w.findings for w in history[-3:])
            current = alert((current.until - START).days, AlertState.CLEARED)
    assert raised <= 1 + len(findings) // 7


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.floats(0, 1), max_size=20), st.floats(0.001, 0.5))
def test_discoveries_are_the_smallest_p_values(p_values, rate):
    kept = discoveries(p_values, rate)
    if kept:
        worst = max(p_values[name] for name in kept)
        assert worst <= rate
        assert all(p_values[name] >= worst for name in p_values.keys() - kept)
    assert {n for n, p in p_values.items() if p <= rate / max(1, len(p_values))} <= kept


def test_discoveries_are_those_of_scipy():
    from scipy.stats import false_discovery_control

    random = np.random.default_rng(1)
    for _ in range(20):
        p = random.random(30) ** 3
        ours = discoveries({str(i): float(v) for i, v in enumerate(p)}, 0.1)
        assert ours == {str(i) for i in np.flatnonzero(false_discovery_control(p) <= 0.1)}
