"""From LLVM IR text to a shared library for a target: the compiler process, linkers, stub libraries, the cache."""
