"""`otel-ext validate`: what would be run, and why; nothing is opened."""

import click

from otel_ext.cli.options import configuration, given
from otel_ext.cli.refused import Refused
from otel_ext.errors import ConfigError
from otel_ext.service import effective, load, source_of


class Invalid(Refused):
    """The answer is no."""

    exit_code = 1


@click.command(help="Print the effective configuration and where each value comes from; exit 1 on a mistake.")
@configuration
def command(config: tuple[str, ...], **options: str | None) -> None:
    """`otel-ext validate`."""
    try:
        loaded = load([source_of(reference) for reference in config], given(options))
    except ConfigError as error:
        raise Invalid(str(error)) from error
    click.echo(effective(loaded), nl=False)
