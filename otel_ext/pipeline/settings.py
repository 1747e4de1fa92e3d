"""Every bound and interval of the engine, with its unit and its default (law L9)."""

from typing import Final, Literal

import msgspec

from otel_ext.signals import Settings as SignalSettings

MIB = 1 << 20


class EngineSettings(msgspec.Struct, kw_only=True, frozen=True):
    """Settings of one engine. Times in seconds, sizes in bytes.

    Attributes:
        sync: when a request counts as durable; `always` loses nothing that was acknowledged, `interval`
            what the last `sync_interval` brought and only in a power cut, `never` whatever the kernel had not
            yet written, and only in a power cut.
        segment_bytes: size at which a journal segment is closed.
        min_free: free bytes below which intake answers Busy.
        max_backlog: journal bytes that wait to be processed, above which intake answers Busy.
        max_in_flight: bytes of requests being admitted at one time.
        memory_limit: resident bytes of the process above which intake answers Busy; 0 for no limit.
        service_share: part of `max_backlog` and `max_in_flight` that one service may use while others send.
        linger: shortest time between two looks at the journal; what comes meanwhile is processed at one go.
        give_way: how many times as long as it has worked the pipeline rests at most while requests are being
            made durable; 0 for not at all.
        breath: seconds that it pauses after each 0.2 ms of work, whoever else is there; 0 for not at all.
        checkpoint_interval: longest time between checkpoints while there is something to save.
        checkpoint_bytes: journal bytes processed after which a checkpoint is taken earlier.
        file_bytes: size at which a session file is sealed and the next one begins.
        file_age: engine time after which a session file is sealed; 0 for never.
        compress_after: engine time since a file was sealed after which it is compressed; 0 for never.
        retention_age: engine time since a file was sealed after which it is removed; 0 for never.
        retention_bytes, retention_files: all session files together may take so much; the oldest sealed ones
            are removed beyond it; 0 for no limit.
        turn_files, turn_bytes: most work on sealed files at one go; after a checkpoint there is
            one go or more, in at most half of the time.
        open_files: descriptors of session files kept open.
        sync_each: written files above which a checkpoint syncs the whole disk instead of each of them.
        reserve: bytes of disk space kept for checkpoints and retention on a full disk; 0 for none.
        forward_wait: how long a request waits for destinations without which it is not acknowledged.
        line_bytes: longest line of a session file; a single larger span stands alone.
        idle_timeout: a session without spans for so long has ended.
        hold: how long a trace whose session is unknown, and steps that may arrive out of order, wait.
        hold_spans: most spans held for a session id.
        hold_bytes: most bytes held for a session id.
        reorder_steps: most steps that wait to be put in order.
        dedup_window: spans remembered to recognise a re-delivery.
        open_spans: spans that have begun in this process and not ended; beyond it the oldest is written
            as unfinished at once.
        open_spans_bytes: the same bound in bytes.
        open_sessions: sessions that may be open at once; beyond it the longest silent ends early.
        cached_sessions, cached_traces: rows kept in memory; older ones are read from the catalog.
    """

    sync: Literal["always", "interval", "never"] = "always"
    sync_interval: float = 0.1
    segment_bytes: int = 64 * MIB
    min_free: int = 256 * MIB
    max_backlog: int = 4096 * MIB
    max_in_flight: int = 512 * MIB
    memory_limit: int = 0
    service_share: float = 0.5
    linger: float = 0.0
    give_way: float = 6.0
    breath: float = 0.0
    checkpoint_interval: float = 2.0
    checkpoint_bytes: int = 256 * MIB
    file_bytes: int = 64 * MIB
    file_age: float = 86_400.0
    compress_after: float = 0.0
    retention_age: float = 0.0
    retention_bytes: int = 0
    retention_files: int = 0
    turn_files: int = 256
    turn_bytes: int = 64 * MIB
    open_files: int = 256
    sync_each: int = 256
    reserve: int = 16 * MIB
    forward_wait: float = 5.0
    line_bytes: int = MIB
    idle_timeout: float = 1800.0
    hold: float = 2.0
    hold_spans: int = 1000
    hold_bytes: int = 16 * MIB
    reorder_steps: int = 10_000
    dedup_window: int = 262_144
    open_spans: int = 100_000
    open_spans_bytes: int = 256 * MIB
    open_sessions: int = 100_000
    cached_sessions: int = 20_000
    cached_traces: int = 100_000
    signals: SignalSettings = SignalSettings()


IN_PROCESS: Final = EngineSettings(
    sync="interval",
    linger=0.2,
    give_way=0.0,
    breath=0.000_05,
    segment_bytes=16 * MIB,
    max_backlog=512 * MIB,
    max_in_flight=128 * MIB,
    open_files=16,
    reserve=0,
    dedup_window=16_384,
    open_spans=10_000,
    open_spans_bytes=64 * MIB,
    cached_sessions=1_000,
    cached_traces=10_000,
)
"""In somebody else's process: its death loses nothing with `interval`, and memory is not ours to fill."""
