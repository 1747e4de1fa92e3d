"""The tools that every framework's agent has; plain functions, typed as frameworks ask for it."""

from typing import Final

from tests.frameworks.model import POLLS

TASK: Final = "Get me to New York."
"""What every agent is asked."""

_asked = 0


def find_flights(origin: str, destination: str) -> str:
    """Find the flights between two airports.

    Args:
        origin: where from.
        destination: where to.
    """
    found = {("BER", "LHR"): "BA 983 08:10, 2 seats", ("LHR", "JFK"): "BA 117 11:25, 9 seats"}
    return found.get((origin, destination), "no flights found")


def job_status(job: str) -> str:
    """Ask how a job is doing.

    Args:
        job: which.
    """
    global _asked  # noqa: PLW0603 - the world's state, which a script asks for once
    _asked += 1
    return '{"job": "%s", "status": "%s"}' % (job, "running" if _asked < POLLS else "done")  # noqa: UP031


def book_flight(flight: str, seat: str) -> str:
    """Book a seat.

    Args:
        flight: which flight.
        seat: which seat.
    """
    if flight == "LH 400":
        raise ValueError(f"the seat map of {flight} is closed, ask the airline")
    return f"booked {seat} on {flight}"
