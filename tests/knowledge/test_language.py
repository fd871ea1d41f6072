"""The language of a text is told, or nothing is said: never a guess on a coin's toss."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.language import identify

LINES = {
    "en": [
        "how are you?", "What was your wedding like?", "When do you open on Sundays?", "who are you", "thanks!",
        "hello", "tell me about the war", "I love you grandma", "ok see you tomorrow", "Are you a bot?", "goodbye",
        "do you have gluten free bread", "what's the recipe for the broth", "I was born by the river in 1941.",
    ],
    "es": [
        "hola", "¿cómo estás?", "cuéntame de tu boda", "quién eres", "gracias abuela", "a qué hora abren",
        "donde naciste", "eres un robot?", "adios", "buenos dias", "te acuerdas del perro?", "como se hace la empanada",
        "jaja vale", "¿Tenéis pan sin gluten?", "Nací junto al río en el invierno de 1941.",
    ],
    "pt": [
        "olá", "conta-me do teu casamento", "quem és tu", "obrigada avó", "a que horas abrem", "onde nasceste",
        "és um robô?", "bom dia", "tudo bem?", "você lembra do cachorro?", "como se faz o pão",
        "vocês têm pão sem glúten?", "saudades tuas", "Nasci ao pé do rio no inverno de 1941.",
    ],
    "fr": ["bonjour", "comment ça va ?", "merci beaucoup", "êtes-vous un robot ?", "raconte-moi ton mariage",
           "à quelle heure ouvrez-vous ?", "je suis née au bord de la rivière"],
    "de": ["hallo", "wie geht es dir?", "wer bist du", "danke schön", "bist du ein bot?",
           "erzähl mir von deiner hochzeit", "wann habt ihr offen?"],
    "it": ["ciao", "come stai?", "chi sei", "grazie mille", "sei un bot?", "raccontami del tuo matrimonio",
           "a che ora aprite?", "buongiorno"],
    "nl": ["hoe gaat het met je?"],
    "ru": ["привет как дела"],
    "uk": ["привіт, як справи?"],
    "ar": ["مرحبا كيف حالك"],
    "he": ["שלום מה שלומך"],
    "el": ["τι κάνεις;"],
    "ja": ["おはようございます", "今日は寒いですね"],
    "zh": ["你今天吃饭了吗"],
    "ko": ["안녕하세요 할머니"],
    "hi": ["नमस्ते दादी"],
    "th": ["สวัสดีค่ะ"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "text"), [(language, text) for language, texts in LINES.items() for text in texts]
)
def test_the_language_of_a_chat_line_is_told(language: str, text: str) -> None:
    assert identify(text) == language


@pytest.mark.parametrize(
    "text", ["", " ", "👍🏽❤️", "12:30", "???", "https://example.com/the-and-you", "zzzxq", "Joaquim"]
)
def test_what_tells_nothing_gives_nothing(text: str) -> None:
    assert identify(text) == ""


def test_ten_thousand_lines_take_less_than_a_second_of_work() -> None:
    lines = [f"{line} {n}" for n in range(100) for lines in LINES.values() for line in lines]
    began = time.process_time()
    for line in lines:
        identify(line)
    assert (time.process_time() - began) / len(lines) < 0.0003


@given(text=st.text(max_size=200))
def test_any_text_has_one_language_or_none(text: str) -> None:
    assert len(identify(text)) in (0, 2)
