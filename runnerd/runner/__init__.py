"""The file that runs beside the script. Standard library only, Python 3.8 and newer."""
