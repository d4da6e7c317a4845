"""What linear models reach on the digits and sentiment examples, on the rows of their features tables: their yardsticks.

`make run PIPELINE=digits`, `make run PIPELINE=sentiment`, then `make bench-yardsticks`. Digits: logistic regression on the 64
levels. Sentiment: logistic regression on counted words (bag of words). The strength of regularization is chosen on
validation, figures are of test.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn import metrics
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.results import store
from pipelines.config import read_config
from pipelines.io.catalog import catalog_settings
from pipelines.runtime.session import SETTINGS

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Fit both, print and store their figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--conf", type=Path, default=ROOT / "conf", help="the folder of digits.yaml and sentiment.yaml")
    folder = parser.parse_args().conf
    figures_by_name = {"digits": digits(folder), "sentiment": sentiment(folder)}
    for name, figures in figures_by_name.items():
        print(name, ", ".join(f"{metric} {value:.4f}" for metric, value in figures.items()))
    store("yardsticks", figures_by_name)


def digits(folder: Path) -> dict[str, float]:
    """Logistic regression on the levels."""
    rows = read(folder, "digits", "features").toPandas()
    splits = dict(iter(rows.groupby("split")))
    values = {name: np.stack(part["image"].to_list()) for name, part in splits.items()}
    scores = best(values, {name: part["label"] for name, part in splits.items()})
    truth, verdict = splits["test"]["label"], scores.argmax(axis=1)
    return {
        "accuracy": metrics.accuracy_score(truth, verdict),
        "log_loss": metrics.log_loss(truth, scores),
        "macro_f1": metrics.f1_score(truth, verdict, average="macro"),
    }


def sentiment(folder: Path) -> dict[str, float]:
    """Logistic regression on counted words."""
    clean = read(folder, "sentiment", "clean_snippets").select(F.xxhash64("id").alias("row_id"), F.col("text").alias("text"))
    rows = read(folder, "sentiment", "features").join(clean, "row_id").select("split", "label", "text").toPandas()
    splits = dict(iter(rows.groupby("split")))
    counter = CountVectorizer(min_df=2).fit(splits["train"]["text"])
    values = {name: counter.transform(part["text"]) for name, part in splits.items()}
    scores = best(values, {name: part["label"] for name, part in splits.items()})[:, 1]
    truth = splits["test"]["label"]
    return {
        "auc": metrics.roc_auc_score(truth, scores),
        "average_precision": metrics.average_precision_score(truth, scores),
        "log_loss": metrics.log_loss(truth, scores),
        "accuracy": metrics.accuracy_score(truth, scores > 0.5),
    }


def best(values: dict[str, Any], labels: dict[str, pd.Series]) -> Any:
    """Probabilities of the test rows by the model that has the least loss on validation."""
    models = [LogisticRegression(C=c, max_iter=5000).fit(values["train"], labels["train"]) for c in STRENGTHS]
    losses = [metrics.log_loss(labels["validation"], model.predict_proba(values["validation"])) for model in models]
    return models[int(np.argmin(losses))].predict_proba(values["test"])


def read(folder: Path, pipeline: str, table: str) -> Any:
    """Open a table of a pipeline's lake as a Spark DataFrame."""
    config = read_config(folder / f"{pipeline}.yaml")
    builder = SparkSession.builder.master("local[2]").appName("ringmill yardsticks")
    for key, value in {**SETTINGS, **catalog_settings(config.lake)}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate().table(f"lake.{config.pipeline}.{table}")


if __name__ == "__main__":
    main()
