"""The code that kernels compile to, beside the same algorithms written by hand in C and in OpenCL C."""
