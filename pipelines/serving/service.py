"""The state of the running service: its current model, and whether it takes requests."""

from __future__ import annotations

import asyncio
import logging

from pipelines.errors import RingmillError
from pipelines.registry.source import Current
from pipelines.serving.failures import NotFoundError, UnavailableError
from pipelines.serving.metrics import Metrics
from pipelines.serving.recorder import Recorder
from pipelines.serving.request_log import RequestLog
from pipelines.serving.served import ServedModel
from pipelines.serving.settings import Settings
from pipelines.serving.sources import ModelSource

LOG = logging.getLogger(__name__)


class Service:
    """Holds one current model. A new one is loaded and warmed beside it, then takes its place in one assignment: requests
    that began on the old one finish there.
    """

    def __init__(self, source: ModelSource, settings: Settings) -> None:
        self._source, self.settings, self.metrics = source, settings, Metrics()
        self.recorder = Recorder(self.metrics, access_log=settings.access_log)
        self.key = settings.key.encode() if settings.key else None
        self._model: ServedModel | None = None
        self._loading = asyncio.Lock()
        self._failed: Current | None = None
        self.request_log = (
            RequestLog(settings.request_log, settings.request_log_share, settings.request_log_key)
            if settings.request_log
            else None
        )
        self.draining = False
        self.in_flight = 0
        self.metrics.watch(lambda: self._model.batcher.queued if self._model else 0, lambda: self.in_flight)

    def load_first(self) -> None:
        """Load the current model; raises RingmillError when there is none that loads."""
        self._take(self._load(self._source.current()))

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return self._model is not None and not self.draining

    @property
    def model(self) -> ServedModel:
        """The current model; raises UnavailableError when there is none."""
        if self._model is None:
            raise UnavailableError("no model is loaded yet.")
        return self._model

    def named(self, name: str, version: str | None = None) -> ServedModel:
        """The current model, if it has this name and version; raises NotFoundError otherwise."""
        model = self.model
        if name != model.name:
            raise NotFoundError(f"there is no model {name!r}; expected {model.name}.")
        if version is not None and version != model.version:
            raise NotFoundError(f"model {name} has no version {version!r} here; expected {model.version}.")
        return model

    async def refresh(self) -> bool:
        """Load the source's current model unless it is loaded; whether another one took over. A failure is logged, and the old
        model stays.
        """
        async with self._loading:
            current = self._failed
            try:
                current = await asyncio.to_thread(self._source.current)
                if self._model and current == self._model.current:
                    return False
                self._take(await asyncio.to_thread(self._load, current))
            except RingmillError as error:
                if current is None or current != self._failed:
                    LOG.error(  # noqa: TRY400 - the message says all
                        "%s The current model stays: %s.", error, self._model.version if self._model else "none"
                    )
                    self.metrics.load_failed()
                self._failed = current
                return False
            self._failed = None
            return True

    def _load(self, current: Current) -> ServedModel:
        model = ServedModel(current, self.settings, self.metrics)
        if self.request_log:
            self.request_log.check(model)
        return model

    def _take(self, model: ServedModel) -> None:
        self._model = model
        self.metrics.loaded(model.name, model.version, model.runtime)
        where = "on the event loop" if model.inline else "in a thread"
        LOG.info(
            "model %s version %s: %s, %s (a batch takes %.2f ms), from %s",
            model.name, model.version, model.runtime, where, model.batch_seconds * 1000, model.uri,
        )  # fmt: skip
