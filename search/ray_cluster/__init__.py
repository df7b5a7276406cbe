"""Ray: the session, what the cluster can hold, what its nodes must have, its jobs."""
