"""Our models for other people's harnesses: `vla-bench serve`, over the wires of vla-eval and openpi on one port."""
