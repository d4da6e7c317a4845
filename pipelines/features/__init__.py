"""Features: their kinds, profiles of columns, fitting, transformation, leakage and drift."""
