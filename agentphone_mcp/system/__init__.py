"""Use the operating system: sockets, atomic and secret files, the limit of open files."""
