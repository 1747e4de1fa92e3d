"""`termination.*`: how an agent's work ended, beside the session's own end (`signals.findings.terminal`)."""
