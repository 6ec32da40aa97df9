"""The `chargen` command, also as `python -m chargen`.

Ctrl-C may come while the command is still being imported; it ends in silence then, as later.
"""

__all__ = ["main"]


def main() -> None:
    """Entry point of the command."""
    try:
        from chargen.cli import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
