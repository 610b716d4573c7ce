"""Emulated boards: other architectures' Debian user space under QEMU, each in namespaces and at an address of its own.

    python -m tests.boards up rk --arch arm64 --cpu cortex-a53
    python -m tests.boards exec rk uname -m
    python -m tests.boards down all

As root, on Linux, with apt, iproute2, util-linux and OpenSSH. All files are below ``$XDEVICE_BOARDS`` or the user's
cache directory; a tree is made once (some 20 s) and kept, after which a board starts in less than a second. Traffic
stays on this machine. The modules, from the ground up: ``architecture`` (names), ``layout`` (files), ``archive``
(packages), ``emulator`` (QEMU), ``tree`` (a board's files), ``network``, ``init`` (a board's first process), ``board``.
"""
