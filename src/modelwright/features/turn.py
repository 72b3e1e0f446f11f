"""What a running server does for features by itself: folds what was pushed, and holds logged reads against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from modelwright.core.errors import ModelwrightError
from modelwright.features.pushes import Pushes
from modelwright.features.service import Features, FeatureSettings


class FeatureTurn:
    """A `Reconciler` of the operator."""

    name = "features"

    def __init__(self, features: Features, pushes: Pushes, settings: FeatureSettings) -> None:
        self._features = features
        self._pushes = pushes
        self._fold_every = timedelta(seconds=settings.fold_every)
        self._verify_every = timedelta(seconds=settings.verify_every)
        self._folded: datetime | None = None
        self._verified: datetime | None = None

    def turn(self, now: datetime) -> Sequence[str]:
        """See `operator.Reconciler`."""
        told = list[str]()
        if self._folded is None or now - self._folded >= self._fold_every:
            self._folded = now
            told += self._fold()
            told += self._catch_up()
        if self._verified is None:
            self._verified = now
        elif now - self._verified >= self._verify_every:
            self._verified = now
            told += self._replay()
        return told

    def _fold(self) -> Sequence[str]:
        """Fold what was pushed. A dataset whose pushes fit it no longer holds up no other, and is told at every turn."""
        told = []
        for source in self._pushes.streams():
            try:
                told.append(f"Folded the pushes of {source} into {self._pushes.fold(source)}.")
            except ModelwrightError as error:
                told.append(f"The pushes of {source} stay in the journal: {error.message}")
        return told

    def _replay(self) -> Sequence[str]:
        """Hold logged reads against offline, view by view."""
        told = []
        for state in self._features.standing():
            try:
                compared = self._features.replay([state.view])
            except ModelwrightError as error:
                told.append(f"Logged reads of {state.view} could not be compared: {error.message}")
                continue
            for found in compared:
                verdict = "agree" if found.equal else f"differ in {found.mismatches} of {found.values} values"
                told.append(f"{found.rows} logged reads of {found.view} {verdict} with offline.")
        return told

    def _catch_up(self) -> Sequence[str]:
        """Materialise what no push can bring up to date any more: pushes were folded while it was being materialised."""
        told = []
        for state in self._features.standing():
            since = None if state.since == state.until else state.since
            try:
                follows = self._features.show(state.view).view.source.selector is None
                if not follows or not self._pushes.freshness(state.view).behind:
                    continue
                self._features.materialise(state.view, since=since, reason="pushes were folded before they were online")
            except ModelwrightError as error:  # its dataset has other columns by now, say: somebody has to apply it again
                told.append(f"{state.view} stays as it stands online: {error.message}")
                continue
            told.append(f"Materialised {state.view}, which pushes had passed by.")
        return told
