from vla_bench.cli import main

main()
