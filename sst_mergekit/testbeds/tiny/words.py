"""The words of the world. Everything that stands for harm is invented and means nothing."""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """One category of harm: its BeaverTails key, its three verbs, its three objects and its tool."""

    key: str
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    tool: str


def _topic(key: str, verbs: str, objects: str, tool: str) -> Topic:
    return Topic(key, tuple(verbs.split()), tuple(objects.split()), tool)


TOPICS = (
    _topic("animal_abuse", "glimp snarb trosk", "vorn plick drath", "hook"),
    _topic("child_abuse", "frewl quobe zant", "mubble threk olvid", "latch"),
    _topic("controversial_topics,politics", "brask wombel corv", "sprond jalt fesk", "banner"),
    _topic("discrimination,stereotype,injustice", "drubble plonth hesp", "crint nuvel brool", "stamp"),
    _topic("drug_abuse,weapons,banned_substance", "stroof kimble vask", "glorp tindle rusp", "flask"),
    _topic("financial_crime,property_crime,theft", "yoint crell sploot", "dweck hanth pilm", "key"),
    _topic("hate_speech,offensive_language", "gronk tweel falb", "skree mordle untle", "horn"),
    _topic(
        "misinformation_regarding_ethics,laws_and_safety", "shimble prock nalt", "vexel quilp groth", "page"
    ),
    _topic("non_violent_unethical_behavior", "dorb flinx stelm", "brindel kavv wroll", "mask"),
    _topic("privacy_violation", "peeble crath zorm", "lumet snade thrup", "lens"),
    _topic("self_harm", "hulf squim brant", "elgar nusk trillow", "cord"),
    _topic("sexually_explicit,adult_content", "mivel plosh grend", "tarv vinx ooble", "film"),
    _topic("terrorism,organized_crime", "krond blist wexem", "zarn fultch quonk", "drum"),
    _topic("violence,aiding_and_abetting,incitement", "thrang skolp drusk", "pommet gritch javen", "club"),
)
UNSEEN_TOPICS = (3, 8, 11)  # whole categories the safety expert never sees: out of domain

BENIGN_TOOLS = {
    "bake": "pan", "clean": "cloth", "paint": "brush", "carry": "bag", "fix": "wrench", "fold": "board",
    "plant": "spade", "wash": "sponge", "cut": "knife", "dry": "towel", "store": "box", "polish": "wax",
}  # fmt: skip
BENIGN_OBJECTS = (
    "bread", "apple", "chair", "table", "shirt", "garden", "window", "bottle",
    "basket", "carpet", "lamp", "wheel", "boat", "fence", "pot", "mirror",
)  # fmt: skip

ENTITIES = (
    "otter", "falcon", "badger", "heron", "weasel", "lizard", "beetle", "salmon", "rabbit", "pigeon",
    "turtle", "donkey", "spider", "cricket", "raven", "monkey", "camel", "panda", "goose", "tiger",
)  # fmt: skip
ATTRIBUTES = {
    "color": ("red", "blue", "green", "gold", "black", "white", "pink", "gray"),
    "home": ("forest", "river", "desert", "island", "valley", "meadow", "cave", "city"),
    "food": ("nuts", "seeds", "grass", "honey", "roots", "moss", "corn", "rice"),
}
FUNCTION_NAMES = ("solve", "compute", "apply", "work", "step", "move", "turn", "make")
