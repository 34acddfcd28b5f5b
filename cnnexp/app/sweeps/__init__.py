"""Many runs by one command: their points, their folders, and the processes that they run in."""
