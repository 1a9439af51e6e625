"""Faults inside the genuine vendor library: a small library before libc whose functions do as they are told.

Only calls that the vendor library makes are touched, so a fault comes on the thread and at the place where the
library's own would: in a request, or on its network thread.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile struct {
    long fault, done;
    char in[32];  /* "recv", a thread's name, or what a packet that is sent contains */
} * told;

__attribute__((constructor)) static void find(void) {
    const char* path = getenv("VENDOR_FAULT");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void* mapped = mmap(0, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) told = mapped;
    close(fd);
}

static int the_vendors(void* caller) {
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "libthost");
}

static void fail(void) {
    const long fault = __atomic_exchange_n(&told->fault, 0, __ATOMIC_SEQ_CST);  /* the next process is well */
    if (!fault) return;
    __atomic_fetch_add(&told->done, 1, __ATOMIC_SEQ_CST);
    if (fault == 1) for (;;) pause();
    if (fault == 2) abort();
    if (fault == 3) *(volatile int*)0 = 0;
}

/* What a request takes before it hands its packet over. */
int pthread_spin_lock(pthread_spinlock_t* lock) {
    static int (*real)(pthread_spinlock_t*);
    char name[16];
    if (!real) real = (int (*)(pthread_spinlock_t*))dlsym(RTLD_NEXT, "pthread_spin_lock");
    if (told && told->fault && !prctl(PR_GET_NAME, name) && !strcmp(name, (const char*)told->in) &&
        the_vendors(__builtin_return_address(0)))
        fail();
    return real(lock);
}

ssize_t send(int fd, const void* data, size_t size, int flags) {
    if (told && told->fault && the_vendors(__builtin_return_address(0)) &&
        memmem(data, size, (const void*)told->in, strlen((const char*)told->in)))
        fail();
    return syscall(SYS_sendto, fd, data, size, flags, 0, 0);
}

ssize_t recv(int fd, void* data, size_t size, int flags) {
    if (told && told->fault && !strcmp((const char*)told->in, "recv") && the_vendors(__builtin_return_address(0)))
        fail();
    return syscall(SYS_recvfrom, fd, data, size, flags, 0, 0);
}
"""

FAULTS = {"hang": 1, "abort": 2, "segmentation fault": 3}
RECV = "recv"
SENDER = "tk-sender"


class VendorFault:
    """What happens once, in the next call that fits, of any process that was started with the library.

    Made by the fixture `vendor_fault`, which sets the environment.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        compiler = shutil.which(os.environ.get("CC", "gcc"))
        if compiler is None:
            pytest.skip("no C compiler (gcc) for the library that makes the vendor library fail")
        (folder / "fault.c").write_text(SOURCE)
        library, told = folder / "fault.so", folder / "told"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(folder / "fault.c"), "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told.write_bytes(bytes(mmap.PAGESIZE))
        with told.open("r+b") as f:
            self._told = mmap.mmap(f.fileno(), 0)
        monkeypatch.setenv("VENDOR_FAULT", str(told))
        monkeypatch.setenv("LD_PRELOAD", str(library))

    def plan(self, fault: str, where: str) -> None:
        """*where*: `RECV`: on the network thread; `SENDER`: on the thread that sends orders, in a request; else a
        text of the packet in whose send() it happens."""
        self._told[16:48] = where.encode().ljust(32, b"\0")
        self._told[:8] = struct.pack("q", FAULTS[fault])

    @property
    def happened(self) -> int:
        """How many faults there have been."""
        return int(struct.unpack_from("q", self._told, 8)[0])
