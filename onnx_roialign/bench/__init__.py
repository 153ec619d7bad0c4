"""The benchmark: workloads, engines and peers raced in turns, and what the machine allows."""
