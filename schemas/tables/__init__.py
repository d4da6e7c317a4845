"""The contracts of the tables that every pipeline shares: what it did, what it refused, what it learnt."""

from collections.abc import Mapping

from schemas.tables.columns import INTERVAL, ROW_ID, RUN, SPLIT, SPLITS
from schemas.tables.derived import FEATURE_FILES, IDENTIFIED, LANDED, LANDING, SCORED, clean, features, raw, scores
from schemas.tables.models import (
    EVALUATION_METRICS,
    FEATURE_IMPORTANCE,
    LIVE_METRICS,
    MODEL_DIFFERENCES,
    MODELS,
    PREDICTIONS,
    SLICE_METRICS,
)
from schemas.tables.runs import BROKEN_RULES, QUARANTINE, ROW_LEDGER, RUN_EVENTS, RUNS
from schemas.tables.training import (
    DRIFT_METRICS,
    FEATURE_SAMPLES,
    FEATURE_STATS,
    FEED_RECEIPTS,
    SEARCH_TRIALS,
    TRAINING_HISTORY,
)

SHARED = (
    ROW_LEDGER,
    QUARANTINE,
    BROKEN_RULES,
    FEATURE_STATS,
    FEATURE_SAMPLES,
    DRIFT_METRICS,
    TRAINING_HISTORY,
    FEED_RECEIPTS,
    RUN_EVENTS,
    SEARCH_TRIALS,
    PREDICTIONS,
    EVALUATION_METRICS,
    MODELS,
    MODEL_DIFFERENCES,
    SLICE_METRICS,
    FEATURE_IMPORTANCE,
    LIVE_METRICS,
    RUNS,
)

FORMER_NAMES: Mapping[str, Mapping[str, str]] = {ROW_LEDGER.name: {"step": "stage"}}
"""By table, columns that the project has renamed, with their former names: stored tables are brought up to the new ones."""

__all__ = [
    "BROKEN_RULES",
    "DRIFT_METRICS",
    "EVALUATION_METRICS",
    "FEATURE_FILES",
    "FEATURE_IMPORTANCE",
    "FEATURE_SAMPLES",
    "FEATURE_STATS",
    "FEED_RECEIPTS",
    "FORMER_NAMES",
    "IDENTIFIED",
    "INTERVAL",
    "LANDED",
    "LANDING",
    "LIVE_METRICS",
    "MODELS",
    "MODEL_DIFFERENCES",
    "PREDICTIONS",
    "QUARANTINE",
    "ROW_ID",
    "ROW_LEDGER",
    "RUN",
    "RUNS",
    "RUN_EVENTS",
    "SCORED",
    "SEARCH_TRIALS",
    "SHARED",
    "SLICE_METRICS",
    "SPLIT",
    "SPLITS",
    "TRAINING_HISTORY",
    "clean",
    "features",
    "raw",
    "scores",
]
