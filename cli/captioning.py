"""Puts one `captioner caption` together: pictures, server, output and progress."""

import errno
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from threading import Event

import click

from cli.answers import Refused
from cli.client import NoServer, Server, ServerAway, address
from cli.environment import key_to_show
from cli.escape import plain
from cli.finding import STDIN, find
from cli.follow import Follower
from cli.lazy import INTERRUPTED, WRONG_REQUEST
from cli.options import Options
from cli.output import Lines, Table, Writer, csv_rows, json_rows
from cli.pictures import Picture
from cli.progress import Bar, Progress, Ticker
from cli.run import Ledger, Run
from cli.sidecars import Sidecars
from cli.tally import Tally

SOME_FAILED = 1


def run(options: Options) -> int:
    """Caption what `options` name, and return the exit code."""
    url = address(options.server)  # before any output is opened
    stop, tally = Event(), Tally()
    writer = _writer(options)
    progress = _progress(options)
    ledger = Ledger(writer, progress, tally, tell=not isinstance(writer, Table))
    try:
        with closing(
            Server(url, timeout_s=options.timeout_s, stop=stop, say=progress.say, key=key_to_show())
        ) as server:
            follower = Follower(
                server, form=options.form, timeout_s=options.timeout_s, finish=ledger.finish
            )
            crew = Run(follower, ledger, jobs=options.jobs, batch=options.batch, stop=stop)
            ended = _caption(crew, options, tally)
    finally:
        progress.close()
    _close(writer, ended)
    return _report(ended, options, tally, keeps=writer.keeps)


def _caption(crew: Run, options: Options, tally: Tally) -> BaseException | None:
    """Caption everything; what ended the run early, if anything did."""
    try:
        crew.caption(_pictures(options, tally))
    except KeyboardInterrupt as interrupt:
        return interrupt
    return crew.error


def _pictures(options: Options, tally: Tally) -> Iterable[Picture]:
    """All pictures, counted beforehand unless they come from stdin."""
    pictures = find(options.paths, _stdin())
    if STDIN in options.paths:
        return pictures
    found = list(pictures)
    tally.found = len(found)
    return found


def _stdin() -> Iterator[str]:
    """Lines of stdin, which is opened when the first one is wanted."""
    for line in sys.stdin.buffer if sys.stdin else ():
        yield line.decode("utf-8", "surrogateescape")


def _writer(options: Options) -> Writer:
    try:
        if options.as_json:
            return json_rows(sys.stdout, options.output, overwrite=options.overwrite)
        if options.as_csv:
            return csv_rows(sys.stdout, options.output, overwrite=options.overwrite)
    except OSError as error:
        raise _unwritable(error) from error
    if options.sidecars:
        return Sidecars(overwrite=options.overwrite)
    return Table() if sys.stdout.isatty() else Lines(sys.stdout)


def _progress(options: Options) -> Progress:
    if not sys.stderr.isatty():
        return Ticker()
    rows_on_screen = (options.as_json or options.as_csv) and not options.output
    if rows_on_screen and sys.stdout.isatty():
        return Ticker(every_s=float("inf"))  # the rows themselves show how it goes
    return Bar()


def _close(writer: Writer, ended: BaseException | None) -> None:
    """Close the output. Raise what ended the run, where that is none of the known endings."""
    known = KeyboardInterrupt | Refused | ServerAway
    try:
        if ended and not isinstance(ended, known):
            raise ended
        writer.close()
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader, such as `head`, has seen enough: click ends quietly
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> click.ClickException:
    place = f" to {plain(str(error.filename))}" if error.filename else ""
    return click.ClickException(f"The captions cannot be written{place}: {error.strerror}.")


def _report(ended: BaseException | None, options: Options, tally: Tally, *, keeps: bool) -> int:
    tally.unfinished = ended is not None
    if isinstance(ended, NoServer | Refused) and not tally.captioned + tally.failed:
        _say(f"Error: {ended.detail}")
    else:
        _say(_nothing_found(options) if tally.found == 0 else tally.summary())
        if isinstance(ended, Refused | ServerAway):
            _say(f"Error: {ended.detail}")
        if ended and not isinstance(ended, Refused):
            _say(_how_to_go_on(options, keeps=keeps))
    if isinstance(ended, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(ended, Refused):
        return WRONG_REQUEST
    return SOME_FAILED if ended or tally.failed else 0


def _nothing_found(options: Options) -> str:
    return f"No pictures found in {', '.join(options.paths)}."


def _how_to_go_on(options: Options, *, keeps: bool) -> str:
    if not keeps:
        return "Use --sidecars, or --csv --output FILE, to be able to go on after a stop."
    if options.overwrite:
        return "The captions so far are kept. To go on, run it again without --overwrite."
    return (
        "The captions so far are kept. Run the same command again to go on: "
        "it skips the pictures that have their caption."
    )


def _say(message: str) -> None:
    click.echo(plain(message), err=True)
