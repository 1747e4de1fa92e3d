"""How fast a receiver is, measured so that it can be believed: the engine of `otel-ext bench`.

Reading order: `payload` (requests encoded beforehand, fresh ids), `http` and `sender` (a process of
clients), `machine` (what the kernel says of a process and of everybody else), `cases` (what is measured),
`server` and `servers` (who is measured), `measure` (one run), `session` (all runs, by turns), `figures`
(percentiles, medians, what is a regression), `tables` (how it is told), `baseline` (how it is kept and
compared).

Law of this package: nothing else of ours imports it, and it is imported when `otel-ext bench` runs. A server
is always a process of its own, and so are the clients; each is held to one core, the first and the last that
are allowed, and the output says so. Nothing measured is thrown away but the warm-up, and that is said too.
"""
