"""All steps in one application."""

from pipelines.flows import clean, evaluate, features, ingest, train

STEPS = (ingest.STEP, clean.STEP, features.STEP, train.STEP, evaluate.STEP)
