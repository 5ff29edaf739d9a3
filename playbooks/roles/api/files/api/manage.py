#!/usr/bin/env python3
"""Django's own commands; what is used here is `check` (of a settings file) and `test`."""
import os
import sys

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.argv[1:2] == ["test"]:
        # Tests must neither need nor touch what the service runs with.
        os.environ["API_SETTINGS"] = os.path.join(here, "tests", "settings.json")
    os.environ["DJANGO_SETTINGS_MODULE"] = "api.settings"
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
