"""What /proc knows: descendants, memory, descriptors. A mark in the environment finds what a daemon started, however it was forked."""
import os


def status(pid):
    try:
        with open("/proc/%d/status" % pid) as f:
            return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    except (OSError, ValueError):
        return {}


def kilobytes(pid, field):
    return int(status(pid).get(field, "0 kB").split()[0])


def rss_anon(pid):
    """Anonymous memory in bytes: what a buffer that grows would show."""
    return kilobytes(pid, "RssAnon") * 1024


def rss(pid):
    return kilobytes(pid, "VmRSS") * 1024


def descriptors(pid):
    try:
        return len(os.listdir("/proc/%d/fd" % pid))
    except OSError:
        return 0


def alive(pid):
    """Runs, a zombie does not count."""
    return status(pid).get("State", "Z")[0] not in "ZX"


def pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def parents():
    table = {}
    for pid in pids():
        try:
            with open("/proc/%d/stat" % pid) as f:
                table[pid] = int(f.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            pass
    return table


def children(pid):
    return sorted(p for p, parent in parents().items() if parent == pid)


def descendants(pid):
    table, found, todo = parents(), [], [pid]
    while todo:
        parent = todo.pop()
        mine = [p for p, pp in table.items() if pp == parent]
        found += mine
        todo += mine
    return sorted(found)


def marked(mark):
    """Living processes whose environment holds `mark`."""
    found = []
    needle = mark.encode()
    for pid in pids():
        try:
            with open("/proc/%d/environ" % pid, "rb") as f:
                if needle in f.read() and alive(pid):
                    found.append(pid)
        except OSError:
            pass
    return found


def with_variable(among, name, value):
    """Those whose environment has it and whose parent's has not: what was started with it."""
    needle = b"\0%s=%s\0" % (name.encode(), value.encode())

    def has(pid):
        try:
            with open("/proc/%d/environ" % pid, "rb") as f:
                return needle in b"\0" + f.read()
        except OSError:
            return False
    table, found = parents(), {p for p in among if has(p)}
    return sorted(p for p in found if table.get(p) not in found and alive(p))


def sockets(pid):
    """Descriptor → inode of each socket."""
    found = {}
    try:
        for n in os.listdir("/proc/%d/fd" % pid):
            try:
                link = os.readlink("/proc/%d/fd/%s" % (pid, n))
            except OSError:
                continue
            if link.startswith("socket:["):
                found[int(n)] = int(link[8:-1])
    except OSError:
        pass
    return found


def listening(port):
    """Inodes of the TCP sockets that listen on a port, any address."""
    found = set()
    for name in ("tcp", "tcp6"):
        with open("/proc/net/" + name) as f:
            for line in list(f)[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(int(fields[9]))
    return found


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def cpu_seconds(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0
