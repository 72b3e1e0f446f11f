"""Files of a table that is written in one place and will lie in another: called by where they will be."""

from __future__ import annotations

from typing import Any

from pyiceberg.io.pyarrow import PyArrowFileIO


class Relocated(PyArrowFileIO):  # type: ignore[misc]
    """Pyiceberg's own way to files, with what `modelwright.called` begins standing for `modelwright.written`."""

    def new_input(self, location: str) -> Any:
        return super().new_input(self._written(location))

    def new_output(self, location: str) -> Any:
        file = super().new_output(self._written(location))
        file._location = location  # what manifests and their lists will call it
        return file

    def _written(self, location: str) -> str:
        called, written = self.properties["modelwright.called"], self.properties["modelwright.written"]
        return f"{written}{location.removeprefix(called)}" if location.startswith(f"{called}/") else location
