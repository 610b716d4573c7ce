"""What the tests run against on this machine: an ssh server and device servers of their own, and other Pythons."""
