"""How good the findings are, measured on real agent traces: `python -m tests.quality`."""
