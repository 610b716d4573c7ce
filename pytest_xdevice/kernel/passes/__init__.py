"""What is found of typed IR, and what rearranges it before it is printed."""
