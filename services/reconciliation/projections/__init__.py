"""What each topic says of each transfer, the partners' book as it was read last, and what the runs have found."""
