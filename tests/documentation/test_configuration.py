"""docs/configuration.md lists every key that there is, with its default, and no other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelwright.datasets import DatasetSettings
from modelwright.datasets.privacy.records import PrivacySettings
from modelwright.deployments import DeploymentSettings
from modelwright.features import FeatureSettings
from modelwright.governance.retention import RetentionSettings
from modelwright.models import ModelSettings
from modelwright.openlineage import OpenLineageSettings
from modelwright.pipelines import PipelineSettings
from modelwright.policy import Role
from modelwright.serving.http import HttpSettings
from modelwright.serving.predictions import LogSettings
from modelwright.store import LedgerSettings
from modelwright.store.buckets import S3Settings
from modelwright.tracking import TrackingSettings
from modelwright.webhooks import WebhookSettings
from modelwright.workspace import ProjectSettings, ServerSettings, Settings, WorkspaceSettings

SECTIONS: dict[str, type[msgspec.Struct]] = {
    "workspace": WorkspaceSettings,
    "server": ServerSettings,
    "project": ProjectSettings,
    "ledger": LedgerSettings,
    "objects": S3Settings,
    "roles": Role,
    "datasets": DatasetSettings,
    "features": FeatureSettings,
    "models": ModelSettings,
    "pipelines": PipelineSettings,
    "deployments": DeploymentSettings,
    "serving": HttpSettings,
    "predictions": LogSettings,
    "privacy": PrivacySettings,
    "retention": RetentionSettings,
    "webhooks": WebhookSettings,
    "openlineage": OpenLineageSettings,
    "tracking": TrackingSettings,
}
PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def _documented(section: str) -> dict[str, str]:
    text = re.split(r"^## ", PAGE.split(f"## [{section}", 1)[1], flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\|", text, flags=re.MULTILINE)
    return {key: default.strip() for key, default in rows}


def test_every_section_is_on_the_page() -> None:
    assert set(SECTIONS) == set(Settings.__struct_fields__)
    assert set(re.findall(r"^## \[(\w+)", PAGE, flags=re.MULTILINE)) == set(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_there_with_its_default(section: str) -> None:
    documented = _documented(section)
    fields = msgspec.structs.fields(SECTIONS[section])
    assert list(documented) == [field.name for field in fields]
    for field in fields:
        told = documented[field.name].strip("`")
        default: Any = (
            field.default_factory()
            if field.default is msgspec.NODEFAULT and callable(field.default_factory)
            else field.default
        )
        if default is msgspec.NODEFAULT or default is None:
            assert told == ""
        else:
            shown = tomllib.loads(f"x = {told}")["x"] if told != "{}" else {}
            assert shown == (list(default) if isinstance(default, tuple) else default)
