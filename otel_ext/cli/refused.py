"""The error of a command that cannot be served: one line on stderr, exit code 2."""

import click


class Refused(click.ClickException):
    """The call is wrong or cannot be served; the text says what, where and what to do."""

    exit_code = 2
