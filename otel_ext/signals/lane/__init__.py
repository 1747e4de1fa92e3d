"""What is kept of a lane and its trace, and how it is dumped: rounds, tracks' marks, costs, twins."""
