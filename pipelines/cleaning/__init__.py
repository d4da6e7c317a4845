"""Rows against their contract: parsed, checked, without duplicates and outliers, and accounted for."""
