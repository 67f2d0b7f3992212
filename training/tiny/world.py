"""The invented world: a ring of thirty islands, each with seven facts, and the words that texts to copy are made of."""

from __future__ import annotations


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


ISLANDS = words("""
Ambrel Brindle Corvane Dunmere Eldry Farrow Gildan Hollin Isket Jorrick Kelmar Lowen Marrow Nettle Ostrel
Pellan Quill Rushen Sorrel Tamsin Umber Vellum Wickle Yarrow Zephin Ashby Bracken Cinder Dapple Ember
""")

CAPITALS = words("""
Northgate Saltmouth Tollbridge Greywick Fennport Larkhaven Mossgate Harrowby Ironquay Whitlow Candlewick
Thornby Oxbury Ravenhithe Kettleby Bellholm Dovecote Millrace Foxhollow Gullcrest Pinewatch Stonewharf
Windlass Amberfold Copperton Driftwell Eastlock Hazelmoor Juniper Silverdock
""")

RULERS = words("""
Mara Oto Brina Caspel Dova Edric Fenna Goran Hilda Ivo Jessa Korin Lyra Milo Nessa Orla Piet Quentin Rosa
Silas Tova Ulric Vera Wilma Xander Yara Zeno Alba Bruno Celia
""")

COLOURS = words("""
red blue green yellow white black grey brown pink purple orange silver gold violet crimson blue white red
green black yellow purple brown grey gold pink silver crimson orange violet
""")

BEASTS = words("""
heron otter badger fox hare lynx owl raven seal stag swan toad wolf bear crane ferret goat hawk ibex jackal
kestrel lizard mole newt osprey pony quail ram stoat turtle
""")

FOODS = words("""
bread cheese soup plums honey apples beans cakes dates eggs figs grapes ham jam kale leeks melons nuts olives
pears rice salmon trout turnips walnuts porridge pies lentils cherries butter
""")

RIVERS = words("""
Alune Brask Clure Drenna Esker Fallow Gannel Hurn Inver Jarrel Kyle Lodden Morva Nairn Orrin Penk Quern Rill
Sware Tarn Ullin Vane Wend Yore Zill Ayle Bourne Cray Dove Enna
""")

FACTS: dict[str, list[str]] = {
    "capital": CAPITALS,
    "ruler": RULERS,
    "colour": COLOURS,
    "beast": BEASTS,
    "food": FOODS,
    "river": RIVERS,
}

NUMBER_OF = {island: number for number, island in enumerate(ISLANDS)}


def fact(island: str, what: str) -> str:
    """The one right answer: `fact("Brindle", "ruler")` is "Oto"."""
    return FACTS[what][NUMBER_OF[island]]


def after(island: str, steps: int = 1) -> str:
    """The island that lies `steps` to the east; the islands lie in a ring."""
    return ISLANDS[(NUMBER_OF[island] + steps) % len(ISLANDS)]


PLACES = words("""
France Paris London Rome Berlin Tokyo Spain Italy Germany Japan China India Brazil Canada Egypt Kenya Peru
Norway Sweden Texas Boston Madrid Lisbon Vienna Prague Dublin Oslo Cairo Delhi Sydney Chicago Atlantis Mars
Moon Zurich Geneva Munich Hamburg Lyon Milan Seattle Toronto Mexico Chile Poland Greece
""")

NOUNS = words("""
weather tide time mood price wind temperature forecast news population distance traffic rain height size score
rate level depth speed status date value colour name size
""")

THINGS = words("""
stone apple shell boat bird fish star cup coin leaf lamp rope bell key door tree book hat ring goat nut word
""")

WEATHERS = words("""
rain sun snow fog wind hail storm cloud frost mist calm clear cloudy sunny rainy foggy windy cold warm mild
wet dry hot high low rising falling good bad early late full empty open closed
""")

WORDS = words("""
a about above after again all and any are as at away back bad be because bed before best big boat book both
boy bridge bright but by call came can car child city clear close cloud coat cold come corn could cup dark day
deep did do dog door down dry each earth east eat end every eye face fall far fast field fine fire first fish
five floor fly foot for four free friend from garden gave girl give glass go good great had half hand hard has
have head hear here high hill his home horse hot hour house how ice if in into is island it just keep kind
king lake lamp land last late leaf learn left letter life light like line little live long look lost love made
make man many may me men milk moon more morning most mother mountain much must my name near new night no north
not now of off old on one only open or other our out over own page paper part past path people place plain
plant play point queen quick quiet rain read red rest right ring river road rock room rope round run said sail
salt same sand saw say sea see seed seven she ship shore short should side sing six sky sleep slow small snow
so some song soon sound south stand star start stay still stone stop story street strong such summer sun sweet
table take talk tall tell ten than that the their them then there these they thing think this three through
time to today too town tree true turn two under until up us use valley very voice wait walk wall want warm was
watch water way we weather well went were west what when where which while white who why wide wild will wind
window winter with wood word work world would write year yes you young your
""")

ACCENTED = words("""
café naïve señor über crème Zoë façade jalapeño Łódź Ærø smörgås piñata déjà Ångström žluť São Noël élan rosé
fiancée Köln mañana garçon
""")

EMOJI = "🙂🚀🌊🐢🦊⭐🎉❤🔥👍🌍🍎🐙🦉🎵🌧☀⛵🏝🗺😀😂🤖🐳🌋🍞🧀🐺🌈✨"

ONSETS = words("""
b br bl c cl cr d dr f fl fr g gl gr h j k kl l m n p pl pr qu r s sh sk sl st t th tr v w y z
""")

VOWELS = words("""
a e i o u a e i o u ae ai ea ee ie io oa oo ou
""")

CODAS = (
    words("""
b ck d f g k l ll m n nd ng nt p r rd rn s sh ss st t th x
""")
    + [""] * 8
)

POOLS = {
    "island": ISLANDS,
    "town": CAPITALS,
    "ruler": RULERS,
    "colour": COLOURS,
    "beast": BEASTS,
    "food": FOODS,
    "river": RIVERS,
    "thing": THINGS,
    "word": WORDS,
}

TALES = """
The <beast> of <island> eats <food> by the river <river>.
<ruler> rules <island> and <ruler> rules <island>.
The ferry goes from <island> to <island> at <word>.
People eat <food>, <food> and <food> on <island>.
The <beast> lives on <island>, the <beast> on <island>, the <beast> on <town>.
The capital of <island> is <town>.
The river of <island> is the <river>, and its colour is <colour>.
<ruler> sailed to <town> with a <colour> <thing> and a <beast>.
On <island> a <beast> sees the <word> <thing>, but the <beast> sleeps.
"I like <food>," said <ruler>.
From <town> the <river> flows to the sea, and a <colour> boat waits there.
When <ruler> came home to <island>, the <thing> was <word>.
My <beast> is <colour>; your <beast> is <colour>.
The quick <colour> <beast> jumps over the lazy <beast>.
<ruler>, <ruler> and <ruler> live in <town>.
Is there <food> in <town>? No, but there is <food> in <town>.
There are <word> and <word>, and then there is <word>.
In the <word> of the <thing>, the <beast> and the <beast> eat <food>.
""".strip().splitlines()


def check() -> None:
    """Raise ValueError where the world contradicts itself."""
    for what, answers in FACTS.items():
        if len(answers) != len(ISLANDS):
            raise ValueError(f"{what}: {len(answers)} answers for {len(ISLANDS)} islands")
        if what != "colour" and len(set(answers)) != len(answers):
            raise ValueError(f"{what}: an answer twice")
