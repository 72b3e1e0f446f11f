"""Value figures from a made-up history: each is what somebody would count by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwright.governance import value
from modelwright.store import Event

START = datetime(2013, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DEPLOYMENT = "deployment:delay"


class History:
    """Events in order of their hours since the start."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, hours: float, action: str, resource: str, *, request: str = "", **fields: Any) -> Event:
        event = Event(
            seq=len(self.events),
            ts=START + hours * HOUR,
            action=action,
            actor={"id": "ada"},
            resource=resource,
            request_id=request or f"r{len(self.events)}",
            **fields,
        )
        self.events.append(event)
        return event

    def register(self, hours, version, inputs=()):
        ref = f"model:delay@{version}"
        self.add(hours, value.REGISTERED, ref, outputs=[ref], inputs=list(inputs))

    def start(self, hours, version, *, live=True):
        """A rollout begins; where there is nothing to compare with it is live at once, and that event comes first."""
        model, request = f"model:delay@{version}", f"start{version}"
        if live:
            self.live(hours, version, request=request)
        after = {"model": model}
        self.add(hours, value.STARTED, DEPLOYMENT, environment="production", after=after, request=request)

    def live(self, hours, version, request=""):
        after = {"model": f"model:delay@{version}"}
        self.add(hours, value.LIVE, DEPLOYMENT, environment="production", after=after, request=request)

    def figures(self, since=0.0, until=24.0 * 70, within=7):
        made = value.report(self.events, START + since * HOUR, START + until * HOUR, failing_within=timedelta(days=within))
        return {figure.name: figure for figure in made.figures}


@pytest.fixture
def history():
    return History()


def test_an_empty_ledger_gives_no_figures_rather_than_zeros(history):
    for name, figure in history.figures().items():
        assert figure.n == 0
        assert figure.value in ((0.0,) if name == "deployment_frequency" else (None,))


def test_lead_time_is_the_median_from_registration_to_first_live(history):
    for version, (made, live) in enumerate([(0, 10), (20, 50), (60, 64)], start=1):
        history.register(made, version)
        history.start(live, version)
    history.live(70, 1)  # version 1 again: its lead time does not count twice
    lead = history.figures()["lead_time"]
    assert (lead.value, lead.n, lead.unit) == (10.0, 3, "hours")


def test_a_lead_time_counts_in_the_period_in_which_it_ended(history):
    history.register(0, 1)
    history.start(30, 1)
    assert history.figures(until=24)["lead_time"].n == 0
    assert history.figures(since=24)["lead_time"].value == 30.0


def test_data_lead_time_begins_with_the_newest_data(history):
    for hours, ref in ((0, "dataset:flights@1"), (8, "dataset:flights@2")):
        history.add(hours, value.DATA, ref, outputs=[ref])
    history.register(10, 1, inputs=["dataset:flights@1", "dataset:flights@2"])
    history.start(20, 1)
    assert history.figures()["data_lead_time"].value == 12.0


def test_deployment_frequency_counts_versions_gone_live_per_week(history):
    for version in range(1, 6):
        history.start(version, version)
    assert history.figures(until=24 * 14)["deployment_frequency"].value == pytest.approx(2.5)


def test_staging_is_no_deployment(history):
    history.add(0, value.STARTED, DEPLOYMENT, environment="staging", after={"model": "model:delay@1"})
    history.add(0, value.LIVE, DEPLOYMENT, environment="staging", after={"model": "model:delay@1"})
    figures = history.figures()
    assert figures["deployment_frequency"].n == figures["change_failure_rate"].n == 0


def test_a_canary_that_is_rolled_back_failed(history):
    history.start(0, 1)
    history.start(10, 2, live=False)
    after = {"model": "model:delay@2", "state": "rolled_back"}
    history.add(12, value.ROLLED_BACK, DEPLOYMENT, environment="production", after=after)
    rate = history.figures()["change_failure_rate"]
    assert (rate.value, rate.n) == (0.5, 2)


def test_a_canary_that_was_promoted_did_not_fail(history):
    history.start(0, 1)
    history.start(10, 2, live=False)
    history.live(12, 2)
    assert history.figures()["change_failure_rate"].value == 0.0


def test_a_rollback_after_going_live_is_a_failure_and_a_replacement_is_none(history):
    history.start(0, 1)
    history.start(10, 2)
    history.live(12, 1, request="back")
    history.add(12, value.RESTORED, DEPLOYMENT, environment="production", request="back")
    history.start(40, 3)
    changes = value.changes_of(history.events, 7 * DAY)
    assert [change.failure is not None for change in changes] == [False, True, False]


@pytest.mark.parametrize(("after_days", "failed"), [(6.9, True), (7.1, False)])
def test_an_incident_within_the_days_is_a_failure(history, after_days, failed):
    history.start(0, 1)
    history.add(after_days * 24, value.OPENED, "incident:1", inputs=[DEPLOYMENT])
    assert history.figures()["change_failure_rate"].value == float(failed)


def test_an_incident_of_another_deployment_is_no_failure(history):
    history.start(0, 1)
    history.add(1, value.OPENED, "incident:1", inputs=["deployment:other"])
    assert history.figures()["change_failure_rate"].value == 0.0


def test_time_to_restore_ends_with_containment(history):
    history.add(0, value.OPENED, "incident:1", after={"started_at": "2012-12-31T21:00:00Z"})
    history.add(2, value.CONTAINED, "incident:1")
    history.add(50, value.RESOLVED, "incident:1")
    history.add(60, value.OPENED, "incident:2", after={"started_at": "2013-01-03T11:00:00Z"})
    history.add(66, value.RESOLVED, "incident:2")
    figures = history.figures()
    assert (figures["time_to_restore"].value, figures["time_to_restore"].n) == (4.0, 2)
    assert figures["time_to_detect"].value == pytest.approx(2.0)


def test_gate_pass_rate_and_approval_wait(history):
    ref = "model:delay@1"
    history.add(0, value.EVALUATED, ref)
    history.add(1, value.GATE, ref, decision="deny")
    history.add(5, value.APPROVED, ref)
    history.add(6, value.GATE, ref, decision="allow")
    figures = history.figures()
    assert figures["gate_pass_rate"].value == 0.5
    assert figures["approval_wait"].value == 5.0


def test_retraining_interval_is_between_versions_of_one_model(history):
    for hours, version in ((0, 1), (100, 2), (160, 3)):
        history.register(hours, version)
    assert history.figures()["retraining_interval"].value == 80.0


def test_every_figure_names_its_events(history):
    history.register(0, 1)
    history.start(10, 1)
    assert history.figures()["lead_time"].events == [0, 1]


@pytest.mark.parametrize(
    ("value_", "unit", "n", "text"),
    [
        (None, "hours", 0, "nothing to compute it from"),
        (36.0, "hours", 2, "36 hours (2 cases)"),
        (96.0, "hours", 1, "4 days (1 case)"),
        (0.5, "share", 4, "50 % (4 cases)"),
        (2.5, "per week", 5, "2.5 per week (5 cases)"),
    ],
)
def test_a_figure_is_read_with_its_cases(value_, unit, n, text):
    from modelwright.governance import Figure

    assert Figure(name="x", label="X", value=value_, unit=unit, n=n).text == text
