"""A policy that runs behind a policy server: `--model ws://HOST:PORT`, over the wire of vla-eval or that of openpi."""
