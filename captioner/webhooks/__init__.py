"""Webhooks by the Standard Webhooks specification 1.0.0: told once, signed, until it is heard.

    outbox      the row, written in the same transaction as the job's change of state
    payload     what it says
    due         which deliveries need a message, and replays
    claiming    taking one for an attempt
    settling    what came of the attempt
    endpoints   receivers that want no more
    schedule    when the next attempt is due
    secret      the form of a secret; signing: what proves who sent it
    sender      one attempt: claim, sign, POST, settle
    log         what was sent, for people

Every change of a delivery is a conditional update on the database's clock.

    delivery:  pending ──claim, POST──> delivered      (2xx)
                  ^  │                  disabled       (410, now or before)
                  │  ├── failed again, at a later time ──> pending
                  │  └── the last of the schedule ──> failed
                  └──replay── delivered | failed | disabled

A message of the broker is a wake-up here too: it names a delivery, and the row says whether
anything is to be done. The wait between attempts is in the row, never in the broker. An attempt
whose worker was lost is made again with the same `webhook-id`, so a receiver may see one twice.

Specification: https://github.com/standard-webhooks/standard-webhooks
"""
