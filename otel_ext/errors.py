"""One family of errors: who can mend it is in the type.

Law of this file: every error that leaves a room is one of these. `Permanent` means that the same
call can never succeed (the caller must change it); `Retryable` means that the same call may succeed
later. `otel_ext.otlp.status` holds the one table from here to gRPC and HTTP.
"""


class OtelExtError(Exception):
    """The root; never raised itself."""


class Permanent(OtelExtError):
    """The same call will fail again: bad input, bad configuration, damage."""


class Retryable(OtelExtError):
    """The same call may succeed later.

    Attributes:
        retry_after: seconds that the caller should wait before it tries again.
    """

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidRequest(Permanent):
    """The request's bytes are not what they claim to be."""


class TooLarge(Permanent):
    """The request is over a size limit; it must be split, retrying is pointless."""


class NoSuchPath(Permanent):
    """An HTTP request for a path that is not served."""


class WrongMethod(Permanent):
    """An HTTP request of a method that the path does not know."""


class Unsupported(Permanent):
    """An HTTP body of a type or compression that is not read here."""


class Throttled(Retryable):
    """This sender has used up its own share; others are served."""


class Busy(Retryable):
    """We cannot take this now: a budget is used up, the disk is full, or the journal is stopped."""


class ShuttingDown(Retryable):
    """The process is draining; another instance or a later try will serve."""


class ConfigError(Permanent):
    """A setting is unknown or has an unusable value; the text names the key and what is valid."""


class DataFolderError(Permanent):
    """The data folder cannot be used: permissions, a newer format, or another live owner."""


class DataFolderInUse(DataFolderError):
    """Another live process owns the folder."""


class UnsupportedVersion(DataFolderError):
    """A durable format was written by a newer program than this one."""


class DamageError(Permanent):
    """Durable bytes differ from what was promised to be there."""
