"""The page: the library in a browser, genres that move as tracks play, corrections by ear.

    serve.py      starts the server, and says where it listens
    app.py        which address is answered by what
    guard.py      who is let in: hosts, origins, sessions, read-only; the headers of every answer
    password.py   the password, sessions, and how often one may try
    desk.py       the threads that work for the server, so that its loop never waits
    views.py      what each view shows, as JSON
    actions.py    what changes something: choices, undo, training
    media.py      sound, covers and playlists
    timelines.py  the genres of a track over time, kept as files
    room.py       makes room for what is kept as files
    live.py       the stream of events that all open pages hear
    service.py    follows the state of a running service
    teaching.py   training, in its own process
    static/       the page itself: HTML, CSS and JavaScript, used as they are

It is a front end: it loads the configuration, reads the database and calls the pipeline.

It is built on Starlette and uvicorn, and not on NiceGUI: its pages run only if the content
security policy allows inline scripts and `eval`; both would also run a script that a hostile tag
smuggled in. docs/page.md has the details.
"""
