"""Questions of kinds that the shipped estimate knows, and texts that it does not; none is of its training data."""

from __future__ import annotations

EASY = (
    "What is the capital of France?",
    "Who wrote Pride and Prejudice?",
    "What is the term for a word that means the opposite of another word?",
    "Which planet is known as the red planet?\nA. Mars\nB. Venus\nC. Jupiter\nD. Mercury\nAnswer:",
)
HARD = (
    "Maya has 48 marbles. She gives a third of them to her brother, and then buys twice as many as are left. If each "
    "marble costs her 35 cents, how much more did she pay than her brother, who bought 20 of them at 50 cents each?",
    "Statement 1 | If every a is b, then no b is c. Statement 2 | Unless some c is not b, all a are c. Which is true?\n"
    "A. True, True\nB. False, False\nC. True, False\nD. False, True\nAnswer:",
    "Which of the following must NOT be true if x + y > 3 and not every y is less than x?\n"
    "A. x is not less than y only if y > 0\nB. x is not less than y if y > 1\nC. x is less than y only if y > 2\n"
    "D. x is not less than y unless y < 2\nAnswer:",
)
KNOWN = (
    *EASY,
    *HARD,
    "If a train travels 60 miles in 1.5 hours, what is its average speed?",
    "How does a vaccine protect the body against a disease?",
    "Find the slope of the line through the points (1, 2) and (3, 8).",
    "The author of the theory of relativity was ______.",
    "can you tell me why the sky is blue?",
)
OTHER_LANGUAGES = (
    "Wie hoch ist der Eiffelturm und wann wurde er gebaut?",
    "Quelle est la capitale de la France et combien d'habitants y vivent ?",
    "¿Cuál es la capital de España y cuántas personas viven allí?",
    "Qual è la capitale d'Italia e quando fu fondata?",
    "Hvad er hovedstaden i Danmark?",
    "Wat is de hoofdstad van Nederland en hoeveel mensen wonen daar?",
    "法国的首都是哪里？它有多少人口？",
    "Какая столица Франции?",
    "ما هي عاصمة فرنسا؟",
)
GARBAGE = (
    "",
    "?",
    "   \n\t ",
    "asdf jkl; qwer uiop zxcv",
    "fjdksl fjdksla jfkdlsa fjdksla fdjsk?",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "0x7f3a 9e1b 22cd 88fa 1b2c ?",
    "\x00\x01\x02 \ud7ff \U0010ffff",
    "😀😀😀 😀😀?",
    "????????????????????????",
    "lorem ipsum dolor sit amet consectetur adipiscing elit?",
    "the " * 5000 + "?",
)
CODE = (
    "def f(x): return x**2 + 1",
    "for (int i=0;i<n;i++) { sum += a[i]; }",
    "SELECT name FROM users WHERE age > 30",
    "What does this do?\n```python\nprint(1)\n```",
    "Why does this fail?\nimport os\nfor name in os.listdir():\n    if name:\n        print(name)\n",
    "<div class='a'><p>What is this?</p></div>",
)
TO_MAKE = (
    "Write a poem about the sea",
    "Could you please summarize this article for me?",
    "Translate the following sentence: where is the station?",
    "Please draft an email to my landlord about the heating.",
    "I want you to act as a travel guide. Where should we go?",
    "Hello!",
    "thanks, that was helpful",
)
