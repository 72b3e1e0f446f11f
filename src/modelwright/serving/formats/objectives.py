"""What boosted trees were trained for, and so whether their answers are probabilities."""

from __future__ import annotations

import json
from typing import Any

CHANCES = frozenset(  # the objectives whose answers are probabilities, as either library names them
    {
        "binary",
        "cross_entropy",
        "multiclass",
        "multiclassova",
        "binary:logistic",
        "reg:logistic",
        "multi:softprob",
    }
)


def gives_chances(booster: Any) -> bool:
    """Whether a booster of LightGBM or XGBoost answers with probabilities."""
    ours = type(booster).__module__.startswith("lightgbm")
    return (_of_lightgbm(booster) if ours else _of_xgboost(booster)) in CHANCES


def _of_xgboost(booster: Any) -> str:
    return str(json.loads(booster.save_config())["learner"]["objective"]["name"])


def _of_lightgbm(booster: Any) -> str:
    said = str(booster.params.get("objective") or "")
    if not said:  # it was read from its trees alone
        head = booster.model_to_string(num_iteration=1).partition("\nTree=")[0]
        said = next((line[len("objective=") :] for line in head.splitlines() if line.startswith("objective=")), "")
    return said.partition(" ")[0]
