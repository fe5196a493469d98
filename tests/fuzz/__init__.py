"""Files that nobody wrote: seeded damage to good ones, of every kind that the library reads.

    python -m tests.fuzz --kind media --cases 1000 --seed 0

Every case must end in a result or in one line that names the file. The command runs cases in
this process, whose decoders are in processes of their own, under limits of memory and disk.
"""
