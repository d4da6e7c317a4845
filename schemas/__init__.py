"""The contract of every table: columns, types, units, keys, rules. Imports nothing of ours."""
