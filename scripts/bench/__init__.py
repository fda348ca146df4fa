"""The figures of the running system, measured from outside by client processes, beside a bare baseline."""
