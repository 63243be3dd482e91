"""Remember what was previewed, so that a later `confirm` holds for that alone."""

from collections import OrderedDict

from agentphone_mcp.policy.actions import Action

_KEPT = 1_000


class Previews:
    """Keep the latest preview of each action for each host, in this process; the oldest are forgotten."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[tuple[str, str], str] = OrderedDict()

    def remember(self, action: Action) -> None:
        """Keep what an action was when it was shown."""
        self._hashes[action.approval.by, action.fingerprint] = action.preview_hash
        self._hashes.move_to_end((action.approval.by, action.fingerprint))
        if len(self._hashes) > _KEPT:
            self._hashes.popitem(last=False)

    def has_changed(self, action: Action) -> bool:
        """Tell whether an action was shown, and is another now in anything that it sends or uses."""
        shown = self._hashes.get((action.approval.by, action.fingerprint))
        return shown is not None and shown != action.preview_hash
