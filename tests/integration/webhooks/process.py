"""A program that sends what is due, until it is killed: what a worker does, without its models."""

import time

from captioner.database import Database
from captioner.outbound.client import Outbound
from captioner.settings import load
from captioner.webhooks import due
from captioner.webhooks.sender import Sender


def main() -> None:
    settings = load()
    database = Database(settings.database)
    sender = Sender(settings, database, Outbound.from_settings(settings))
    while True:
        with database.write() as session:
            taken = due.take_due(session, limit=4)
        for delivery_id in taken:
            sender.send(delivery_id)
        if not taken:
            time.sleep(0.02)


if __name__ == "__main__":
    main()
