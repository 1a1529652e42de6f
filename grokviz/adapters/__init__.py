"""Other people's trainers, followed by a Monitor. Each module needs the package that it is for, an extra of grokviz."""
