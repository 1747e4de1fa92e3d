"""Durable OTLP traces for AI agents.

The tree, from the ground up (imports point down only, rooms on one floor are strangers):

    floor 0  errors clock span step stats           the words every room uses
    floor 1  otlp conventions timestamps dedup      what bytes mean, one question a room
             signals journal sessions
    floor 2  pipeline                               intake -> journal -> process -> outputs -> checkpoint
    floor 3  receivers                              doors
    floor 4  service cli                            configure, build, run; commands
    aside    testing                                fakes at the lowest seam, for us and for users
"""

__version__ = "0.1.0"
