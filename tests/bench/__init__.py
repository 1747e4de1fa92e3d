"""Speed, measured on whole processes: `python -m tests.bench`."""
