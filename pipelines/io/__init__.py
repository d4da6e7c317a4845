"""The only code that touches storage: tables, files."""
