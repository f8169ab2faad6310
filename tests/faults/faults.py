"""What can be done to a stand. Each returns when it is over; several may go on at the same time."""

import random
import signal
import time
from collections.abc import Callable

from sqlalchemy import create_engine, text

from tests.faults.fleet import any_of
from tests.faults.stand import QUEUE, Stand
from tests.processes import until

Fault = Callable[[Stand, random.Random], None]
POSTGRES_AWAY_S = 20.0
SHORT_AWAY_S = 5.0
REDIS_AWAY_S = 1.0
PAUSE_S = 14.0
"""Above the lease of `stand.SETTINGS`: others take over what the paused worker holds."""


def kill_worker(stand: Stand, rng: random.Random) -> None:
    """Workers die by -9 at any moment, also while they start."""
    slot = any_of(stand.workers, rng)
    until(lambda: slot.send(signal.SIGKILL) is not None, what=f"process of {slot.name}")


def end_worker(stand: Stand, rng: random.Random) -> None:
    """A worker is told to go, as in a rolling restart."""
    slot = any_of(stand.workers, rng)
    pid = slot.send(signal.SIGTERM)
    if pid is not None:
        try:
            until(lambda: slot.pid != pid, what="end of a worker", timeout_s=25)
        except AssertionError:
            slot.send(signal.SIGKILL, pid=pid)
            raise


def pause_worker(stand: Stand, rng: random.Random) -> None:
    """A worker stands still for longer than its leases, then goes on as if nothing had been."""
    slot = any_of(stand.workers, rng)
    pid = slot.send(signal.SIGSTOP)
    if pid is not None:
        slot.expect_end(pid)  # its watchdog may see one batch that took too long
        time.sleep(PAUSE_S)
        slot.send(signal.SIGCONT, pid=pid)


def restart_redis(stand: Stand, rng: random.Random) -> None:
    """Redis ends in good order, and is back a second later with its data."""
    with stand.redis.turn:
        stand.redis.end(signal.SIGTERM)
        time.sleep(REDIS_AWAY_S)
        stand.redis.start()


def kill_redis(stand: Stand, rng: random.Random) -> None:
    """As above, by -9."""
    with stand.redis.turn:
        stand.redis.end(signal.SIGKILL)
        time.sleep(REDIS_AWAY_S)
        stand.redis.start()


def flush_redis(stand: Stand, rng: random.Random) -> None:
    """All that Redis knew is gone."""
    with stand.redis.turn:
        stand.redis.client.flushall()


def pause_redis(stand: Stand, rng: random.Random) -> None:
    """Redis takes connections and answers nothing."""
    with stand.redis.turn:
        stand.redis.send(signal.SIGSTOP)
        time.sleep(SHORT_AWAY_S)
        stand.redis.send(signal.SIGCONT)


def stop_postgres(stand: Stand, rng: random.Random, *, away_s: float = POSTGRES_AWAY_S) -> None:
    """Postgres crashes and is away."""
    with stand.postgres.turn:
        stand.postgres.stop()
        time.sleep(away_s)
        stand.postgres.start()


def stop_postgres_shortly(stand: Stand, rng: random.Random) -> None:
    """The same, for a moment."""
    stop_postgres(stand, rng, away_s=SHORT_AWAY_S)


def cut_postgres(stand: Stand, rng: random.Random) -> None:
    """Every connection of ours is ended by Postgres, also within a transaction."""
    ours = "pid <> pg_backend_pid() AND application_name = 'captioner'"
    with stand.postgres.turn:
        engine = create_engine(stand.postgres.url)
        with engine.connect() as connection:
            connection.execute(
                text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
            )
        engine.dispose()


def kill_api_after_commit(stand: Stand, rng: random.Random) -> None:
    """An API process dies when a job is committed and nothing is published yet."""
    with stand.dying:
        stand.die_order.touch()
        until(lambda: not stand.die_order.exists(), what="death after a commit", timeout_s=90)


def kill_api(stand: Stand, rng: random.Random) -> None:
    """The API as a whole dies by -9, whatever it was doing."""
    (slot,) = stand.fleet.named("api")
    slot.send(signal.SIGKILL)


def cut_rabbitmq(stand: Stand, rng: random.Random) -> None:
    """Every connection to RabbitMQ breaks."""
    assert stand.rabbit
    stand.rabbit.proxy.cut()


def stop_rabbitmq(stand: Stand, rng: random.Random) -> None:
    """RabbitMQ takes no connection for a while."""
    assert stand.rabbit
    with stand.rabbit.turn:
        stand.rabbit.proxy.refuse()
        time.sleep(SHORT_AWAY_S)
        stand.rabbit.proxy.accept()


def stall_rabbitmq(stand: Stand, rng: random.Random) -> None:
    """Connections to RabbitMQ stand, but nothing comes through."""
    assert stand.rabbit
    with stand.rabbit.turn:
        stand.rabbit.proxy.stall()
        time.sleep(SHORT_AWAY_S)
        stand.rabbit.proxy.flow()


def purge_rabbitmq(stand: Stand, rng: random.Random) -> None:
    """All waiting messages are gone."""
    assert stand.rabbit
    stand.rabbit.purge(QUEUE)


def delete_rabbitmq(stand: Stand, rng: random.Random) -> None:
    """The queue itself is gone, under its consumers."""
    assert stand.rabbit
    stand.rabbit.delete(QUEUE)


FAULTS: dict[str, Fault] = {
    "worker kill -9": kill_worker,
    "worker SIGTERM": end_worker,
    "worker SIGSTOP 14 s": pause_worker,
    "redis restart": restart_redis,
    "redis kill -9": kill_redis,
    "redis FLUSHALL": flush_redis,
    "redis SIGSTOP 5 s": pause_redis,
    "postgres away 20 s": stop_postgres,
    "postgres away 5 s": stop_postgres_shortly,
    "postgres connections cut": cut_postgres,
    "api dies after commit": kill_api_after_commit,
    "api kill -9": kill_api,
    "rabbitmq connections cut": cut_rabbitmq,
    "rabbitmq away 5 s": stop_rabbitmq,
    "rabbitmq stalls 5 s": stall_rabbitmq,
    "rabbitmq queue purged": purge_rabbitmq,
    "rabbitmq queue deleted": delete_rabbitmq,
}
