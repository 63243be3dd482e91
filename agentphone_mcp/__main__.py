"""Run `agentphone-mcp` as `python -m agentphone_mcp`."""


def run() -> None:
    """Run the command; Ctrl+C ends it without a traceback also while it is still being imported."""
    try:
        from agentphone_mcp.commands.main import main

        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    run()
