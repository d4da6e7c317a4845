"""All steps in one application."""

from pipelines.steps import clean, evaluate, features, ingest, publish, train

STEPS = (ingest.STEP, clean.STEP, features.STEP, train.STEP, evaluate.STEP, publish.STEP)
