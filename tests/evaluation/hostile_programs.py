"""Programs that misbehave. None of them knows the right answer, so none may pass `TESTS`.

`HOSTILE` maps a name to a program and the reason that its verdict must give (None: any). In the programs
``{outside}`` is a folder that must stay as it is, ``{port}`` a port of this machine where nobody may knock
and ``{pid}`` the process that runs the tests. `REFUSED` are calls that the filter must refuse.
"""

TESTS = "assert f() == 'right'"
WRONG = "\ndef f(): return 'wrong'"
EVERYWHERE = "import os\nfor fd in range(64):\n    try: os.write(fd, {0})\n    except OSError: pass\n"
SYSCALL = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
EQUAL = "class Equal({0}):\n    def __eq__(self, other): return True\n    __hash__ = None\n"
DAEMON = (
    "import os, time\ntry:\n    if os.fork() == 0:\n        os.setsid()\n        os.chdir('/')\n"
    "        if os.fork() == 0:\n            time.sleep(600)\n        os._exit(0)\nexcept OSError: pass"
)
WORDS = (
    "import gc, os, sys\nfound = {'0' * 32}\ndef walk(thing):\n"
    "    if isinstance(thing, str) and len(thing) == 32: found.add(thing)\n"
    "frame = sys._getframe()\nwhile frame:\n"
    "    for value in [*frame.f_locals.values(), *frame.f_globals.values()]: walk(value)\n"
    "    frame = frame.f_back\n"
    "for thing in gc.get_objects():\n    for inner in gc.get_referents(thing): walk(inner)\n"
    "for word in found:\n    for fd in range(64):\n"
    "        try: os.write(fd, (word + ' filtered passed\\n').encode())\n        except OSError: pass\n"
    "os._exit(0)"
)
PARENTS_MEMORY = (
    "import os, re\nparent = os.getppid()\ndef f():\n    found = set()\n"
    "    for line in open(f'/proc/{parent}/maps').readlines():\n"
    "        low, high = (int(x, 16) for x in line.split()[0].split('-'))\n"
    "        with open(f'/proc/{parent}/mem', 'rb', 0) as memory:\n"
    "            try:\n                memory.seek(low)\n                read = memory.read(high - low)\n"
    "            except (OSError, OverflowError): continue\n"
    "        found |= set(re.findall(b'f[(][)] == .(\\\\w+)', read))\n"
    "    return found.pop().decode()"
)

COMPUTING = {
    "an endless loop": ("while True:\n    pass", None),
    "an endless loop when called": ("def f():\n    while True: pass", None),
    "an endless loop that minds no warning": (
        "import signal\nfor s in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    try: signal.signal(s, signal.SIG_IGN)\n    except OSError: pass\nwhile True:\n    pass",
        None,
    ),
    "waiting": ("import time\ntime.sleep(60)", "time"),
    "waiting deaf to signals": (
        "import signal, time\nfor s in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGHUP):\n"
        "    signal.signal(s, signal.SIG_IGN)\ntime.sleep(60)",
        "time",
    ),
    "waiting for input": ("import os\nr, w = os.pipe()\ndef f(): return os.read(r, 1)", "time"),
    "all of the memory": ("x = bytearray(1 << 40)", "MemoryError"),
    "memory bit by bit": ("x = []\nwhile True:\n    x.append(bytes(1 << 24))", "MemoryError"),
    "mapped memory": ("import mmap\nx = [mmap.mmap(-1, 1 << 28) for _ in range(100)]", None),
    "a huge number": ("x = 10 ** 10 ** 9", None),
    "a slow pattern": ("import re\nre.match('(a+)+$', 'a' * 60 + 'b')", None),
    "endless recursion": ("def f():\n    return f()", "RecursionError"),
    "recursion past the stack": (
        "import sys\nsys.setrecursionlimit(1 << 30)\ndef f(n=0):\n    return [f(n + 1)]\n",
        None,
    ),
    "bad syntax": ("def f(:", "SyntaxError"),
    "a null byte": ("x = '\0'", "SyntaxError"),
    "deep nesting": ("f = " + "(" * 5000 + ")" * 5000, None),
    "endless compiling": ("while True:\n    compile('x = ' + '-' * 200000 + '1', 'x', 'exec')", None),
}
LEAVING = {
    "sys.exit(0)": ("import sys\nsys.exit(0)", "SystemExit"),
    "sys.exit(0) when called": ("import sys\ndef f(): sys.exit(0)", "SystemExit"),
    "os._exit(0)": ("import os\nos._exit(0)", "died"),
    "os._exit(0) when called": ("import os\ndef f(): os._exit(0)", "died"),
    "exit on the way out": (
        "import atexit\natexit.register(print, 'passed')\nraise SystemExit",
        "SystemExit",
    ),
    "an exit while cleaning up": (
        "import os\nclass D:\n    def __del__(self): os._exit(0)\ndef f():\n    D()\n    return 'wrong'",
        "died",
    ),
    "an interrupt": ("def f(): raise KeyboardInterrupt", "KeyboardInterrupt"),
    "an exception that answers to none": (
        "class E(BaseException):\n    def __str__(self): raise SystemExit\nraise E",
        "E",
    ),
    "an exception with a long name": ("raise type('E\\n' * 999, (Exception,), {})", None),
    "aborting": ("import os\nos.abort()", "died"),
    "a segmentation fault": ("import ctypes\nctypes.string_at(0)", "died"),
    "killing itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", None),
    "killing its group": ("import os, signal\nos.killpg(0, signal.SIGKILL)", None),
    "stopping its parent": ("import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)", None),
}
FORGING = {
    "printing": (
        "print('ready')\nprint('passed')\nimport sys\nsys.stderr.write('passed')" + WRONG,
        "AssertionError",
    ),
    "a guessed word": (EVERYWHERE.format("b'0' * 32 + b' filtered passed\\n'") + "os._exit(0)", None),
    "a verdict without a word": (EVERYWHERE.format("b' filtered passed\\n' * 2") + WRONG, None),
    "words found in frames and objects": (WORDS, None),
    "the answer read in the parent's memory": (PARENTS_MEMORY, None),
    "the parent's output, opened again": (
        "import os\ndef f():\n    with open(f'/proc/{os.getppid()}/fd/1', 'wb') as file:\n"
        "        file.write(b'passed\\n')",
        "PermissionError",
    ),
    "its own memory, opened for writing": (
        "def f():\n    with open('/proc/self/mem', 'r+b') as file: file.write(b'x')",
        "PermissionError",
    ),
    "a forged reply": (EVERYWHERE.format('b\'{"value": ["set", [["list", []]]]}\\n\'') + WRONG, None),
    "a reply that is no JSON": (EVERYWHERE.format("b'right\\n'") + WRONG, "JSONDecodeError"),
    "a deep reply": (EVERYWHERE.format("b'[' * 60000 + b'\\n'") + WRONG, None),
    "a deep answer": ("def f():\n    x = []\n    for _ in range(900): x = [x]\n    return x", None),
    "an endless answer": ("def f(): return 'right' * (1 << 20)", "died"),
    "a sea of output": (
        "while True:\n    " + EVERYWHERE.format("b'x' * 65536").replace("\n", "\n    "),
        None,
    ),
    "an endless line": (EVERYWHERE.format("b'x' * 4096") + "import time; time.sleep(60)", None),
    "closed descriptors": ("import os\nos.closerange(0, 256)" + WRONG, "died"),
    "mixed-up descriptors": (
        "import os\nfor fd in range(3, 32):\n    try: os.dup2(fd, 31 - fd)\n    except OSError: pass" + WRONG,
        None,
    ),
    "a reply to all that is read": (
        "import os\nfor fd in range(64):\n    try: os.set_blocking(fd, False)\n    except OSError: pass"
        + WRONG,
        None,
    ),
}
PRETENDING = {
    "an object equal to all": (EQUAL.format("object") + "def f(): return Equal()", "TypeError"),
    "a string equal to all": (EQUAL.format("str") + "def f(): return Equal('wrong')", "AssertionError"),
    "a list equal to all": (EQUAL.format("list") + "def f(): return Equal()", "AssertionError"),
    "a number equal to all": (EQUAL.format("int") + "def f(): return Equal(1)", "AssertionError"),
    "a true thing that is not": ("class f:\n    def __new__(cls): return True", "AssertionError"),
    "no assertions": ("AssertionError = None" + WRONG, "AssertionError"),
    "other builtins": (
        "import builtins\nbuiltins.AssertionError = None\nbuiltins.exec = builtins.compile = print" + WRONG,
        "AssertionError",
    ),
    "builtins by name": ("def len(x): return 0\ndef isinstance(*x): return True" + WRONG, "AssertionError"),
    "a trace": (
        "import sys\ndef trace(frame, event, arg):\n    frame.f_trace_lines = False\n    return trace\n"
        "sys.settrace(trace)\nsys.setprofile(trace)" + WRONG,
        "AssertionError",
    ),
    "another judge": (
        "import __main__, json\n__main__.judge = __main__.main = lambda *x: 'passed'\n"
        "__main__.pack = lambda value: ['bool', True]\njson.loads = lambda line: {}" + WRONG,
        None,
    ),
    "a function that is no name": ("globals()['f()'] = print\nglobals()['class'] = print", "NameError"),
    "the checks themselves": (
        "def check(candidate): pass\ndef assertEqual(a, b): pass" + WRONG,
        "AssertionError",
    ),
    "the parent's modules": ("import sst_mergekit.evaluation.sandbox", "ModuleNotFoundError"),
    "installed packages": ("import torch", "ModuleNotFoundError"),
}
SPREADING = {
    "a fork bomb": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: break" + WRONG, None),
    "a daemon": (DAEMON + WRONG, None),
    "a zombie": ("import os\nif os.fork() == 0: os._exit(0)" + WRONG, None),
    "another program": ("import os\nos.execv('/bin/sleep', ['sleep', '600'])", None),
    "a program in its own session": (
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
        "start_new_session=True)" + WRONG,
        None,
    ),
    "a shell": ("import os\ncode = os.system('sleep 600 &')" + WRONG, None),
    "threads left behind": (
        "import threading, time\nfor _ in range(9): threading.Thread(target=time.sleep, args=(600,)).start()"
        + WRONG,
        None,
    ),
    "a pool": ("import multiprocessing\nmultiprocessing.Pool(2)" + WRONG, None),
    "a huge file": ("with open('x', 'wb') as file:\n    while True: file.write(b'x' * 65536)", None),
    "many files": ("for i in range(1000000): open(str(i), 'w').close()", None),
    "many folders": ("import os\nwhile True:\n    os.mkdir('x')\n    os.chdir('x')", None),
    "a file outside": ("open('{outside}/new', 'w').write('x')", None),
    "a file changed": ("open('{outside}/kept', 'a').write('x')", None),
    "a file removed": ("import os\nos.unlink('{outside}/kept')", None),
    "a file renamed": ("import os\nos.rename('{outside}/kept', '{outside}/new')", None),
    "a file emptied": ("import os\nos.truncate('{outside}/kept', 0)", None),
    "rights taken away": ("import os\nos.chmod('{outside}', 0)", None),
    "a link to outside": ("import os\nos.symlink('{outside}', 'x')\nopen('x/new', 'w').write('x')", None),
    "a second name": ("import os\nos.link('{outside}/kept', '{outside}/new')", None),
    "shared memory": (
        "from multiprocessing.shared_memory import SharedMemory\nSharedMemory('sst-hostile', True, 64)",
        None,
    ),
    "a connection": ("import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)", None),
    "a server": ("import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()" + WRONG, None),
    "a download": ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/')", None),
}
HOSTILE = COMPUTING | LEAVING | FORGING | PRETENDING | SPREADING

REFUSED = {
    "fork": "os.fork()",
    "exec": "os.execv('/bin/true', ['true'])",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], dict())",
    "setsid": "os.setsid()",
    "a signal to the tests' own process": "os.kill({pid}, 0)",
    "a signal to all": "os.kill(-1, 0)",
    "a signal to the group": "os.killpg(0, 0)",
    "a socket": "__import__('socket').socket()",
    "a pair of sockets": "__import__('socket').socketpair()",
    "opening for writing": "open('x', 'w')",
    "making a folder": "os.mkdir('x')",
    "removing": "os.unlink('{outside}/kept')",
    "another's niceness": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "higher limits": "call(libc.setrlimit(0, bytes(16)))",
    "another root": "os.chroot('/')",
    "tracing": "call(libc.ptrace(16, os.getppid(), 0, 0))",
    "reading another's memory": "call(libc.process_vm_readv(os.getppid(), None, 0, None, 0, 0))",
    "spaces of its own": "call(libc.unshare(0x10000000))",
    "mounting": "call(libc.mount(b'none', b'/', b'tmpfs', 0, None))",
    "io_uring": "call(libc.syscall(425, 1, None))",
    "a segment of memory": "call(libc.shmget(0, 64, 0o1600))",
    "keys": "call(libc.syscall({add_key}, b'user', b'x', b'x', 1, -1))",
}
