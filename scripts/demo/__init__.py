"""`make demo`: 200 transfers through every service, with faults and kills, and the proof by a judge apart."""
