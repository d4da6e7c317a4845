"""One module a job: what it reads, what it calls, what it writes."""
