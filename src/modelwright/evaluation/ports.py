"""What an evaluation asks of a model, whatever it was loaded from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from modelwright.core.refs import Ref


Read: TypeAlias = "Callable[[Ref, str | None], pa.Table]"  # the rows of a dataset's version, all or where SQL says so


class Scorer(Protocol):
    """A model that is loaded; the registry's `LoadedModel` is one."""

    @property
    def inputs(self) -> Sequence[str]:
        """The names of the columns that it takes."""
        ...

    def scores(self, data: Any) -> npt.NDArray[np.float64]:
        """One number for each row of an Arrow table: the probability of the event, or the predicted value."""
        ...

    def gains(self) -> Mapping[str, float]:
        """What each input brought while the model was grown, in any unit; empty where nobody kept that."""
        ...
