"""DataFrame to DataFrame, pure: the code that data engineers add. No storage, no TensorFlow."""
