"""What the operating system is asked: sockets, atomic and secret files, the limit of open files."""
