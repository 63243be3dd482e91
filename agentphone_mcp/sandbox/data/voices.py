"""List the voices an agent may use: hundreds of rows, some with nulls as the vendor has, the same in every run."""

from agentphone_mcp.sandbox.responses import Json

# fmt: off
_FEMALE = (
    "Amelia", "Aria", "Ava", "Bella", "Camila", "Chloe", "Clara", "Diana", "Elena", "Elise", "Emma", "Freya", "Grace",
    "Hana", "Isla", "Ivy", "Jenna", "Kate", "Laila", "Lily", "Luna", "Maya", "Mila", "Nadia", "Naomi", "Nora",
    "Olivia", "Paola", "Rachel", "Rosa", "Ruby", "Sarah", "Sofia", "Stella", "Tara", "Uma", "Vera", "Willow", "Yara",
    "Zoe",
)
_MALE = (
    "Adam", "Alex", "Anton", "Arjun", "Ben", "Bruno", "Caleb", "Carlos", "Daniel", "David", "Diego", "Ethan", "Felix",
    "Finn", "George", "Hugo", "Ian", "Jack", "James", "Jonas", "Kai", "Leo", "Liam", "Lucas", "Marco", "Mateo", "Max",
    "Nathan", "Noah", "Omar", "Oscar", "Paul", "Rafael", "Ravi", "Samuel", "Theo", "Tomas", "Victor", "Will", "Yusuf",
)
# fmt: on
_OPENAI = {
    "alloy": "neutral",
    "ash": "male",
    "ballad": "male",
    "coral": "female",
    "echo": "male",
    "fable": "neutral",
    "nova": "female",
    "onyx": "male",
    "sage": "female",
    "shimmer": "female",
}
_ACCENTS = ("American", "British", None, "Australian", "Indian", "Irish", None)


def _voice(
    voice_id: str, name: str, provider: str, *, gender: str | None, accent: str | None = None, preview: bool = False
) -> Json:
    return {
        "voiceId": voice_id,
        "voice_id": voice_id,
        "name": name,
        "voice_name": name,
        "provider": provider,
        "gender": gender,
        "accent": accent,
        "preview_audio_url": f"https://voices.example.com/{voice_id}.mp3" if preview else None,
    }


def _named(provider: str, prefix: str, offset: int) -> list[Json]:
    people = [(name, "female") for name in _FEMALE] + [(name, "male") for name in _MALE]
    return [
        _voice(
            f"{prefix}-{name}",
            name,
            provider,
            gender=None if (index + offset) % 11 == 0 else gender,
            accent=_ACCENTS[(index + offset) % len(_ACCENTS)],
            preview=(index + offset) % 5 != 0,
        )
        for index, (name, gender) in enumerate(people)
    ]


VOICES: list[Json] = [
    _voice("11labs-Brian", "Brian", "elevenlabs", gender="male", accent="American", preview=True),
    *(_voice(name, name.title(), "openai", gender=gender) for name, gender in _OPENAI.items()),
    _voice("Polly.Amy", "Amy", "polly", gender="female", accent="British"),
    *_named("elevenlabs", "11labs", 1),
    *_named("cartesia", "cartesia", 3),
    *_named("deepgram", "aura", 7),
]
