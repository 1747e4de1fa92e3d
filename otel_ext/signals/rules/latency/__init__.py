"""`latency.*`: nothing was wasted by the agent, but it waited."""
