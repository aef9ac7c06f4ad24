"""The command line: ``labkit up``, ``labkit lab``, ``labkit status`` and so on."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import typer
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table

from labkit.capture.event import OPERATION_NAMES
from labkit.digits import DISTURBANCES, check_disturbance
from labkit.engines.catalog import ENGINES, LOCAL, find_engine, find_packages
from labkit.engines.choice import chosen_engine
from labkit.engines.environment import EngineEnvironment
from labkit.engines.place import check_no_place
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.ledger import Fault
from labkit.model.lean_keras import lean_imports
from labkit.settings import HTTP_SCORER, LOOPBACK, SCORER, CaptureName, StackName, load_settings

app = typer.Typer(
    help="A database feeds a machine-learning model in real time.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
engines = typer.Typer(help="Score on other engines, each in an environment of its own.", no_args_is_help=True)
app.add_typer(engines, name="engine")
console = Console()
notes = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Parallelism = Annotated[
    int | None,
    typer.Option(help="Threads here, or a cluster's cores or task slots, at most. By default what can share the work."),
]
Stack = Annotated[
    StackName | None, typer.Option(help="Who runs the servers. By default as at the last start, at first embedded.")
]


def _lab_on(stack: StackName | None, capture: CaptureName | None = None) -> Lab:
    """The lab with the stack and the capture that were asked for; with those it had where none were."""
    asked = {name: value for name, value in (("stack", stack), ("capture", capture)) if value}
    return Lab(load_settings().model_copy(update=asked))


def _say(line: str) -> None:
    notes.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


@app.command()
def up(
    stack: Stack = None,
    capture: Annotated[
        CaptureName | None, typer.Option(help="What runs Debezium. By default as at the last start, at first connect.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the servers; harmless when they run already."""
    lab = _lab_on(stack, capture).up(_say)
    if as_json:
        _print_json(lab.endpoints.model_dump(exclude={"admin_password", "capture_password"}))
    else:
        connect = lab.endpoints.capture == "connect"
        capturing = f"Kafka Connect: {lab.endpoints.connect}" if connect else "Debezium Server captures"
        console.print(f"The lab is up. Kafka: {lab.kafka}, {capturing}", highlight=False)


@app.command()
def lab(
    notebook: Annotated[str, typer.Argument(help="The notebook to open.")] = "01_first_digit.ipynb",
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    stack: Stack = None,
) -> None:
    """Start the servers and JupyterLab; stop both when JupyterLab ends. The data stay."""
    from labkit.jupyter import run_jupyter

    run_jupyter(_lab_on(stack), notebook, browser=browser, report=_say)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Tell what runs where and how healthy it is. Exits with 1 where something is not well."""
    services = Lab().status()
    if as_json:
        _print_json([asdict(service) for service in services])
    elif not services:
        console.print("The lab is not running here. Start it with: labkit up")
    else:
        table = Table("", "part", "state", "address", "process", "memory", "up", "note", box=None)
        for service in services:
            idle = service.on_demand and service.state == "stopped"
            table.add_row(
                "·" if idle else "✓" if service.healthy else "✗",
                service.name,
                service.state,
                service.address,
                str(service.pid or ""),
                f"{service.rss_mib:.0f} MiB" if service.pid else "",
                f"{service.uptime_s:.0f} s" if service.pid else "",
                "starts once capture is set up" if idle else service.note,
            )
        console.print(table)
    idle = {service.name for service in services if service.on_demand and service.state == "stopped"}
    needed = [service for service in services if service.name not in {SCORER, *idle}]
    if not services or any(not service.healthy for service in needed):
        raise typer.Exit(1)


@app.command()
def doctor(
    docker: Annotated[bool, typer.Option("--docker", help="Check Docker, too.")] = False, as_json: AsJson = False
) -> None:
    """Check this machine before the workshop and say what to mend. Exits with 1 where something must be mended."""
    from labkit.doctor import examine

    findings = examine(Lab().settings, docker=docker)
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    else:
        table = Table("", "what", "found", "to mend it", box=None)
        marks = {"ok": "✓", "warning": "!", "error": "✗"}
        for finding in findings:
            table.add_row(marks[finding.level], finding.what, finding.found, finding.fix)
        console.print(table)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


@app.command()
def send(
    rate: Annotated[float, typer.Option(help="Digits per second, above 0 and at most 1000.")] = 5.0,
    count: Annotated[int, typer.Option(help="How many digits.")] = 20,
    how: Annotated[str, typer.Option(help=f"What is done to them: {', '.join(DISTURBANCES)}.")] = "clean",
    strength: Annotated[float, typer.Option(help="How much of it, from 0 to 1.")] = 0.5,
    as_json: AsJson = False,
) -> None:
    """Insert sample digits into mnist_test at a steady rate."""
    disturbance = check_disturbance(how, strength)
    ids = Lab().sender.send(count, rate, how=disturbance[0], strength=disturbance[1])
    if as_json:
        _print_json({"inserted": len(ids), "ids": ids})
    else:
        console.print(f"{len(ids)} digits inserted" + (f", rows {ids[0]} to {ids[-1]}" if ids else ""))


@app.command()
def train(
    load: Annotated[
        str, typer.Option(help="Where digits come from if the tables are empty: bundled or mnist.")
    ] = "bundled",
    route: Annotated[
        Literal["csv", "bytes"],
        typer.Option(help="csv: TensorFlow reads lines of text, as in the talk. bytes: rows as they are now, quicker."),
    ] = "csv",
    seed: Annotated[int | None, typer.Option(help="Makes the training repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Load digits, capture them, train the talk's network from Kafka, and publish it to the scorer."""
    from labkit.model.training import evaluate_on_topic

    the_lab = Lab().up(_say)
    _say(the_lab.load_digits(load, report=_say))
    the_lab.capture()
    training = the_lab.train(route=route, seed=seed, verbose=0 if as_json else "auto")
    accuracy = evaluate_on_topic(training.model, the_lab.kafka)
    version = the_lab.publish(training.model)
    if as_json:
        _print_json({"version": version, "digits": training.digits, "seconds": training.seconds, "accuracy": accuracy})
    else:
        console.print(
            f"model {version}: {training.digits:,} digits from Kafka in {training.seconds:.1f} s, "
            f"accuracy on the test topic {accuracy:.1%}"
        )


@app.command()
def score(
    source: Annotated[
        Literal["kafka", "http"], typer.Option("--from", help="Where change events come from: kafka or http.")
    ] = "kafka",
    engine: Annotated[
        str,
        typer.Option(help="What scores: local, spark, flink-kafka or flink-cdc. By default what the lab scores with."),
    ] = "",
    master: Annotated[str, typer.Option(help="Where the engine runs, such as local[2] or spark://host:7077.")] = "",
    parallelism: Parallelism = None,
) -> None:
    """Score change events until stopped. The lab's supervisor runs this; by hand it is for looking closer."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the scorer itself says when the broker is away
    the_lab = Lab()
    noted = chosen_engine(the_lab.settings)
    name = engine or noted.engine
    found = None if name == LOCAL else find_engine(name)
    service = HTTP_SCORER if source == "http" else found.service if found else SCORER
    lock = FileLock(the_lab.settings.home / f"{service}.lock")  # Held as long as the name.
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LabError(
            "a scorer of this lab runs already: two would predict every event twice", "labkit status"
        ) from None
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if source == "http":
        _score_http(the_lab, stop)
    elif found is not None:
        from labkit.engines.job import run_job

        place = noted.asked_for(found, master, parallelism)
        run_job(found, place, the_lab.kafka, the_lab.settings, stop)
    else:
        check_no_place(master, parallelism)
        _score_here(the_lab, stop)


def _score_http(the_lab: Lab, stop: threading.Event) -> None:
    if HTTP_SCORER not in the_lab.endpoints.server_ports:
        raise LabError("changes are posted by Debezium Server only", "labkit up --capture server")
    with lean_imports():
        from labkit.capturing import webhook_secret
        from labkit.database.prediction_table import PredictionTable
        from labkit.model.http_scorer import HttpScorer, serve
        from labkit.model.inference import single_thread
        from labkit.model.store import ModelStore

    single_thread()
    scorer = HttpScorer(ModelStore(the_lab.settings.home / "models"), PredictionTable(the_lab.endpoints))
    port = the_lab.endpoints.server_ports[HTTP_SCORER]
    serve(scorer, webhook_secret(the_lab.settings), LOOPBACK, port, stop)


def _score_here(the_lab: Lab, stop: threading.Event) -> None:
    with lean_imports():
        from labkit.model.checkpoint import CheckpointFile
        from labkit.model.inference import single_thread
        from labkit.model.scorer import Scorer
        from labkit.model.standstill import EndAtStandstill
        from labkit.model.store import ModelStore

    single_thread()
    home = the_lab.settings.home
    checkpoint = CheckpointFile(home / "learner.checkpoint")
    Scorer(the_lab.kafka, ModelStore(home / "models"), checkpoint, EndAtStandstill()).run(stop)


@engines.command(name="list")
def engine_list(as_json: AsJson = False) -> None:
    """Tell which engines there are, what they take, and which of them scores."""
    settings = load_settings()
    used = chosen_engine(settings).engine
    found = [
        {
            "engine": engine.name,
            "title": engine.title,
            "made_of": engine.packages.title,
            "installed": EngineEnvironment(engine.packages, settings).installed,
            "install": f"labkit engine install {engine.packages.name}",
            "scores": engine.name == used,
            "download_mib": engine.packages.download_mib,
            "disk_mib": engine.packages.disk_mib,
        }
        for engine in ENGINES.values()
    ]
    if as_json:
        _print_json(found)
        return
    table = Table("engine", "", "made of", "installed", "to fetch", "on disk", box=None)
    table.add_row(f"{LOCAL}{' (scores)' if used == LOCAL else ''}", "the lab's own scorer", "", "✓", "", "")
    for row in found:
        table.add_row(
            f"{row['engine']}{' (scores)' if row['scores'] else ''}",
            str(row["title"]),
            str(row["made_of"]),
            "✓" if row["installed"] else str(row["install"]),
            f"{row['download_mib']} MiB",
            f"{row['disk_mib']} MiB",
        )
    console.print(table)


@engines.command(name="install")
def engine_install(name: Annotated[str, typer.Argument(help="spark or flink.")]) -> None:
    """Make an engine's own environment; what it takes is told first."""
    EngineEnvironment(find_packages(name), load_settings()).install(_say)


@engines.command(name="remove")
def engine_remove(name: Annotated[str, typer.Argument(help="spark or flink.")]) -> None:
    """Delete an engine's environment."""
    packages = find_packages(name)
    used = chosen_engine(load_settings()).engine
    if used != LOCAL and find_engine(used).packages == packages:
        raise LabError(f"this lab scores with {packages.title}", f"labkit engine use {LOCAL}")
    EngineEnvironment(packages, load_settings()).remove()
    console.print(f"{packages.title} is removed.")


@engines.command(name="use")
def engine_use(
    name: Annotated[str, typer.Argument(help="local, spark, flink-kafka or flink-cdc.")],
    master: Annotated[str, typer.Option(help="Where it runs, such as local[2] or spark://host:7077.")] = "",
    parallelism: Parallelism = None,
) -> None:
    """Let an engine score from now on; each goes on where the other was."""
    Lab().score_by(name, master, parallelism)
    console.print(f"{name} scores now.")


@engines.command(name="stop")
def engine_stop(
    name: Annotated[str, typer.Argument(help="flink-cdc, which scores beside the others.")],
    forget: Annotated[bool, typer.Option("--forget", help="Remove its replication slot and checkpoints, too.")] = False,
) -> None:
    """Stop an engine that scores beside the others; it leaves a savepoint."""
    Lab().stop_engine(name, forget=forget)
    console.print(f"{name} is stopped" + (", and its slot is gone." if forget else "; labkit engine use goes on."))


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path("build/demo.json"),
    as_json: AsJson = False,
) -> None:
    """The whole way without a browser, measured. Exits with 1 where something is lost, repeated or too slow."""
    from labkit.demo import run_demo

    figures, failures = run_demo(load_settings(), report=_say)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n")
    if as_json:
        _print_json(figures)
    else:
        table = Table("figure", "value", box=None)
        for name, value in figures.items():
            table.add_row(
                name, ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
            )
        console.print(table)
    for failure in failures:
        _say(f"FAILED: {failure}")
    if failures:
        raise typer.Exit(1)


def _shown(value: object) -> str:
    """A figure of the ledger as people read it: of a list how many and the first of them, of a share its percents."""
    if isinstance(value, list):
        return f"{len(value)}: {', '.join(map(str, value[:8]))}" if value else "0"
    return f"{value:.2%}" if isinstance(value, float) else str(value)


FAULTS_SHOWN = 20


def _fault_table(faults: Sequence[Fault]) -> Table:
    """The first faults, one a line, with what is known of each."""
    more = len(faults) - FAULTS_SHOWN
    caption = f"and {more:,} more: labkit ledger --json" if more > 0 else None
    table = Table("fault", "row", "change", "LSN", "transaction", "event", box=None, caption=caption)
    for fault in faults[:FAULTS_SHOWN]:
        change = OPERATION_NAMES[fault.operation] if fault.operation else None
        cells = (fault.kind, fault.row_id, change, fault.lsn, fault.transaction, fault.place)
        table.add_row(*("" if cell is None else str(cell) for cell in cells))
    return table


@app.command()
def ledger(
    wait: Annotated[float, typer.Option(help="Wait at most this many seconds for what is under way.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Balance rows against events against predictions, by id. Exits with 1 where the account does not balance."""
    account = Lab().ledger(wait_s=wait)
    if as_json:
        _print_json(account.as_dict())
    else:
        table = Table("account of mnist_test", "", box=None)
        for name, value in account.as_dict().items():
            if name != "faults":
                table.add_row(name.replace("_", " "), _shown(value))
        console.print(table)
        if account.faults:
            console.print(_fault_table(account.faults))
            for kind, explanation in {fault.kind: fault.explanation for fault in account.faults}.items():
                console.print(f"{kind}: {explanation}")
        for words in account.advice:
            _say(f"  → {words}")
    if not account.balanced:
        raise typer.Exit(1)


@app.command()
def mend(
    wait: Annotated[float, typer.Option(help="Wait at most this many seconds for what is under way.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Record anew what the ledger finds missing, and count again. Exits with 1 where something still is."""
    mended = Lab().mend(wait, _say)
    account = mended.ledger
    if as_json:
        _print_json(asdict(mended) | {"whole": mended.whole})
    else:
        done = [*mended.read_anew, *mended.restarted, *mended.deleted_anew]
        console.print(
            f"{'mended' if done else 'nothing to mend'}: {account.rows:,} rows, {account.events:,} events, "
            f"{account.lost:,} lost, score {'right' if account.score_agrees else 'wrong'}",
            highlight=False,
        )
        for words in account.advice:
            _say(f"  → {words}")
    if not mended.whole:
        raise typer.Exit(1)


@app.command()
def logs(
    service: Annotated[
        str, typer.Argument(help="postgres, kafka, connect, server-csv, server-bytes, scorer or supervisord.")
    ],
    lines: Annotated[int, typer.Option(help="How many lines.")] = 40,
) -> None:
    """Print the last lines of a service's log."""
    print(Lab().stack.log(service, lines))


@app.command()
def down(
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="Keep rows, topics and models for the next start.")
    ] = False,
) -> None:
    """Stop everything and leave nothing behind: the rows, topics and models go, too."""
    Lab().down(keep_data=keep_data, report=_say)
    console.print("The lab is down." if keep_data else "The lab is down and its data are gone.")


def _end(number: int, _frame: FrameType | None) -> None:
    """Leave the way Ctrl-C does, so that what a command started is stopped."""
    if number == signal.SIGHUP:
        # The terminal's window was closed: writing to it would fail.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
    sys.exit(128 + number)


def main() -> None:
    """Run the command line; an error a person can mend is two lines, not a traceback."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        app()
    except LabError as error:
        _say(f"✗ {error.problem}")
        if error.fix:
            _say(f"  → {error.fix}")
        sys.exit(1)
    except KeyboardInterrupt:
        _say("interrupted; run the same command again to go on")
        sys.exit(130)
