"""kill -9 under load, again and again; afterwards the books are judged from outside."""
