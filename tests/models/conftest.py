"""A small estimator on mixed columns, and a policy that asks for nothing, for tests of what is not the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from modelwright.models import ModelVersion
from modelwright.workspace import Workspace

ASKS_NOTHING = 'name = "standard"\n[tier.high]\n'


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "distance": random.normal(500, 100, 200),
            "hour": random.integers(0, 24, 200),
            "carrier": random.choice(["AA", "DL", "UA"], 200),
        }
    )


@pytest.fixture(scope="session")
def late(flights: pd.DataFrame) -> np.ndarray:
    return (flights.distance + 8 * flights.hour > 600).to_numpy().astype(int)


@pytest.fixture(scope="session")
def estimator(flights: pd.DataFrame, late: np.ndarray) -> Any:
    columns = make_column_transformer((OneHotEncoder(), ["carrier"]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression(max_iter=5000)).fit(flights, late)


Log = Callable[..., ModelVersion]


@pytest.fixture
def log(workspace: Workspace, estimator: Any, flights: pd.DataFrame) -> Log:
    """Logs the estimator as a version of `delay`; keywords go to `models.log`."""

    def make(name: str = "delay", **further: Any) -> ModelVersion:
        return workspace.models.log(name, estimator, example=flights, **further)

    return make


@pytest.fixture
def open_gate(workspace: Workspace) -> None:
    """The workspace's policy asks for nothing."""
    workspace.policy.adopt(ASKS_NOTHING)


@pytest.fixture
def log_here(embedded: Workspace, estimator: Any, flights: pd.DataFrame) -> Log:
    """As `log`, in the one embedded workspace."""
    return lambda name="delay", **further: embedded.models.log(name, estimator, example=flights, **further)
