"""Where attempts run. `open_sandboxes` picks one kind for a session; `WorkerSandbox` talks to one of them."""
