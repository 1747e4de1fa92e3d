"""`loop.*`: no progress, by repetition."""
