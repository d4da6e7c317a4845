"""Row plan, feed, network, loop, checkpoint. TensorFlow and Horovod; never pyspark."""
