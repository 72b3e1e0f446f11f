"""A loaded version: takes any table, checks it against the signature, and predicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from modelwright.core.errors import Refused
from modelwright.models.columns import as_batch, as_table
from modelwright.models.records import ModelVersion
from modelwright.serving import Gainful, Predictor, check_batch

SCORES = ("probability", "prediction")


class LoadedModel:
    """One exact version in this process. Holds no state between calls.

    `content` is what the file itself holds, where that is no predictor of ours: arrays by name for safetensors, whatever
    was unpickled, or what MLflow made of a folder.
    """

    def __init__(
        self,
        version: ModelVersion,
        predictor: Predictor | None,
        *,
        content: Any = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.version = version
        self.content = content
        self.metadata = metadata or {}
        self._predictor = predictor

    @property
    def inputs(self) -> list[str]:
        """The names of the columns that it takes, in order."""
        return [column.name for column in self.version.record.signature.inputs]

    def gains(self) -> dict[str, float]:
        """The gain of all splits on each input, in units of the objective; empty where the format does not keep it."""
        return self._predictor.gains() if isinstance(self._predictor, Gainful) else {}

    def predict(self, data: Any) -> dict[str, npt.NDArray[Any]]:
        """Every output by name, one value for each row, in order.

        `data` is an Arrow table, a data frame, or columns by name; columns that are no inputs stay behind. `Invalid` names
        the column and row that the signature does not allow; `Refused` where the file alone cannot predict.
        """
        if self._predictor is None:
            raise Refused(
                f"{self.version.ref} ({self.version.record.format}) does not predict by itself.",
                mend="Use its `content`: tensors go into the network they came from.",
            )
        signature = self.version.record.signature
        return self._predictor.predict(check_batch(signature, as_batch(as_table(data), signature)))

    def scores(self, data: Any) -> npt.NDArray[np.float64]:
        """The one number for each row that an evaluation takes: the probability of the event, or the predicted value."""
        outputs = self.predict(data)
        name = next((each for each in SCORES if each in outputs), next(iter(outputs)))
        return outputs[name].astype(np.float64)
