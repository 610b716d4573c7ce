"""The printer of OpenCL C."""
