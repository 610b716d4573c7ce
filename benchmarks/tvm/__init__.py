"""Our tests, launches and transfers beside those of Apache TVM's RPC, in one run."""
