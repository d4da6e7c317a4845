"""Versions of models, their gate and their aliases. Plain Python: no Spark, no TensorFlow."""
