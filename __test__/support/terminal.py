"""Runs a program at a terminal of its own: `terminal.py COLUMNS ROWS PROGRAM ARGUMENTS...`. What comes on stdin is typed, what the
terminal shows goes to stdout, and the exit code is the program's, or 128 and the signal that ended it. terminal.mts starts it."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

columns, rows, *program = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))
    os.execvp(program[0], program)

sources = [0, terminal]
while True:
    ready, _, _ = select.select(sources, [], [])
    if terminal in ready:
        try:
            shown = os.read(terminal, 1 << 16)
        except OSError:  # how Linux says that nobody has the terminal open any more
            shown = b""
        if not shown:
            break
        sys.stdout.buffer.write(shown)
        sys.stdout.buffer.flush()
    if 0 in ready:
        typed = os.read(0, 1 << 16)
        if typed:
            os.write(terminal, typed)
        else:
            sources.remove(0)

_, status = os.waitpid(child, 0)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
