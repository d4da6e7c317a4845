"""Tests mirror the source; they use real Spark, real tables, real ranks."""
