"""Stories and jokes for the rule-based chatbot. Which one is told depends on what was asked."""

from __future__ import annotations

_OPENINGS = (
    "Sure, here is one.",
    "Of course, sit back and listen.",
    "All right, let me think.",
)
_STORIES = (
    (
        "Long ago, in a small house at the end of a road, there lived a girl called Mina.",
        "Every evening she sat by the window and dreamed about {topic}.",
        "One morning she packed some bread, took her lamp, and went to see it for herself.",
        "The way was long, and more than once she wanted to turn back.",
        "But an old man by the road told her that {topic} waits for those who keep walking.",
        "So she walked on, through the rain and through the night.",
        "And when the sun came up, there it was, brighter than in any of her dreams.",
        "She stayed until the stars came out, and then she went home to tell everyone.",
        "Since that day, people in her village leave a lamp in the window.",
    ),
    (
        "Once there was a young sailor who was afraid of nothing but silence.",
        "So he sang all day, and most of his songs were about {topic}.",
        "One night the wind stopped, the ship stood still, and nobody dared to speak.",
        "Then, far away, somebody answered his song.",
        "He followed the voice in a little boat, with only the moon to show him the way.",
        "What he found was {topic}, just as he had always sung it.",
        "It asked him for one more song, and he sang until the morning.",
        "When the wind came back, he was not afraid of silence any more.",
        "He had learned that silence is only a song that has not begun.",
    ),
    (
        "There was once a clock maker who could mend everything but her own heart.",
        "A stranger came to her shop and asked her to build a clock that knew {topic}.",
        "She laughed at first, and then she could not sleep.",
        "For a year she worked, with tiny wheels and thin golden wire.",
        "When the clock struck for the first time, it told her a secret about {topic}.",
        "It was a small secret, but it made her smile for days.",
        "The stranger came back, and she would not take any money.",
        "They had tea instead, and talked until every clock in the shop struck ten.",
        "And that is how her heart began to tick again.",
    ),
)
SHORT_SENTENCES = 5
_JOKES = (
    "Okay, here's one. Why did the bicycle fall over? Because it was two tired.",
    "Sure, try this. What do you call a fish with no eyes? A fsh.",
    "All right, a short one. Why can't a nose be twelve inches long? "
    "Because then it would be a foot.",
)


def story(topic: str, told_before: int, *, long: bool) -> str:
    """Return a story about a topic, another one each time."""
    chosen = _STORIES[told_before % len(_STORIES)]
    sentences = chosen if long else (*chosen[: SHORT_SENTENCES - 1], chosen[-1])
    opening = _OPENINGS[told_before % len(_OPENINGS)]
    return " ".join((opening, *sentences)).format(topic=topic)


def joke(told_before: int) -> str:
    """Return a joke, another one each time."""
    return _JOKES[told_before % len(_JOKES)]
