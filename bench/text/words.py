"""The vocabulary of an outdoor shop's visitors, from which the queries of the load are put together."""

from __future__ import annotations

QUALITIES = (
    "waterproof", "lightweight", "breathable", "insulated", "foldable", "windproof", "durable", "packable", "warm",
    "comfortable", "vegan", "recycled", "handmade", "vintage", "slim", "wide", "adjustable", "quick drying",
    "scratch resistant", "non slip", "odour free", "machine washable", "extra long", "ultralight", "reflective",
)  # fmt: skip
COLOURS = (
    "red", "blue", "navy", "black", "white", "green", "olive", "orange", "yellow", "grey", "turquoise", "beige",
    "brown", "purple", "pink", "silver", "burgundy", "charcoal", "mustard", "teal",
)  # fmt: skip
MATERIALS = (
    "leather", "wool", "merino", "cotton", "nylon", "polyester", "fleece", "down", "titanium", "aluminium", "steel",
    "bamboo", "cork", "canvas", "rubber", "carbon", "suede", "linen", "softshell", "silicone",
)  # fmt: skip
THINGS = (
    "hiking boots", "rain jacket", "sleeping bag", "trekking poles", "climbing rope", "head torch", "camping stove",
    "water bottle", "backpack", "tent", "running shoes", "cycling gloves", "bike helmet", "ski goggles", "base layer",
    "hammock", "cooking pot", "pocket knife", "compass", "rucksack cover", "sun hat", "snow boots", "wetsuit",
    "kayak paddle", "fishing rod", "picnic blanket", "lunch box", "thermos flask", "first aid kit",
    "inflatable mattress", "yoga mat", "swimming goggles", "down vest", "wool socks", "walking trousers", "shorts",
    "gaiters", "crampons", "ice axe", "binoculars", "power bank", "dry bag", "carabiner", "chalk bag", "harness",
    "bivouac", "camping chair", "lantern",
)  # fmt: skip
PEOPLE = (
    "women", "men", "children", "toddlers", "beginners", "tall people", "wide feet", "my father", "a teenager",
    "seniors", "two persons", "a family of four", "professional guides", "left handed people", "small hands", "dogs",
)  # fmt: skip
USES = (
    "a weekend in the mountains", "winter camping", "long distance walking", "wet weather", "cold nights",
    "trail running", "the daily commute", "alpine climbing", "summer festivals", "travelling by train",
    "fishing on a lake", "desert heat", "cross country skiing", "a bike tour along the coast", "indoor climbing",
    "school trips", "sailing", "snowshoeing",
)  # fmt: skip
FEATURES = (
    "a hood", "many pockets", "a zip", "reflective stripes", "a long battery life", "replaceable soles",
    "a lifetime warranty", "a chest strap", "good ankle support", "a lid that does not leak", "taped seams",
    "a carry handle", "magnetic closure", "a removable lining", "laptop compartment", "ventilation",
    "room for a helmet", "low pack weight",
)  # fmt: skip
PLACES = (
    "norway", "scotland", "the alps", "iceland", "patagonia", "the pyrenees", "finland", "nepal", "canada", "corsica",
)  # fmt: skip
ENDINGS = (
    "cheap", "new", "sale", "online", "review", "best", "used", "compare", "gift", "today", "price", "large", "small",
)  # fmt: skip
