"""A worker that starts in some ten milliseconds, for tests that start a thousand: answers every GET with its pid.

    python3 -I -S tiny.py SOCKET
"""
import os
import signal
import socket
import sys
import _thread

signal.signal(signal.SIGTERM, signal.SIG_DFL)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(512)
BODY = b"%d %s" % (os.getpid(), os.environ.get("GEN", "").encode())
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


def serve(conn):
    data = b""
    try:
        while True:
            while b"\r\n\r\n" not in data:
                more = conn.recv(65536)
                if not more:
                    return
                data += more
            data = data.partition(b"\r\n\r\n")[2]
            conn.sendall(REPLY)
    except OSError:
        pass
    finally:
        conn.close()


while True:
    _thread.start_new_thread(serve, (listener.accept()[0],))
