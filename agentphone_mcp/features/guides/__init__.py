"""Serve short guides on phone integrations as resources; each is a markdown file beside this module."""

from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Guide:
    """Describe one guide as hosts list it."""

    name: str
    title: str
    description: str

    @property
    def uri(self) -> str:
        """Return the address of the resource."""
        return f"agentphone://guides/{self.name}"

    def read(self) -> str:
        """Read the guide, in markdown."""
        return files(__name__).joinpath(f"{self.name}.md").read_text(encoding="utf-8")


GUIDES = (
    Guide(
        "voice-webhooks",
        "Voice webhooks",
        "How a server of yours holds a call: what it is sent at each turn, what it answers, and how to stay quick.",
    ),
    Guide(
        "webhook-signatures",
        "Webhook signatures",
        "How to know that an event came from AgentPhone, in Python and Node, and how to take each event once.",
    ),
    Guide(
        "sms-and-10dlc",
        "Texts and 10DLC",
        "How texts are sent, received and answered, what US carriers want registered first, and what a text costs.",
    ),
    Guide(
        "silence",
        "When there is silence",
        "What to check, in which order, when a call is silent, a webhook hears nothing or a transcript is empty.",
    ),
    Guide(
        "going-live",
        "Going live",
        "The way from the sandbox to real calls: key, agent, number, registration, webhook, limits and approval.",
    ),
)
"""All guides, in the order in which hosts list them."""
