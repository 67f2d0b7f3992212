"""Model versions as the cache of rows sees them: which requests can use it, under which keys, in which form."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from penstock.core.clock import Clock
from penstock.core.deadline import NEVER, Deadline
from penstock.core.errors import BadInput, ModelFailed
from penstock.core.generation import Generation
from penstock.core.model import Models, ModelView
from penstock.core.request import Request
from penstock.core.signature import Fit, Signature
from penstock.core.tensors import Tensors
from penstock.routing.layout import Form, Layout, Row, form_of
from penstock.routing.row_keys import RowKeys
from penstock.routing.settings import CacheSettings
from penstock.routing.store import Store
from penstock.telemetry.caching import CacheCounts, Labelled
from penstock.telemetry.logs import logger

log = logger("routing")
FORMS = 64
"""Forms of outputs that are kept; a model whose outputs differ in shape from batch to batch has no use for more."""


class Scope:
    """The rows of one version. `number` sets its keys apart from those of all others."""

    def __init__(self, model: ModelView, signature: Signature, number: int, store: Store, counts: CacheCounts):
        self.labels = model.spec.name, model.spec.version
        self.store = store
        self.counts = counts
        settings = model.config()
        self._timeout_s: float = settings["timeout_ms"] / 1000
        self._max_timeout_s = max(self._timeout_s, settings["max_timeout_ms"] / 1000)
        self._fit = Fit.of(signature)
        self._outputs = frozenset(signature.output_names())
        self._keys = RowKeys(signature, number)
        self._forms: dict[Form, Layout] = {}
        self._warned = False

    def keys(self, request: Request, clock: Clock) -> list[bytes]:
        """One key per row; none for a request that is not for the cache to answer: it is empty, or will be refused."""
        tensors = request.payload
        if isinstance(tensors, Generation):
            return []
        if request.outputs is not None and not self._outputs.issuperset(request.outputs):
            return []
        if request.deadline != NEVER and not 0 < request.deadline - clock() <= self._max_timeout_s:
            return []
        try:
            rows = self._fit.rows(tensors)
        except BadInput:
            return []
        return self._keys.of(tensors, request.tenant) if rows else []

    def deadline(self, asked: Deadline, now: float) -> Deadline:
        """When a request must be answered."""
        return asked if asked != NEVER else now + self._timeout_s

    def until(self, deadline: Deadline, now: float) -> Deadline:
        """How long rows may take that are computed for a request with that deadline: others may come to wait for
        them, and have more time."""
        return max(deadline, now + self._timeout_s)

    def rows(self, outputs: Tensors, count: int) -> list[Row] | ModelFailed:
        """A batch's outputs, row by row; or the error that they are not one per row."""
        for name, tensor in outputs.items():
            shape = tensor.array.shape
            if shape[:1] != (count,):
                return ModelFailed(f"output {name!r} has shape {list(shape)} for {count} input rows")
        return self._layout(form_of(outputs)).split(outputs, count)

    def keep(self, key: bytes, row: Row) -> None:
        """Keeps a row, where that makes sense."""
        if not (row.layout.kept and self.store.keep(key, row)):
            self._warn("its outputs differ in shape" if not row.layout.kept else "rows are larger than cache.max_mb")

    def _layout(self, form: Form) -> Layout:
        layout = self._forms.get(form)
        if layout is None:
            layout = Layout(form, self.counts, kept=len(self._forms) < FORMS)
            if layout.kept:
                self._forms[form] = layout
        return layout

    def _warn(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("rows_not_cached", model=self.labels[0], reason=why)


class Scopes:
    """Every version of the models that have a cache. `stores`: by the model's name, for all its versions together."""

    def __init__(self, models: Models, settings: Mapping[str, CacheSettings]):
        self.stores = {name: Store(int(cache.max_mb * 2**20)) for name, cache in settings.items()}
        self._models = models
        self._scopes: dict[ModelView, Scope | None] = {}
        self._counts: dict[tuple[str, str], CacheCounts] = {}
        self._numbers = count()

    def of(self, request: Request) -> Scope | None:
        """The version that is meant; None when it has no cache, or no rows to keep, or is not loaded yet."""
        store = self.stores.get(request.model)
        if store is None:
            return None
        model = self._models.find(request.model, request.version)
        try:
            return self._scopes[model]
        except KeyError:
            return self._new(model, store)

    def _new(self, model: ModelView, store: Store) -> Scope | None:
        signature = model.signature
        if signature is None:
            return None
        served = set(self._models.all())
        self._scopes = {known: scope for known, scope in self._scopes.items() if known in served}
        scope = None
        if signature.batched:
            scope = Scope(model, signature, next(self._numbers), store, self._counts_of(model))
        else:
            log.warning("cache_unused", model=model.spec.name, reason="its input is no batch of independent rows")
        self._scopes[model] = scope
        return scope

    def counts(self) -> list[Labelled]:
        """What the metrics page shows of every version that has a cache."""
        kept = (model for model in self._models.all() if model.spec.name in self.stores)
        return [((model.spec.name, model.spec.version), self._counts_of(model)) for model in kept]

    def _counts_of(self, model: ModelView) -> CacheCounts:
        return self._counts.setdefault((model.spec.name, model.spec.version), CacheCounts())
