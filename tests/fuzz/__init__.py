"""Mutated input at both doors and in all files: `pytest tests/fuzz`, `pytest -m long tests/fuzz` for long."""
