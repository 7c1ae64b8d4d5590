"""Jobs on a cluster: their settings, the script that says them, and which step of a job this process is."""
