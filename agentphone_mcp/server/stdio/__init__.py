"""Answers a host over stdio while the SDK, which takes most of a start, is still being imported.

    surface.json    what the server says of itself, as the SDK would say it: golden, and regenerated like tools.json
    surface.py      that, for one choice of toolsets; nothing where another SDK is installed or once differed
    early_answers.py  which first messages are answered from it, and which must wait for the SDK
    descriptors.py  stdin and stdout, kept for the protocol alone
    early_session.py  reads from the first line on; hands the session over to the SDK when that is there

The SDK gets every line that came, from the first on, and its answers to what was answered already are dropped. Nothing
here imports the SDK, or anything else that takes its time.
"""
