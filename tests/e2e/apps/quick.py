"""A worker for load: one thread, epoll, some tens of microseconds a reply. Answers NAME TOKEN, where TOKEN is what follows `n=` in the query.

    python3 -I -S quick.py SOCKET_OR_PORT NAME

/q a short body, /c the same in chunks, /big 40,000 bytes, /huge more than a socket takes at once; request bodies (Content-Length) are read and thrown away.
"""
import re
import select
import signal
import socket
import sys

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
BIG, HUGE = b"x" * 40000, b"x" * 6000000


def reply(name, head):
    method, target = head.split(b" ", 2)[:2]
    path, _, token = target.partition(b"?n=")
    text = b"%s %s\n" % (name, token)
    if path == b"/c" and method != b"HEAD":
        half = len(text) // 2
        body = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (half, text[:half], len(text) - half, text[half:])
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    if path in (b"/big", b"/huge"):
        text += BIG if path == b"/big" else HUGE
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(text), b"" if method == b"HEAD" else text)


def main(where, name):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if where.isdigit():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(where)))
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(where)
    listener.listen(512)
    poll, connections = select.epoll(), {}
    poll.register(listener, select.EPOLLIN)
    while True:
        for n, _ in poll.poll():
            if n == listener.fileno():
                conn = listener.accept()[0]
                connections[conn.fileno()] = [conn, b""]
                poll.register(conn, select.EPOLLIN)
                continue
            conn, data = connections[n]
            try:
                more = conn.recv(65536)
                data += more
                while more:
                    end = data.find(b"\r\n\r\n")
                    if end < 0:
                        break
                    found = LENGTH.search(data, 0, end)
                    whole = end + 4 + (int(found[1]) if found else 0)
                    if len(data) < whole:
                        break
                    head, data = data[:end], data[whole:]
                    conn.sendall(reply(name, head))
            except OSError:
                more = b""
            if more:
                connections[n][1] = data
            else:
                poll.unregister(n)
                del connections[n]
                conn.close()


main(sys.argv[1], sys.argv[2].encode())
