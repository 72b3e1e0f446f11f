"""The service: versions on the record, and, at the caller's side, how content goes in and comes out."""

from __future__ import annotations

from modelwright.datasets.local.elsewhere import Elsewhere
from modelwright.datasets.local.moving import Moving


class Datasets(Elsewhere, Moving):
    """Versions of tables and of files: their content, profile, checks and differences.

    The operations are in `Versions`. What runs where the caller is stands in `local`, one class for each thing that is
    done: how content is reached (`Content`), read (`Reading`), checked (`Quality`), added and merged (`Adding`), registered
    where it lies (`Elsewhere`), and moved (`Moving`).
    """
