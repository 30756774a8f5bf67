"""A checkup of an installation from where this process stands: everything is looked at side by
side, and what is out of reach keeps nothing else from being told. A module for each place."""
