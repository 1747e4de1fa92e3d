"""`behavior.*`: how an agent works, told once at its end; never an alarm."""
