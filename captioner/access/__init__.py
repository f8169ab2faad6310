"""Who may do what: keys, whose jobs are seen, and how much of it.

`keys` says what a key is, `book` keeps them in the database, `keyring` knows who shows one. `doors`
says whether keys are asked for at all. `limits` counts requests, `quota` counts pictures. None of
it knows HTTP. See docs/adr/0029 and docs/adr/0030.
"""
