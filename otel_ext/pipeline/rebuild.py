"""Detectors made anew from files, when their dumped state is of another version (law L2).

Law of this file: what was said is not said again. The steps of every open session are read back from its
files and pass the detectors in the order of their times; a revision that the catalog holds is left out.
Steps that wait for their turn are in the files too, so the reorder buffer starts empty. Where spans
came later than the reorder window, an episode may begin earlier than it did; it has another id then.
"""

import logging

from otel_ext.pipeline.members import Members
from otel_ext.pipeline.recount import Stored, learnt, recount, stored_steps
from otel_ext.pipeline.reorder import CLOSE
from otel_ext.pipeline.tellings import Tellings
from otel_ext.sessions import Session
from otel_ext.signals import Detectors, Finding

log = logging.getLogger(__name__)


def rebuild(signals: Detectors, tellings: Tellings, members: Members, stored: Stored) -> list[Finding]:
    """Bring empty detectors to where the open sessions are, and these to what they count.

    Returns:
        Findings that the catalog does not hold: this version sees what another one did not.
    """
    known = stored.catalog.finding_revisions()
    found: list[Finding] = []
    open_sessions = stored.catalog.active()
    log.warning("the detectors' state is made anew from the files of %d sessions", len(open_sessions))
    for session in open_sessions:
        found += _session(session, signals, tellings, stored)
        counted = recount(session.session_id, stored)
        row = learnt(members.generation(session.session_id, session.generation), counted)
        members.changed(row, active=False)
    return [finding for finding in found if (finding.id, finding.revision) not in known]


def _session(session: Session, signals: Detectors, tellings: Tellings, stored: Stored) -> list[Finding]:
    now, found = session.last_seen, []
    followed = set(stored.catalog.followed(session.session_id, session.generation))
    order = stored_steps(session.session_id, stored)
    for trace_id in order.waiting():
        for happening in tellings.put_together(order, trace_id, session_of=lambda _: session.session_id):
            if trace_id in followed:
                fold = signals.close if happening.phase == CLOSE else signals.open
                found += fold(happening.step, now)
    return found
