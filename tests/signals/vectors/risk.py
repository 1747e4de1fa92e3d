"""Risks: what may have done harm."""

from otel_ext.testing import AgentRun
from tests.signals.vectors import Vector


def sent_twice(run: AgentRun) -> None:
    """The same message, some calls apart."""
    mail = {"to": "anna@example.org", "subject": "Your order", "body": "It is on its way."}
    run.call("send_email", mail, "sent as 1")
    run.call("get_order", {"order_id": 7}, "shipped")
    run.call("mcp__mail__send_email", {"to": "bert@example.org", "body": "Hello"}, "sent as 2")
    run.call("send_email", mail, "sent as 3")


def paid_twice_at_once(run: AgentRun) -> None:
    """Two payments of one model response."""
    run.think()
    for number in range(2):
        run.more("pay_invoice", {"invoice": 7, "amount": 120}, f"paid, receipt {number}", at_once=True)


def booked_without_results(run: AgentRun) -> None:
    """What came back was not captured."""
    for _ in range(2):
        run.call("book_flight", {"flight": "HAT001", "passenger": "Anna"})


def two_messages(run: AgentRun) -> None:
    """Another text is another message."""
    for text in ("Hello", "One more thing"):
        run.call("send_email", {"to": "anna@example.org", "body": text}, "sent")


def retried_with_a_key(run: AgentRun) -> None:
    """The other side can tell that it is the same."""
    for _ in range(2):
        run.call("pay_invoice", {"invoice": 7, "idempotency_key": "k1"}, "paid")


def failed_and_retried(run: AgentRun) -> None:
    """The first attempt did nothing."""
    run.fail("send_email", {"to": "anna@example.org"}, "550 mailbox unavailable")
    run.call("send_email", {"to": "anna@example.org"}, "sent")


def asked_for_again(run: AgentRun) -> None:
    """A person wants it twice."""
    for text in ("Send it to Anna.", "She lost it, send it once more."):
        run.user(text)
        run.call("send_email", {"to": "anna@example.org", "body": "Hello"}, "sent")


def files_created_twice(run: AgentRun) -> None:
    """Writing the same file again leaves one file."""
    for _ in range(2):
        run.call("create_file", {"path": "/app/a.py", "content": "x"}, "created")


def set_twice(run: AgentRun) -> None:
    """Setting the same value again changes nothing."""
    for _ in range(2):
        run.call("update_user", {"user_id": 7, "name": "Anna"}, "updated")


def one_payment_told_twice(run: AgentRun) -> None:
    """A client's span and the server's inside it are one call."""
    arguments = {"invoice": 7, "amount": 120}
    client = run.call("pay_invoice", arguments, "paid", at_once=True)
    server = run.more("pay_invoice", arguments, "paid", call_id="")
    server.parent_span_id = client.span_id


MUST = [
    Vector(sent_twice, "risk.duplicate_side_effect", "error"),
    Vector(paid_twice_at_once, "risk.duplicate_side_effect", "error"),
    Vector(booked_without_results, "risk.duplicate_side_effect", "error"),
]

MUST_NOT = [
    Vector(story, "risk.")
    for story in (
        two_messages,
        retried_with_a_key,
        failed_and_retried,
        asked_for_again,
        files_created_twice,
        set_twice,
        one_payment_told_twice,
    )
]
