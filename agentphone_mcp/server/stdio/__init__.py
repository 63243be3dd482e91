"""Answer a host over stdio while the SDK, which takes most of a start, is still being imported.

    surface.json      the server's listings and handshakes, as the SDK would answer: golden, regenerated like tools.json
    surface.py        loads it for one choice of toolsets; None with another version of the SDK
    early_answers.py  `PrecomputedAnswers`: which first messages are answered from it
    descriptors.py    `StdioChannel` and `LineWriter`: stdin and stdout, kept for the protocol alone
    early_session.py  `EarlySession`: reads from the first line on, and hands the session over to the SDK
    precomputed.py    `PrecomputedSurface`: the same surface as objects of the SDK
    drain.py          `DrainingStream`: answers what was asked before the server ends

The SDK gets every line from the first on, and its answers to requests that were answered early are dropped. Only the
last two modules import the SDK.
"""
