"""How good a model is: metrics, plots, report. NumPy and Matplotlib; never pyspark, never TensorFlow."""
