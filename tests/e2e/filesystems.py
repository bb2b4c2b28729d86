"""Small filesystems of one's own, mounted where nobody else sees them.

    with Filesystem("tmpfs", size=2 << 20) as fs:
        Faucet(config | {"state_dir": fs.directory}, wrap=fs.wrap)   # runs where it is mounted
        fs.fill()                                                    # to the last block; fs.free() undoes it

A holder process has a mount namespace for itself; whoever is run with `wrap` joins it, and everybody else reaches the files by the holder's
/proc/PID/root. When the holder ends, however the test does, the kernel unmounts it all. Needs root.
"""
import ctypes
import errno
import os
import shutil
import subprocess
import tempfile

BALLAST = "ballast"
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Filesystem:
    def __init__(self, kind, size=None):
        """kind: tmpfs, ramfs (which has no size), or what mke2fs makes: ext2, ext4 in a file of `size` bytes."""
        self.outside = tempfile.mkdtemp(prefix="mnt", dir="/tmp")
        self.mounted = os.path.join(self.outside, "m")
        os.mkdir(self.mounted)
        if kind == "tmpfs":
            source = ["-t", "tmpfs", "-o", "size=%d" % size, "none"]
        elif kind == "ramfs":
            source = ["-t", "ramfs", "none"]
        else:
            image = os.path.join(self.outside, "image")
            with open(image, "wb") as f:
                f.truncate(size)
            subprocess.run(["mke2fs", "-q", "-F", "-t", kind, "-m", "0", image], check=True, capture_output=True)
            source = ["-t", kind, "-o", "loop", image]
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount "$@" && echo mounted && exec cat', "sh",
                                        *source, self.mounted], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = self.holder.stdout.readline().decode()
        if said != "mounted\n":
            self.close()
            raise OSError("%s cannot be mounted: %s" % (kind, said))
        self.directory = os.path.join(self.mounted, "state")
        os.mkdir(self.path())

    @property
    def wrap(self):
        """What a command line begins with that is run where the filesystem is; its process id stays that of the command."""
        return ["nsenter", "--mount=/proc/%d/ns/mnt" % self.holder.pid, "--"]

    def path(self, *names):
        """Of `directory`, as the rest of the machine reaches it."""
        return os.path.join("/proc/%d/root%s" % (self.holder.pid, self.directory), *names)

    def has_fallocate(self):
        fd = os.open(self.path("try"), os.O_RDWR | os.O_CREAT)
        try:
            if libc.fallocate(fd, 0, 0, 4096) == 0:
                return True
            assert ctypes.get_errno() in (errno.EOPNOTSUPP, errno.ENOSYS), os.strerror(ctypes.get_errno())
            return False
        finally:
            os.close(fd)
            os.unlink(self.path("try"))

    def fill(self):
        """Until there is no block left; how many bytes went in."""
        n, step = 0, 1 << 16
        fd = os.open(self.path(BALLAST), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while step:
                try:
                    n += os.pwrite(fd, b"\xff" * step, n)
                except OSError as e:
                    assert e.errno == errno.ENOSPC, e
                    step //= 2
        finally:
            os.close(fd)
        return n

    def free(self):
        os.unlink(self.path(BALLAST))

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(10)
        self.holder.stdout.close()
        shutil.rmtree(self.outside, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
