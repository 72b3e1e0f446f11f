"""Every kind of thing answers the same few verbs. Here is how: one `Face` for each kind, imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind

if TYPE_CHECKING:
    from modelwright.cli.kinds.base import Face

FACES: Final[dict[Kind, str]] = {
    Kind.DATASET: "data:DatasetFace",
    Kind.CONTRACT: "contracts:ContractFace",
    Kind.FEATURES: "data:FeaturesFace",
    Kind.EXPERIMENT: "training:ExperimentFace",
    Kind.RUN: "training:RunFace",
    Kind.LOGGED_MODEL: "training:LoggedModelFace",
    Kind.PIPELINE: "training:PipelineFace",
    Kind.EXECUTION: "training:ExecutionFace",
    Kind.MODEL: "models:ModelFace",
    Kind.DEPLOYMENT: "live:DeploymentFace",
    Kind.ROLLOUT: "live:RolloutFace",
    Kind.MONITOR: "watching:MonitorFace",
    Kind.ALERT: "watching:AlertFace",
    Kind.INCIDENT: "watching:IncidentFace",
    Kind.TRACE: "outside:TraceFace",
    Kind.WEBHOOK: "outside:WebhookFace",
    Kind.POLICY: "rules:PolicyFace",
    Kind.EXTERNAL: "data:ExternalFace",
    Kind.EVIDENCE: "rules:EvidenceFace",
    Kind.PRINCIPAL: "rules:PrincipalFace",
    Kind.WORKSPACE: "rules:WorkspaceFace",
}


def face_of(kind: Kind) -> Face:
    """The face of a kind; `Invalid` for a kind that is only ever part of another thing."""
    if kind not in FACES:
        raise Invalid(f"Nothing is shown under the kind {kind.value}.", mend=f"The kinds are {', '.join(FACES)}.")
    module, _, name = FACES[kind].partition(":")
    face: Face = getattr(importlib.import_module(f"modelwright.cli.kinds.{module}"), name)()
    return face


def kind_named(text: str) -> Kind:
    """A kind from its name, in the singular or the plural; `Invalid` says which one was probably meant."""
    import difflib

    for kind in FACES:
        if text in (kind.value, f"{kind.value}s", kind.value.replace("y", "ies")):
            return kind
    near = difflib.get_close_matches(text, [kind.value for kind in FACES], n=1)
    mend = f"Did you mean {near[0]}?" if near else f"The kinds are {', '.join(FACES)}."
    raise Invalid(f"{text!r} is not a kind of thing.", mend=mend)
