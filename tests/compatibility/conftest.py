# it imports modules from where the commit before had them
collect_ignore = ["write_fixtures.py"]
