"""The story: one model's whole life on a real server, in eight acts.

Every beat is a plain use of the platform by somebody who may do it. A beat that was acknowledged is written down; a story
that broke off (the server killed, this process killed) goes on where it was when it is told again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Conflict, Invalid, Refused, Unavailable
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import to_plain
from modelwright.demo.case import Case
from modelwright.demo.replay import Replay
from modelwright.demo.stage import Stage
from modelwright.demo.telling import Teller
from modelwright.store import EventFilter

if TYPE_CHECKING:
    from modelwright.deployments import Rollout

RENEW_AFTER = timedelta(days=60)
PATIENCE = 600.0  # seconds that a retraining may take on a busy machine


class Story:
    """Tells a case on a stage."""

    def __init__(self, case: Case, stage: Stage, teller: Teller) -> None:
        self.case = case
        self.stage = stage
        self.tell = teller
        self.replay = Replay(case, stage)
        self.model = Ref(Kind.MODEL, case.name)

    def play(self) -> None:
        """All eight acts, from wherever the story stands."""
        self.tell.title(self.case.title, "One model's whole life, on one record. Every step below is real.")
        self.stage.set_up()
        for act in (
            self.datasets,
            self.features,
            self.pipeline,
            self.evaluation,
            self.registry,
            self.deployment,
            self.monitoring,
            self.record,
        ):
            act()

    def beat(self, name: str, work: Callable[[], Any]) -> Any:
        """Do something once: its result is kept, and given again when the story is taken up later.

        If the server or this process dies before the result is kept, it is done again: every beat looks at what there is
        first, or asks for something that is the same twice as once.
        """
        done = self.stage.progress.done
        if name in done:
            return done[name]
        result = to_plain(self.stage.persist(work))
        done[name] = result
        self.stage.save()
        return result

    # 1

    def datasets(self) -> None:
        """Raw files become versions; checks become evidence; a broken row is named and nothing is loaded."""
        self.tell.act("Datasets: raw files become versions, checks become evidence")
        plan = self.case.plan
        for source in self.case.sources:
            added = self.beat(f"add {source.name} 1", partial(self.replay.add, source.name, plan.first_data))
            self.tell.beat(f"{added['ref']}: {added['rows']:,} rows")
            checked = self.beat(f"check {source.name} 1", partial(self.replay.check, source.name))
            self.tell.good(f"{checked['checks']} checks: {checked['verdict']}{checked['said']}")
        refusal = self.beat("broken", self._broken)
        self.tell.refused(f"a file with a broken row: {refusal}")
        grows = next(source.name for source in self.case.sources if source.grows)
        self.beat("a month later", lambda: self.replay.advance(plan.live))
        for source in self.case.sources:
            if source.grows:
                self.beat(f"add {source.name} 2", partial(self.replay.add, source.name, plan.live))
                self.beat(f"check {source.name} 2", partial(self.replay.check, source.name))
        self.tell.beat(self.beat("diff", lambda: self._diff(grows)))

    def _broken(self) -> str:
        path = self.stage.folder / "data" / "broken.csv"
        line = self.case.write_broken(path)
        ada = self.stage.as_("ada")
        source = next(each for each in self.case.sources if each.grows)
        before = ada.datasets.show(Ref(Kind.DATASET, source.name)).ref
        try:
            ada.datasets.add(source.name, path, key=source.key)
        except Invalid as error:
            assert error.details["line"] == line, f"named line {error.details['line']}, broken was {line}"
            assert ada.datasets.show(before.whole).ref == before, "something was loaded"
            return error.message.replace(str(path.parent) + "/", "").splitlines()[0]
        raise AssertionError("the broken file was loaded")

    def _diff(self, name: str) -> str:
        ref = Ref(Kind.DATASET, name)
        found = self.stage.as_("ada").datasets.diff(ref.at(1), ref.at(2))
        moved = found.distributions[0] if found.distributions else None
        most = f"; moved most: {moved.name}" if moved else ""
        return f"{ref.at(1)} → @2: {found.rows.added:,} rows added, {found.rows.changed:,} changed{most}"

    # 2

    def features(self) -> None:
        """Views that are true at every point in time; online equals offline."""
        self.tell.act("Features: true at every point in time, and the same online")
        applied = self.beat("apply", self._apply)
        self.tell.beat(", ".join(applied))
        self.beat("materialise", lambda: self.replay.materialise(self.case.plan.live, self.case.plan.live))
        verified = self.beat("verify", self._verify)
        self.tell.good(verified)

    def _apply(self) -> list[str]:
        from modelwright.features import load_views

        ada = self.stage.as_("ada")
        return [str(ada.features.apply(view).ref) for view in load_views(self.stage.folder / "features.py")]

    def _verify(self) -> str:
        compared = self.stage.as_("olga").features.verify([Ref(Kind.FEATURES, view) for view in self.case.views], 60)
        values = sum(each.values for each in compared)
        unequal = [str(each.view) for each in compared if not each.equal]
        assert not unequal, f"online differs from offline in {unequal}"
        return f"{values:,} online values compared with the point-in-time join: all equal"

    # 3

    def pipeline(self) -> None:
        """Cached, explained, captured, resumable."""
        self.tell.act("Pipeline: steps that run only when something changed, and say why")
        first = self.beat("train 1", lambda: self._train(reason="the first model"))
        self.tell.table(["step", "state", "why"], first["steps"])
        again = self.beat("train again", lambda: self._train(reason="nothing changed"))
        kept = sum(state == "cached" for _, state, _ in again["steps"])
        self.tell.good(f"run again: {kept} of {len(again['steps'])} steps taken from the cache")
        self.tell.beat(f"{first['run']} holds its parameters, curves, code, packages and inputs; it made {first['model']}")

    def _train(self, reason: str, **params: Any) -> dict[str, Any]:
        from modelwright.pipelines import load_pipelines

        known = load_pipelines(self.stage.folder / "pipeline.py")
        result = self.stage.as_("ada").pipelines.run(known[self.case.name], params=params, reason=reason, patience=1.0)
        steps = [[s.key, str(s.state), "; ".join(s.why)[:70]] for s in result.execution.steps]
        model, outcome = result.outputs
        return {"model": str(model), "outcome": outcome, "run": str(result.execution.run), "steps": steps}

    # 4

    def evaluation(self) -> None:
        """Out of sample, with intervals, calibration and slices."""
        self.tell.act("Evaluation: out of sample and out of time, with intervals")
        model = Ref.parse(self.stage.progress.done["train 1"]["model"])
        report = self.stage.as_("ben").evaluation.report(model)
        assert report.split is not None
        parts = ", ".join(f"{part.name} {part.rows:,} rows" for part in report.split.parts)
        gap = timedelta(seconds=report.split.gap_seconds)
        self.tell.beat(f"split by time: {parts}, a gap of {gap.days} day, {report.split.dropped} rows dropped")
        rows = [
            [name, f"{m.value:.3f}", f"{m.low:.3f} to {m.high:.3f}"]
            for name, m in report.metrics.items()
            if name in ("roc_auc", "average_precision", "brier", "log_loss")
        ]
        self.tell.table(["metric", "value", "95 % interval"], rows)
        assert report.slices is not None
        small = sum(each.small for each in report.slices.slices)
        flagged = ", ".join(f"{s.column}={s.value}" for s in report.slices.flagged) or "none"
        self.tell.beat(
            f"{len(report.slices.slices)} slices: worse than the whole: {flagged}; too small for a verdict: {small}"
        )

    # 5

    def registry(self) -> None:
        """A gate that says exactly what is missing; four eyes."""
        self.tell.act("Registry: a gate that says what is missing, and four eyes")
        first = self.stage.progress.done["train 1"]["model"]
        self.beat("classify", self._classify)
        self.beat("stage 1", lambda: self._promote(first, "staging"))
        missing = self.beat("refused 1", lambda: self._missing(first, "production"))
        assert missing, f"{first} went to production without approval"
        self.tell.refused(f"{first} to production: missing {', '.join(missing)}")
        own = self.beat("own approval", lambda: self._own_approval(first))
        self.tell.refused(f"ada approves her own model: {own}")
        self._release(first, "1")
        self.tell.good(f"{first} passed its gate: card published, approved by ben, promoted by olga")

    def _classify(self) -> str:
        from modelwright.models import Profile
        from modelwright.policy import Tier

        ben, ada = self.stage.as_("ben"), self.stage.as_("ada")
        ada.models.describe(self.model, Profile(owner="ada", purpose=self.case.title), reason="somebody answers for it")
        for field, text in self.case.about.items():
            ada.governance.state(self.model, field, text)
        answers = {"autonomy": "person-decides", "people": "up-to-100000", "money": "up-to-10-million", "undo": "at-once"}
        answers |= {"rights": "no", "safety": "no", "personal_data": "none", "vulnerable": "no", "regulated": "no"}
        why = "A person decides on every case; reviewed with the owner of the process."
        return ben.policy.classify(self.model, answers | {"outside": "no"}, tier=Tier.STANDARD, reason=why).tier.value

    def _promote(self, model: str, stage: str) -> str:
        from modelwright.models import Stage as ModelStage

        olga, ref = self.stage.as_("olga"), Ref.parse(model)
        held = olga.models.show(ref)
        if held.stage.value != stage:
            held = olga.models.promote(ref, ModelStage(stage), reason=f"ready for {stage}")
        return held.stage.value

    def _missing(self, model: str, stage: str) -> list[str]:
        """Try to promote; what the gate still asks for, or nothing if it let the version through."""
        try:
            self._promote(model, stage)
        except Refused as refusal:
            return [each["id"] if isinstance(each, dict) else str(each) for each in refusal.details["unmet"]]
        return []

    def _own_approval(self, model: str) -> str:
        try:
            self.stage.as_("ada").policy.approve(Ref.parse(model), "promote", reason="looks fine to me")
        except (Refused, Conflict) as refusal:
            return refusal.message
        raise AssertionError("the author approved their own model")

    def _release(self, model: str, beat: str) -> None:
        """Card, approval, promotion: what every version that reaches production goes through."""
        ref = Ref.parse(model)
        self.beat(f"card {beat}", lambda: self.stage.as_("ben").governance.publish_card(ref).verdict.value)
        self.beat(f"approve {beat}", lambda: self._approve(ref))
        self.beat(f"stage {beat}", lambda: self._promote(model, "staging"))
        self.beat(f"production {beat}", lambda: self._promote(model, "production"))

    def _approve(self, ref: Ref) -> str:
        reason = "Figures, slices and card read; fit for its purpose."
        return self.stage.as_("ben").policy.approve(ref, "promote", reason=reason).id

    # 6

    def deployment(self) -> None:
        """Staging, production, a canary with an automatic verdict, instant rollback."""
        self.tell.act("Deployment: staging, production, a canary judged by its verdict")
        first = self.go_live()
        second = self.beat("train 2", lambda: self._train(reason="more data, more rounds", rounds=90))
        self.tell.beat(f"a challenger, {second['model']}, against the champion on the same rows: {second['outcome']}")
        self._release(second["model"], "2")
        self.beat("canary 2", lambda: self._canary(second["model"]))
        self.tell.beat(f"{second['model']} gets {self.case.plan.canary:.0f} % of the units")
        self._canary_verdict("2")
        drill = self.beat("rollback drill", lambda: self._rollback_drill(first, second["model"]))
        self.tell.good(f"rollback drill in staging: back on {first} in {drill['milliseconds']} ms, then forward again")

    def go_live(self) -> str:
        """The first model, which is returned, answers under a monitor until the time of its challenger has come."""
        first: str = self.stage.progress.done["train 1"]["model"]
        self.beat("deploy", lambda: self._deploy_first(first))
        live = self.beat("ready", self.replay.wait_until_served)
        self.tell.beat(f"{first} answers in staging and production as {live}")
        self.tell.good(self.beat("protocols", self._protocols))
        self.beat("watch", self.replay.watch)
        self.beat("trigger", self._trigger)
        self._until(self.case.plan.challenger)
        return first

    def _deploy_first(self, model: str) -> None:
        from modelwright.serving import Intake

        olga, case = self.stage.as_("olga"), self.case
        names = {each.name for each in olga.deployments.list().items}
        if case.name not in names:
            intake = Intake(time_column="event_time", keys=["event_time", *case.entity_columns])
            olga.deployments.create(case.name, description=case.title, intake=intake)
        for environment in ("staging", "production"):
            olga.deployments.deploy(case.name, Ref.parse(model), environment, reason="the first model")

    def _protocols(self) -> str:
        """The same row over both protocols gives the same answer, and a wrong one is turned away."""
        request = self.case.requests(self.case.plan.live, self.case.plan.until)[0]
        row = self.replay.row(request)
        first = self.replay.infer(request, row)
        columns = {name: value for name, value in row.items() if name in {*self.case.numbers, *self.case.words}}
        path = f"/serving/{self.case.name}/invocations"
        answer = self.stage.request("POST", path, {"dataframe_records": [columns]})
        assert answer.good, answer.text
        second = answer.json()["predictions"][0]
        assert abs(first - second) < 1e-9, f"{first} over Open Inference, {second} over MLflow's protocol"
        wrong = self.stage.request("POST", path, {"dataframe_records": [columns | {self.case.numbers[0]: "many"}]})
        assert wrong.status == 400, wrong.text
        return f"Open Inference v2 and MLflow /invocations agree ({first:.3f}); a row against the signature is turned away"

    def _canary(self, model: str) -> str:
        olga, ref = self.stage.as_("olga"), Ref.parse(model)
        newest = self.replay.rollout()
        if newest is None or newest.candidate.model != ref:
            olga.deployments.deploy(self.case.name, ref, "production", strategy=self.replay.strategy())
            newest = self.replay.rollout()
        assert newest is not None
        return str(newest.ref)

    def _canary_verdict(self, beat: str) -> None:
        """Replay until the rollout is over; say how it ended."""
        told = self.stage.progress.done.get(f"verdict {beat}")
        while told is None:
            rollout = self.replay.rollout()
            if rollout is None:
                raise AssertionError("there is no rollout to judge")
            if rollout.state.over:
                told = self.beat(f"verdict {beat}", partial(_ending, rollout))
            elif self.now >= self.case.plan.until:
                raise AssertionError(f"{rollout.ref} was not decided by the end: {rollout.judgement.why}")
            else:
                self._until(self.now + self.case.plan.step)
        say = self.tell.good if told["state"] == "promoted" else self.tell.refused
        say(f"{told['model']} {told['state'].replace('_', ' ')}: {told['why']}")

    def _rollback_drill(self, first: str, second: str) -> dict[str, int]:
        olga = self.stage.as_("olga")
        olga.deployments.deploy(self.case.name, Ref.parse(second), "staging", reason="before the drill")
        begun = time.perf_counter()
        state = olga.deployments.rollback(self.case.name, "staging", reason="a drill")
        took = time.perf_counter() - begun
        placement = state.placement("staging")
        assert placement is not None and str(placement.stable.model) == first
        olga.deployments.deploy(self.case.name, Ref.parse(second), "staging", reason="after the drill")
        return {"milliseconds": round(took * 1000)}

    # 7

    def monitoring(self) -> None:
        """Drift, one alert, an incident, retraining, replacement; a bad version undone by its verdict."""
        self.tell.act("Monitoring: one alert, an incident, retraining, replacement")
        while self.now < self.case.plan.until and "incident" not in self.stage.progress.done:
            self._until(self.now + self.case.plan.step)
            self._look_for_incident()
        incident = self.stage.progress.done.get("incident")
        if incident is None:
            raise AssertionError("the season broke and nobody noticed")
        alerts = (
            f"{incident['alerts']} alert for {len(incident['findings'])} findings ({', '.join(incident['findings'][:4])})"
        )
        self.tell.refused(f"{incident['day']}: {alerts}; {incident['ref']} is open")
        while "retrained" not in self.stage.progress.done and not self._set_off():
            self._until(self.now + self.case.plan.step)
        third = self.beat("retrained", self._await_retraining)
        self.tell.beat(
            f"{third['day']}: that set off {third['execution']}, which made {third['model']}; "
            f"against the champion: {third['outcome']}"
        )
        third = self.beat("replacement", partial(self._replacement, third))
        self._release(third["model"], "3")
        self.beat("canary 3", lambda: self._canary(third["model"]))
        self._canary_verdict("3")
        self.beat("resolve", lambda: self._resolve(incident["ref"], third["model"]))
        self.tell.good(f"{incident['ref']} resolved: {third['model']} has replaced what was live")
        self._until(max(self.now, self.case.plan.bad))
        self._bad_version()
        retired = self.stage.progress.done["train 1"]["model"]
        self.beat("staging 3", lambda: self._to_staging(third["model"]))
        gone = self.beat("retire", lambda: self._retire(retired, third["model"]))
        self.tell.good(f"{retired} is retired; asking for it names {gone}")

    def _trigger(self) -> str:
        defined = self.stage.as_("ada").triggers.define(
            self.case.name,
            "retrain",
            on=self.case.retrain_on,
            about=str(Ref(Kind.DEPLOYMENT, self.case.name)),
            params=self.case.retrain_with,
            min_interval=30 * 86400.0,
            reason="a model that no longer fits is trained anew on what is known by then",
        )
        return defined.name

    def _look_for_incident(self) -> None:
        ben = self.stage.as_("ben")
        incidents = ben.monitoring.incidents().items
        if not incidents:
            return
        first = incidents[-1]
        alerts = [each for each in ben.monitoring.alerts().items if each.incident == first.ref]
        found = {"ref": str(first.ref), "alerts": len(alerts), "day": f"{first.detected_at:%-d %B}", "title": first.title}
        self.beat("incident", lambda: found | {"findings": sorted({f for a in alerts for f in a.findings})})

    def _set_off(self) -> bool:
        if self.now >= self.case.plan.until:
            raise AssertionError("nothing set the retraining off")
        fired = EventFilter(action="pipelines.trigger.fired")
        return bool(self.stage.as_("ada").record.history(Ref(Kind.PIPELINE, self.case.name), fired).items)

    def _await_retraining(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        ada = self.stage.as_("ada")
        while time.monotonic() < deadline:
            for execution in ada.pipelines.list_executions().items:
                if execution.cause is not None and execution.state.value == "succeeded":
                    model = next(str(ref) for ref in execution.outputs if ref.kind is Kind.MODEL)
                    outcome = ada.evaluation.report(Ref.parse(model)).comparison.outcome.value
                    told = {"execution": str(execution.ref), "model": model, "outcome": outcome}
                    return told | {"day": f"{execution.created_at:%-d %B}"}
                if execution.cause is not None and execution.state.value == "failed":
                    raise Unavailable(f"The retraining failed: {execution.error}")
            if not self.stage.alive():
                raise Unavailable("The server is gone.")
            time.sleep(0.2)
        raise Unavailable("The retraining did not end.", mend="Look into .modelwright/logs in the project's folder.")

    def _replacement(self, retrained: dict[str, Any]) -> dict[str, Any]:
        """The retrained version; or, if the champion has changed since it was compared, one that is compared with that."""
        ada = self.stage.as_("ada")
        champion = ada.models.champion(self.case.name)
        against = ada.evaluation.report(Ref.parse(retrained["model"])).comparison.against
        if champion is not None and against == champion.ref:
            return retrained
        return retrained | self._train(reason="the champion has changed since", **self.case.retrain_with)

    def _resolve(self, incident: str, model: str) -> str:
        from modelwright.monitoring import CorrectiveAction, IncidentState

        monitoring = self.stage.as_("olga").monitoring
        if monitoring.incident(Ref.parse(incident)).incident.state is IncidentState.RESOLVED:
            return IncidentState.RESOLVED.value
        action = CorrectiveAction(what="Retrain each quarter, before the season turns.", owner="ada")
        done = monitoring.resolve(
            Ref.parse(incident),
            root_cause="The season changed what comes in and how it turns out.",
            lessons="The first months of a year do not stand for its summer.",
            actions=[action],
            reason=f"{model} took over",
        )
        return done.state.value

    def _bad_version(self) -> None:
        bad = self.beat("train bad", lambda: self._train(reason="a drill: a model that learned the opposite", drill=True))
        model = bad["model"]
        self.beat("card bad", lambda: self.stage.as_("ben").governance.publish_card(Ref.parse(model)).verdict.value)
        self.beat("approve bad", lambda: self._approve(Ref.parse(model)))
        for stage in ("staging", "production"):
            missing = self.beat(f"refused bad {stage}", partial(self._missing, model, stage))
            if missing:
                self.tell.refused(f"{model}, which learned the opposite, to {stage}: the gate misses {', '.join(missing)}")
            for rule in missing:
                self.beat(f"waive {rule} {stage}", partial(self._waive, model, rule, stage))
            self.beat(f"{stage} bad", partial(self._promote, model, stage))
        self.tell.beat("ben waives that for a month, to see whether the canary catches what the gate would have")
        self.beat("canary bad", lambda: self._canary(model))
        self._canary_verdict("bad")
        self.beat("retire bad", lambda: self._retire(model, self.stage.progress.done["replacement"]["model"]))

    def _waive(self, model: str, rule: str, environment: str) -> str:
        olga, ben, ref = self.stage.as_("olga"), self.stage.as_("ben"), Ref.parse(model)
        why = "To see whether the canary catches what the gate would have."
        olga.policy.request_waiver(ref, rule, environment=environment, reason=why)
        until = self.now + timedelta(days=30)
        control = f"The canary holds it at {self.case.plan.canary:.0f} % and rolls it back."
        return ben.policy.waive(ref, rule, environment=environment, reason=why, control=control, until=until).id

    def _to_staging(self, model: str) -> None:
        self.stage.as_("olga").deployments.deploy(self.case.name, Ref.parse(model), "staging", reason="as in production")

    def _retire(self, model: str, successor: str) -> str:
        ada, ref = self.stage.as_("ada"), Ref.parse(model)
        held = ada.models.show(ref)
        if held.successor is None:
            held = ada.models.retire(ref, successor=Ref.parse(successor), reason="replaced after the season turned")
        return str(held.successor)

    # 8

    def record(self) -> None:
        """Every question about it is answered from the record."""
        self.tell.act("Record: what happened, who agreed, and proof that nothing was changed")
        rita, ben = self.stage.as_("rita"), self.stage.as_("ben")
        live = ben.governance.answer(Ref(Kind.DEPLOYMENT, self.case.name), at=self.case.plan.asked_about)
        for sentence in live.sentences:
            self.tell.beat(sentence)
        champion = ben.models.champion(self.case.name)
        assert champion is not None
        lineage = ben.record.lineage(champion.ref)
        self.tell.beat(f"lineage of {champion.ref}: {len(lineage.nodes)} things, {len(lineage.edges)} steps")
        card = ben.governance.card(champion.ref)
        self.tell.beat(f"model card: {card.completeness} % complete")
        for figure in ben.governance.value(since=self.case.plan.live).figures:
            self.tell.beat(f"{figure.label}: {figure.text}")
        archive = self.stage.folder / "audit.zip"
        archive.unlink(missing_ok=True)
        rita.record.checkpoint()
        rita.record.export(archive)
        report = rita.record.verify()
        assert not report.findings, report.findings
        self.tell.good(f"{report.size:,} events verified against {report.checkpoints} signed checkpoints; {archive.name} "
                       "holds them, with a verifier that needs nothing of ours")  # fmt: skip

    # The replay

    @property
    def now(self) -> datetime:
        """How far the replay has come."""
        return parse_time(self.stage.progress.done.get("replayed", isoformat(self.case.plan.live)))

    def _until(self, moment: datetime) -> None:
        """Replay up to a moment, step by step; a step that broke off is done again from its beginning."""
        moment = min(moment, self.case.plan.until)
        steps = max(0, -((self.now - moment) // self.case.plan.step))
        with self.tell.progress() as bar:
            task = bar.add_task("replay", total=steps, at="")
            while self.now < moment:
                since, until = self.now, min(self.now + self.case.plan.step, moment)
                bar.update(task, at=f"{until:%-d %b}")
                self._step(since, until)
                bar.advance(task)

    def _step(self, since: datetime, until: datetime) -> None:
        self.stage.persist(partial(self._renew, until))
        self.stage.persist(partial(self.replay.step, since, until))
        self.stage.progress.done["replayed"] = isoformat(until)
        self.stage.save()

    def _renew(self, until: datetime) -> None:
        renewed = parse_time(self.stage.progress.done.get("renewed", isoformat(self.case.plan.live)))
        if until - renewed >= RENEW_AFTER:
            self.stage.renew()
            self.stage.progress.done["renewed"] = isoformat(until)


def _ending(rollout: Rollout) -> dict[str, str]:
    return {"model": str(rollout.candidate.model), "state": rollout.state.value, "why": rollout.outcome}
