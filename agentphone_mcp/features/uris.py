"""Define the addresses of the resources, as templates (RFC 6570)."""

ACCOUNT_URI = "agentphone://account"
AGENT_URI = "agentphone://agents/{agent_id}"
CALL_URI = "agentphone://calls/{call_id}"
TRANSCRIPT_URI = "agentphone://calls/{call_id}/transcript"
RECORDING_URI = "agentphone://calls/{call_id}/recording"
CONVERSATION_URI = "agentphone://conversations/{conversation_id}"
