"""What agents do through the host: ask for changes, look at their rights, send to destinations.

`service.HostToolService` is the one way in; each tool is one module with one strict argument type.
"""
