"""Ray: the session, the capacity of the cluster, the requirements on its nodes, and its jobs."""
