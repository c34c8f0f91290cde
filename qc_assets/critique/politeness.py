"""Comments that are approval, thanks or acknowledgement and nothing else, in the words that people use for it."""

import re
from itertools import product

_LOOKS = (
    ("look", "looks"), ("", " very", " really", " pretty"), (" good", " great", " fine", " nice", " ok", " okay"),
    ("", " to me"), ("", " now", " here"),
)  # fmt: skip
_PRAISE = (
    ("good", "nice", "great", "awesome", "excellent", "amazing"),
    ("", " ", "!"),
    ("job", "work", "catch", "find", "point", "idea", "stuff", "one", "call", "question", "fix"),
)
_THANKS = (("thank", "thanks"), ("", " you"), ("", " so much", " a lot", " very much"))
_OTHERS = (
    "lgtm|sgtm|ship it|shipit|good|nice|great|awesome|excellent|amazing|thx|ty|tks|cheers|cool|perfect|wonderful|"
    "brilliant|sweet|+ 1|+1|-1|:shipit:|agree|agreed|i agree|same|same here|same thought|me too|ditto|"
    "yes|yep|yeah|yup|no|nope|ok|okay|sure|right|correct|exactly|indeed|true|fair|fair enough|fair point|"
    "makes sense|sounds good|works for me|will do|no problem|np|got it|understood|i see|i understand|"
    "done|fixed|updated|changed|removed|added|addressed|resolved|committed|pushed|reverted|renamed|"
    "thought the same|thought the same thing|had the same|had the same thing|my bad|my mistake|oops|sorry|good to go|"
    "good now|simple|well done|never mind|nevermind|nvm|ack|ping|bump|same as above|as above|please|too|again|here|now|"
    "and|but|so|oh|ah|wow|haha|haa|lol"
)
_THANKED = frozenset(map("".join, product(*_THANKS)))
_PHRASES = (
    _THANKED
    | frozenset(map("".join, product(*_LOOKS)))
    | frozenset("".join(parts).replace("!", "") for parts in product(*_PRAISE))
    | frozenset(_OTHERS.split("|"))
)
# Of the phrases that begin with a letter.
_LENGTHS = {
    first: sorted({len(phrase) for phrase in _PHRASES if phrase[0] == first})
    for first in {phrase[0] for phrase in _PHRASES}
}
_FOR, _MOST_FOR = " for ", 60
_BEFORE = re.compile(r"[\W\d_]*+")


def is_only_polite(text: str) -> bool:
    """Whether a text is a row of polite phrases, with signs between them, and of what thanks are for.

    Positions that a row of phrases can reach are marked one after the other, so it takes time in proportion to the
    text. As one regular expression, thirty polite words before another one took an hour.
    """
    lowered = text.lower()
    end = len(lowered)
    if end != len(text):  # a letter whose small form is two: no word of ours has one
        return False
    before = _BEFORE.match(lowered)
    reach = before.end() if before else 0  # the farthest place that a row of phrases has come to
    begins = set(range(reach + 1))  # where a phrase may begin
    follows: set[int] = set()  # where one has ended, and after signs behind it
    for place in range(end):
        if place > reach:
            return False
        if place in follows:
            begins.add(place)
            if not lowered[place].isalnum():
                follows.add(place + 1)
                reach = max(reach, place + 1)
        if place not in begins:
            continue
        for length in _LENGTHS.get(lowered[place], ()):
            phrase, stop = lowered[place : place + length], place + length
            if phrase not in _PHRASES:
                continue
            follows.add(stop)
            if phrase in _THANKED and lowered.startswith(_FOR, stop):
                start = stop + len(_FOR)
                line_end = lowered.find("\n", start, start + _MOST_FOR)
                stop = min(start + _MOST_FOR, end) if line_end < 0 else line_end
                follows.update(range(start, stop + 1))
            reach = max(reach, stop)
    return end in follows
