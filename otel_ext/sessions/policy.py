"""What is to be done with sealed files, and how much of it at a time.

Law of this file: everything is off by default; nothing is deleted that nobody asked to delete.
"""

import msgspec


class Policy(msgspec.Struct, kw_only=True, frozen=True):
    """What to do with sealed files; 0 means never, or no limit.

    Attributes:
        compress_after: ns of engine time since a file was sealed.
        max_age: ns of engine time since it was sealed, after which it is removed.
        max_bytes, max_files: above these, counted over all session files as they lie on the disk, the oldest
            are removed.
        turn_files, turn_bytes: most work of each kind in one turn.
    """

    compress_after: int = 0
    max_age: int = 0
    max_bytes: int = 0
    max_files: int = 0
    turn_files: int = 256
    turn_bytes: int = 64 << 20
