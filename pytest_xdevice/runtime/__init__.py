"""What runs on a device: server, session and worker. Python 3.8 or newer and its standard library, nothing else."""
