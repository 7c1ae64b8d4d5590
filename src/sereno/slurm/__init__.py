"""Jobs on a cluster: their settings, their scripts, and which task of a job this process is."""
