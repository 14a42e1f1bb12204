"""Runs a server until standard input ends, which it also does when the tests are killed."""

import os
import subprocess
import sys
import threading

server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)


def leave_with_it():
    os._exit(server.wait())


threading.Thread(target=leave_with_it, daemon=True).start()
sys.stdin.buffer.read()
server.kill()
server.wait()
