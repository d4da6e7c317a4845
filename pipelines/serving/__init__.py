"""The exported model, for whoever scores with it. Never pyspark."""
