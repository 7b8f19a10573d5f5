"""Programs that try to get out of a sandbox, to outlive it, to fill it, or to pass without an answer.

Each is Python. ``SECRET``, ``OUTSIDE``, ``PORT``, ``ABSTRACT``, ``SOCKET`` and ``VICTIM`` are what a test has put on
this machine for them to find. One that succeeds calls ``escaped``. None of them deserves to pass.
"""

PREAMBLE = """
import ctypes, errno, fcntl, mmap, os, resource, signal, socket, stat, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def escaped(how=""):
    print("ESCAPED", how, flush=True)
def attempt(function, *arguments):
    "Call it; escape if it works and returns anything but False."
    try:
        found = function(*arguments)
    except Exception as error:
        print(type(error).__name__, error)
    else:
        if found is not False:
            escaped(repr(found)[:200])
def call(name, *arguments):
    "A function of the C library, which works if it does not return -1."
    return getattr(libc, name)(*arguments) != -1
def syscall(*arguments):
    return libc.syscall(*arguments) != -1
"""
"""What each program begins with."""

HOSTILE = {
    # -- reading and writing outside
    "write outside": "attempt(open, OUTSIDE + '/new', 'w')",
    "write to system folders": """
for folder in ("", "/etc", "/usr/bin", "/usr/lib", "/var/tmp", "/root", "/dev", "/proc", "/home"):
    attempt(open, folder + "/new", "w")
attempt(open, "/etc/passwd", "w")
""",
    "replace the interpreter": """
attempt(os.rename, sys.executable, sys.executable + ".old")
attempt(os.unlink, os.path.realpath(sys.executable))
attempt(open, os.path.join(sys.prefix, "lib", "new.pth"), "w")
attempt(open, os.__file__, "a")
""",
    "read the home": "attempt(open, SECRET)\nattempt(os.listdir, os.path.dirname(SECRET))",
    "read the password file": "attempt(open, '/etc/shadow')\nif len(open('/etc/passwd').readlines()) > 1: escaped()",
    "read the environment": """
import glob
for path in ["/proc/self/environ", *glob.glob("/proc/[0-9]*/environ")]:
    try:
        if "CANARY" in open(path).read(): escaped(path)
    except OSError as error: print(error)
if "CANARY" in repr(os.environ): escaped("environ")
""",
    "links to outside": """
os.symlink(SECRET, "link"); attempt(open, "link")
os.symlink(OUTSIDE, "folder"); attempt(open, "folder/new", "w")
attempt(open, "/proc/self/cwd/" + "../" * 20 + SECRET.lstrip("/"))
attempt(os.link, "/etc/ld.so.cache", "hard")
""",
    "other processes' files": """
for path in ("/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/proc/thread-self/root"):
    attempt(open, path + SECRET)
for number in range(3, 64): attempt(os.open, f"/proc/1/fd/{number}", os.O_RDWR)
""",
    "directories that are open": """
for number in range(64):
    try: mode = os.fstat(number).st_mode
    except OSError: continue
    if stat.S_ISDIR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode): escaped(f"descriptor {number}")
""",
    "kernel settings": """
for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/proc/self/uid_map",
             "/sys/kernel/uevent_helper", "/sys/fs/cgroup/release_agent", "/proc/self/setgroups", "/proc/acpi/wakeup"):
    attempt(lambda: os.write(os.open(path, os.O_WRONLY), b"0 0 1"))
attempt(lambda: os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"-1000"))
""",
    "devices": """
attempt(os.mknod, "disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/fuse", "/dev/kvm", "/dev/nvidia0", "/dev/vsock"):
    attempt(os.open, path, os.O_RDONLY)
""",
    # -- the network
    "connect to a server of this machine": """
attempt(socket.create_connection, ("127.0.0.1", PORT), 1)
attempt(socket.create_connection, ("::1", PORT), 1)
""",
    "connect to another machine": """
for address in ("1.1.1.1", "8.8.8.8", "169.254.169.254", "192.168.0.1"):
    attempt(socket.create_connection, (address, 53), 0.2)
""",
    "send datagrams": "attempt(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto, b'x', ('8.8.8.8', PORT))",
    "abstract sockets": "attempt(socket.socket(socket.AF_UNIX).connect, '\\0' + ABSTRACT)",
    "sockets in folders": "attempt(socket.socket(socket.AF_UNIX).connect, SOCKET)",
    "sockets of a virtual machine's host": "attempt(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM)",
    "raw sockets": """
attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 3)
attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
attempt(socket.socket, socket.AF_ALG, socket.SOCK_SEQPACKET, 0)
""",
    "interfaces": "if [name for _, name in socket.if_nameindex()] != ['lo']: escaped(repr(socket.if_nameindex()))",
    # -- other processes
    "fork bomb": "while True:\n    try: os.fork()\n    except OSError: pass",
    "thread bomb": """
while True:
    try: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError: time.sleep(0.01)
""",
    "signals to everybody": """
try: os.setpgid(0, os.getpgid(1))
except OSError as error: print(error)
for pid in (-1, 1, os.getppid(), VICTIM, 0):
    for number in (signal.SIGSTOP, signal.SIGKILL):
        try: os.kill(pid, number)
        except OSError as error: print(error)
""",
    "debug other processes": """
attempt(call, "ptrace", 16, 1, 0, 0)
attempt(call, "ptrace", 16, os.getppid(), 0, 0)
attempt(call, "ptrace", 0, 0, 0, 0)
attempt(syscall, 310, 1, 0, 0, 0, 0, 0)
""",
    "ignore every signal": """
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: time.sleep(1)
""",
    "a daemon that holds the outputs": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        while True: time.sleep(1)
    os._exit(0)
""",
    "a daemon that lets them go": """
if os.fork() == 0:
    os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for number in range(256):
        try: os.close(number)
        except OSError: pass
    if os.fork(): os._exit(0)
    while True: pass
""",
    "become root": """
for function in (os.setuid, os.setgid): attempt(function, 0)
attempt(os.setgroups, [0])
import shutil
shutil.copy("/bin/sh", "sh"); os.chmod("sh", 0o6755)
if b"uid=0" in subprocess.run(["./sh", "-pc", "id"], capture_output=True).stdout: escaped("setuid shell")
for command in (["su", "-c", "true"], ["sudo", "-n", "true"]):
    try:
        if subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0: escaped(command[0])
    except OSError as error: print(error)
""",
    "keys of the kernel": "attempt(syscall, 250, 0, -3, 1)\nattempt(syscall, 248, b'user', b'x', b'y', 1, -4)",
    # -- namespaces and mounts
    "new namespaces": """
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000): attempt(call, "unshare", flag)
attempt(syscall, 56, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
attempt(syscall, 435, ctypes.create_string_buffer(88), 88)
attempt(lambda: call("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0))
""",
    "mounts": """
os.mkdir("new")
attempt(call, "mount", b"tmpfs", b"new", b"tmpfs", 0, None)
attempt(call, "mount", b"/", b"new", None, 4096, None)
attempt(call, "mount", None, b"/usr", None, 32 | 4096, None)
attempt(call, "umount2", b"/usr", 2)
attempt(syscall, 430, b"tmpfs", 0)
attempt(os.chroot, "new")
""",
    "file handles": "attempt(syscall, 304, -100, ctypes.create_string_buffer(64), 0)",
    "calls by another interface": """
attempt(syscall, 0x40000000 + 41, 40, 1, 0)
attempt(syscall, 425, 8, ctypes.create_string_buffer(256))
""",
    # -- too much of everything
    "fill memory": "found = []\nwhile True: found.append(bytearray(b'x') * 2**24)",
    "fill memory by many": """
for _ in range(20):
    if os.fork() == 0:
        found = bytearray(b"x") * (60 * 2**20)
        time.sleep(60)
time.sleep(60)
""",
    "fill shared memory": """
found = []
while True:
    found.append(mmap.mmap(-1, 2**24))
    found[-1].write(b"x" * 2**24)
""",
    "memory without a name": """
attempt(os.memfd_create, "new")
attempt(call, "shmget", 0, ctypes.c_size_t(2**20), 0o1600)
""",
    "fill the disk": """
for folder in ("/tmp", "/dev/shm", "."):
    number = 0
    try:
        while True:
            number += 1
            if number > 200: escaped(folder)
            with open(f"{folder}/{number}", "wb") as file: file.write(b"x" * 2**20)
    except OSError as error: print(error)
""",
    "fill the disk with nothing": "number = 0\nwhile True:\n    number += 1\n    open(f'/tmp/{number}', 'w').close()",
    "a huge file": "attempt(os.truncate, os.open('big', os.O_CREAT | os.O_RDWR), 2**40)",
    "huge output": "while True: os.write(1, b'x' * 2**16)",
    "huge output of errors": "while True: sys.stderr.write('\\x1b[2J\\x00' * 2**12)",
    "compute for ever": "while True: pass",
    "wait for ever": "signal.pause()",
    "wait for input": "sys.stdin.read(); input()",
    "raise its limits": """
for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
    low, high = resource.getrlimit(kind)
    if high == resource.RLIM_INFINITY: escaped(f"limit {kind}")
    attempt(resource.setrlimit, kind, (high + 1, high + 1))
""",
    "keys pressed in the terminal": "attempt(fcntl.ioctl, 0, 0x5412, b'x')\nattempt(os.open, '/dev/tty', os.O_RDWR)",
    # -- to pass without an answer
    "end at once": "os._exit(0)",
    "end politely": "sys.exit(0)",
    "end while exiting": "import atexit\natexit.register(os._exit, 0)",
    "become another program": "os.execv('/bin/true', ['true'])",
    "say that it passed": "print('passed'); print('ok'); print('0' * 32); os._exit(0)",
    "write to every open file": """
for number in range(1, 64):
    try: os.write(number, b'\\n{"word": "", "value": 1.0, "exit-code": 0}\\n' * 3)
    except OSError: pass
os._exit(0)
""",
}
"""By name. They are more than forty."""
