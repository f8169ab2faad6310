"""Calls from us to addresses that a client named: pictures by URL, and webhooks.

A client must not reach through us what it could not reach itself (server-side request forgery).

    urls       what an address's text may be: no connection, no look-up; the API calls it
    addresses  which IP addresses belong to the public internet
    rules      what an operator allows beyond that
    names      one look-up of a name, within a bound
    pinned     connecting to the address that was checked, and to no other
    bodies     reading an answer within a bound
    client     one GET for a picture, one POST for a webhook

A name is looked up once for each connection, every address of the answer is checked, and the
connection goes to one of these: a name that changes its address in between changes nothing.
See the OWASP cheat sheet on server-side request forgery.
"""
