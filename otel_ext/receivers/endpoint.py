"""Addresses that doors listen on: `HOST:PORT`, or `unix:///path` for a Unix domain socket.

Law of this file: an address that somebody else serves is an error, never shared and never taken over. A
socket file is bound in a folder that only we can enter, gets its mode there, and is then renamed to its
place: nobody can connect before the mode is set, and a file left by a dead process is replaced in one step.
"""

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from otel_ext.errors import ConfigError
from otel_ext.files import RealFiles

UNIX: Final = "unix://"
_MODE: Final = 0o600
_BACKLOG: Final = 512


def listen(endpoint: str, *, flag: str, mode: int = _MODE) -> tuple[socket.socket, str]:
    """A listening socket for `endpoint`, and the endpoint with its port resolved.

    Args:
        endpoint: as above; port 0 picks a free one.
        flag: the command line's name for this address, for errors.
        mode: permissions of a socket file.

    Raises:
        ConfigError: the address is taken or cannot be bound.
    """
    if endpoint.startswith(UNIX):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with unix_socket(endpoint, flag=flag, mode=mode) as path:
                made.bind(path)
                made.listen(_BACKLOG)
        except BaseException:
            made.close()
            raise
        return made, endpoint
    host, _, port = endpoint.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            # Not SO_REUSEPORT: it would let a second sidecar steal half of the connections.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(_BACKLOG)
        except BaseException:
            made.close()
            raise
    except OSError as error:
        raise refused(endpoint, flag) from error
    return made, f"{host}:{made.getsockname()[1]}"


def refused(endpoint: str, flag: str) -> ConfigError:
    """What to tell a person when an address cannot be bound."""
    return ConfigError(
        f"cannot listen on {endpoint}: the address is in use or not this machine's; stop what "
        f"listens there or choose another with {flag} HOST:PORT"
    )


@contextlib.contextmanager
def unix_socket(endpoint: str, *, flag: str, mode: int = _MODE) -> Iterator[str]:
    """Gives a path to bind a socket to and to listen on, and moves that socket to its place afterwards.

    Args:
        endpoint: `unix:///path`; a missing folder is made, for this user only.
        flag: the command line's name for this address, for errors.
        mode: permissions of the socket file.

    Raises:
        ConfigError: a living process listens there, something that is no socket is there, or the folder
            cannot be used.
    """
    place = Path(endpoint.removeprefix(UNIX))
    try:
        RealFiles().make_directory(str(place.parent))
        own = Path(tempfile.mkdtemp(prefix=".otx", dir=place.parent))
        try:
            bound = own / "s"
            yield str(bound)
            bound.chmod(mode)
            _move(bound, place, flag)
        finally:
            (own / "s").unlink(missing_ok=True)
            own.rmdir()
    except OSError as error:
        raise ConfigError(f"cannot listen on {endpoint}: {error.strerror or error}") from error


def remove(endpoint: str, identity: tuple[int, int]) -> None:
    """Take our socket file away, unless another process has put its own there."""
    place = Path(endpoint.removeprefix(UNIX))
    with contextlib.suppress(OSError):
        if identity == identity_of(endpoint):
            place.unlink()


def identity_of(endpoint: str) -> tuple[int, int]:
    """Device and inode of a socket file."""
    found = Path(endpoint.removeprefix(UNIX)).stat()
    return found.st_dev, found.st_ino


def _move(bound: Path, place: Path, flag: str) -> None:
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two that start at once: the second one sees the first one's
        if os.path.lexists(place) and not place.is_socket():
            raise ConfigError(f"{place} is not a socket; choose another path with {flag} unix:///PATH")
        if _alive(place):
            raise ConfigError(
                f"cannot listen on {place}: a running process does; stop it or choose another path "
                f"with {flag} unix:///PATH"
            )
        bound.replace(place)
    finally:
        os.close(folder)


def _alive(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(place))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except BlockingIOError:  # its queue is full
            return True
    return True
