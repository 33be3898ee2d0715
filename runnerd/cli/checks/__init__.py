"""What `runnerd doctor` looks at."""
