"""What reads, or estimates, the CPU's energy."""
