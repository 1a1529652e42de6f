"""Who does the units of a study, a file each: processes of this machine, jobs of Slurm, workers of Dask. None is our own."""
