"""Reading measurements that are there: phases, keys, evidence, tables, runs beside each other. No torch."""
