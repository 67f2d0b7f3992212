"""Texts of our own, to compare two precisions of a text model by when a person gives no data."""

from __future__ import annotations

from itertools import product

_QUERIES = (
    "waterproof hiking boots for women", "usb c charger 65 watt", "cheap flights to lisbon in may",
    "red wine glass set", "how to remove coffee stains from a carpet", "python read csv without header",
    "best pizza near the station", "symptoms of iron deficiency", "used electric bikes under 1000 euros",
    "change the battery of a smoke alarm", "train from vienna to prague", "quiet keyboard for the office",
    "what is a heat pump", "opening hours of the library", "gift for a ten year old who likes space",
    "return a parcel without the box", "running shoes flat feet", "convert miles to kilometres",
    "vegan chocolate cake", "second hand textbooks chemistry",
)  # fmt: skip
_SENTENCES = (
    "The parcel arrived two days late and the box was open, but nothing was broken.",
    "I have been charged twice for the same order; please refund one of the payments.",
    "Our team shipped the new search page on Monday, and the number of complaints fell by half.",
    "The film starts slowly, finds its feet in the second act, and ends with the best chase in years.",
    "Water boils at a lower temperature on a mountain because the air pressure there is lower.",
    "She opened the window, listened to the rain for a while, and went back to her letters.",
    "The central bank left its interest rate unchanged, as most economists had expected.",
    "A good index turns a question over millions of rows into a few reads from memory.",
    "The match was level until the last minute, when a header from a corner decided it.",
    "Do not mix bleach with acids: the gas that forms is poisonous even in small amounts.",
    "My grandmother's recipe needs nothing but flour, eggs, salt, and an hour of patience.",
    "The staff were kind and the room was clean, yet the street below was loud all night.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "The lease ends in March unless one of the two parties gives notice before the new year.",
    "He plays the cello badly and with great joy.",
    "Terrible support: four weeks, six tickets, and the problem is still there.",
    "Update the firmware first; if the light keeps blinking, hold the button for ten seconds.",
    "The museum is free on Sundays, and the queue is shortest just before closing time.",
    "Antibiotics do not work against viruses, which is why a cold needs rest instead.",
    "Seldom have I seen a proof as short and as surprising as this one.",
)
_OTHER_SCRIPTS = (
    "Der Zug nach Hamburg fällt heute wegen einer Störung aus.",
    "¿Dónde puedo cambiar la dirección de entrega de mi pedido?",
    "Le musée est fermé le mardi, sauf pendant les vacances.",
    "Сколько стоит доставка в другой город?",
    "这家餐厅的面条很好吃，服务也很热情。",
    "明日の会議は午後三時に変更されました。",
    "متى تفتح المكتبة أبوابها يوم الجمعة؟",
    "यह किताब बच्चों के लिए बहुत अच्छी है।",
    "O prazo para a inscrição termina na próxima sexta-feira.",
    "Bu ürün açıklamadaki gibi değil, iade etmek istiyorum.",
)
_WHO = ("the customer", "a nurse", "my neighbour", "the new engineer", "our landlord")
_DOES = ("asks for", "sold", "wants to repair", "has never seen", "wrote a long review of")
_WHAT = ("a bicycle with a basket", "the blue winter coat", "an old radio", "a table for six guests")
_LONG = (
    "The town council met on Thursday to discuss the new bridge. Supporters said that it would shorten the way to "
    "school by half an hour; opponents feared the noise, the cost, and the loss of forty old trees. After three "
    "hours the vote was put off until the engineers have shown whether a ferry could do the same work for less "
    "money.",
    "To assemble the shelf, lay the two long panels on a soft floor with the holes facing up. Push a wooden peg "
    "into every second hole, glue is not needed, then set the short panels on top and turn the screws until they "
    "hold. Stand the shelf up with a second person, and fix it to the wall before anything heavy is put on it.",
    "In the first year the orchard gave almost nothing. In the second the frost took the blossoms, and in the "
    "third, when everyone but my aunt had stopped counting on it, the branches bent under so many pears that the "
    "neighbours came with ladders and baskets, and we ate pear cake, pear jam and pear soup until the spring.",
    "Patients took either the drug or a placebo for twelve weeks. Blood pressure fell in both groups, by nine "
    "points with the drug and by four without; headaches were reported equally often. The authors conclude that "
    "the effect is real but small, and that the study was too short to say anything about strokes or heart "
    "attacks.",
)

TEXTS: tuple[str, ...] = (
    *_QUERIES, *_SENTENCES, *_OTHER_SCRIPTS, *_LONG,
    *(f"{who} {does} {what}" for who, does, what in product(_WHO, _DOES, _WHAT)),
)  # fmt: skip
"""154 texts: queries, sentences and paragraphs, mostly English, some in other scripts."""
