"""Exported chats of many languages and both telephones, each with what must come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from knowledge.importers.contract import ReadOptions
from knowledge.importers.whatsapp import WhatsApp
from tests.knowledge.importers.exports import questions_of, records_of, write_files

N = "\u202f"
B = "\u00a0"
L = "\u200e"
R = "\u200f"

Line = tuple[str, str, str, str]
"""activity, author, text (or the file), local time"""


@dataclass(frozen=True)
class Chat:
    """One export and its lines."""

    text: str
    lines: list[Line]
    name: str = "chat.txt"


CHATS = {
    "en-US Android 12h": Chat(
        f"1/4/23, 7:02{N}PM - Messages and calls are end-to-end encrypted. Tap to learn more.\n"
        f"1/4/23, 7:03{N}PM - Rosa Field: Did you water the basil: yes or no?\n"
        f"2/14/23, 12:05{N}AM - Tom: <Media omitted>\n"
        f"2/14/23, 12:15{N}PM - Tom: IMG-20230214-WA0003.jpg (file attached)\nlook at this\n"
        f"2/14/23, 12:16{N}PM - Tom: This message was deleted\n"
        f"2/14/23, 12:17{N}PM - Rosa Field: better now <This message was edited>\n",
        [
            ("notice", "", "Messages and calls are end-to-end encrypted. Tap to learn more.", "2023-01-04 19:02"),
            ("message", "Rosa Field", "Did you water the basil: yes or no?", "2023-01-04 19:03"),
            ("message", "Tom", "", "2023-02-14 00:05"),
            ("message", "Tom", "look at this|IMG-20230214-WA0003.jpg", "2023-02-14 12:15"),
            ("deleted", "Tom", "", "2023-02-14 12:16"),
            ("message", "Rosa Field", "better now", "2023-02-14 12:17"),
        ],
    ),
    "en-US iOS 12h": Chat(
        f"[1/5/24, 9:03:12{N}PM] Rosa: {L}Messages and calls are end-to-end encrypted.\r\n"
        f"[1/5/24, 9:03:30{N}PM] Rosa: Hello: are you there?\r\nsecond line\r\n[not a header] third line\r\n"
        f"{L}[1/5/24, 9:04:01{N}PM] Tom: {L}<attached: 00000012-PHOTO-2024-01-05-21-04-01.jpg>\r\n"
        f"[1/5/24, 9:05:00{N}PM] Tom: {L}image omitted\r\n"
        f"[1/13/24, 10:15:00{N}AM] Tom: hi 👋🏽 {L}<This message was edited>\r\n"
        f"[1/13/24, 10:16:00{N}AM] Rosa: {L}You deleted this message.\r\n"
        f"[1/13/24, 10:16:30{N}AM] Rosa: {L}Missed voice call\r\n"
        f"[1/13/24, 10:17:00{N}AM] ~{N}Pat: unknown contact\r\n",
        [
            ("notice", "Rosa", "Messages and calls are end-to-end encrypted.", "2024-01-05 21:03:12"),
            ("message", "Rosa", "Hello: are you there?\nsecond line\n[not a header] third line", "2024-01-05 21:03:30"),
            ("message", "Tom", "|00000012-PHOTO-2024-01-05-21-04-01.jpg", "2024-01-05 21:04:01"),
            ("message", "Tom", "", "2024-01-05 21:05:00"),
            ("message", "Tom", "hi 👋🏽", "2024-01-13 10:15:00"),
            ("deleted", "Rosa", "", "2024-01-13 10:16:00"),
            ("notice", "Rosa", "Missed voice call", "2024-01-13 10:16:30"),
            ("message", "Pat", "unknown contact", "2024-01-13 10:17:00"),
        ],
    ),
    "en-GB Android 24h": Chat(
        "13/02/2024, 09:01 - Ivy: Morning\n"
        "13/02/2024, 09:02 - Ivy: POLL:\nPicnic where?\nOPTION: The lake (2 votes)\nOPTION: The hill (0 votes)\n"
        "13/02/2024, 09:03 - Sam: location: https://maps.google.com/?q=51.5007,-0.1246\n"
        "13/02/2024, 09:04 - Sam: letter.pdf (file attached)\n",
        [
            ("message", "Ivy", "Morning", "2024-02-13 09:01"),
            ("poll", "Ivy", "Picnic where? (The lake / The hill)", "2024-02-13 09:02"),
            ("location", "Sam", "", "2024-02-13 09:03"),
            ("message", "Sam", "|letter.pdf", "2024-02-13 09:04"),
        ],
    ),
    "en-IN Android lower case": Chat(
        "04/01/23, 7:02 pm - Asha: on my way\n29/01/23, 12:30 am - Dev: ok\n",
        [("message", "Asha", "on my way", "2023-01-04 19:02"), ("message", "Dev", "ok", "2023-01-29 00:30")],
    ),
    "de Android": Chat(
        "03.08.21, 12:30 - Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.\n"
        "03.08.21, 12:30 - Uwe: Hallo\n"
        "03.08.21, 12:31 - Uwe: <Medien ausgeschlossen>\n"
        "03.08.21, 12:32 - Uwe: IMG-20210803-WA0001.jpg (Datei angehängt)\n"
        "03.08.21, 12:33 - Uwe: Diese Nachricht wurde gelöscht.\n"
        "03.08.21, 12:34 - Uwe: Bis gleich <Diese Nachricht wurde bearbeitet.>\n"
        "03.08.21, 12:35 - Uwe: UMFRAGE:\nWann?\nOPTION: Montag (1 Stimme)\nOPTION: Dienstag (2 Stimmen)\n",
        [
            ("notice", "", "Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.", "2021-08-03 12:30"),
            ("message", "Uwe", "Hallo", "2021-08-03 12:30"),
            ("message", "Uwe", "", "2021-08-03 12:31"),
            ("message", "Uwe", "|IMG-20210803-WA0001.jpg", "2021-08-03 12:32"),
            ("deleted", "Uwe", "", "2021-08-03 12:33"),
            ("message", "Uwe", "Bis gleich", "2021-08-03 12:34"),
            ("poll", "Uwe", "Wann? (Montag / Dienstag)", "2021-08-03 12:35"),
        ],
    ),
    "de iOS": Chat(
        f"[07.03.26, 21:22:39] Anna: {L}Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.\r\n"
        "[07.03.26, 21:22:40] Chris: Hey 👋\r\n"
        f"{L}[07.03.26, 21:23:00] Anna: {L}<Anhang: 00000003-AUDIO-2026-03-07-21-23-00.opus>\r\n"
        f"[07.03.26, 21:24:01] Anna: {L}Bild weggelassen\r\n",
        [
            ("notice", "Anna", "Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.", "2026-03-07 21:22:39"),
            ("message", "Chris", "Hey 👋", "2026-03-07 21:22:40"),
            ("message", "Anna", "|00000003-AUDIO-2026-03-07-21-23-00.opus", "2026-03-07 21:23:00"),
            ("message", "Anna", "", "2026-03-07 21:24:01"),
        ],
    ),
    "es Android p. m.": Chat(
        f"28/3/2025, 9:29 p. m. - Los mensajes y las llamadas están cifrados de extremo a extremo.\n"
        f"28/3/2025, 9:29 p.{B}m. - Ana: ¿vienes?\n"
        f"28/3/2025, 9:36 p.{B}m. - Ana: PTT-20250328-WA0014.opus (archivo adjunto)\n"
        f"29/3/2025, 12:05 a.{B}m. - Luis: <Multimedia omitido>\n"
        f"29/3/2025, 12:06 a.{B}m. - Luis: Se eliminó este mensaje.\n"
        f"29/3/2025, 12:07 p.{B}m. - Luis: ya llego <Se editó este mensaje.>\n",
        [
            ("notice", "", "Los mensajes y las llamadas están cifrados de extremo a extremo.", "2025-03-28 21:29"),
            ("message", "Ana", "¿vienes?", "2025-03-28 21:29"),
            ("message", "Ana", "|PTT-20250328-WA0014.opus", "2025-03-28 21:36"),
            ("message", "Luis", "", "2025-03-29 00:05"),
            ("deleted", "Luis", "", "2025-03-29 00:06"),
            ("message", "Luis", "ya llego", "2025-03-29 12:07"),
        ],
    ),
    "es iOS": Chat(
        f"[3/1/24, 21:03:12] Mamá: {L}Los mensajes y las llamadas están cifrados de extremo a extremo.\r\n"
        "[3/1/24, 21:04:00] Mamá: ¿Has comido?\r\n"
        f"{L}[3/1/24, 21:05:00] Iria: {L}<adjunto: 00000007-VIDEO-2024-01-03-21-05-00.mp4>\r\n"
        f"[3/1/24, 21:06:00] Iria: {L}imagen omitida\r\n"
        f"[3/1/24, 21:07:00] Iria: {L}ENCUESTA:\n¿Qué cenamos?\n"
        f"{L}OPCIÓN: Sopa (0 votos)\n{L}OPCIÓN: Tortilla (3 votos)\r\n",
        [
            (
                "notice",
                "Mamá",
                "Los mensajes y las llamadas están cifrados de extremo a extremo.",
                "2024-01-03 21:03:12",
            ),
            ("message", "Mamá", "¿Has comido?", "2024-01-03 21:04:00"),
            ("message", "Iria", "|00000007-VIDEO-2024-01-03-21-05-00.mp4", "2024-01-03 21:05:00"),
            ("message", "Iria", "", "2024-01-03 21:06:00"),
            ("poll", "Iria", "¿Qué cenamos? (Sopa / Tortilla)", "2024-01-03 21:07:00"),
        ],
    ),
    "pt-BR Android, no comma": Chat(
        "03/01/2015 08:00 - As mensagens e as chamadas são protegidas com a criptografia de ponta a ponta.\n"
        "03/01/2015 08:00 - João: Oi\n"
        "25/12/2015 18:30 - João: <Mídia oculta>\n"
        "25/12/2015 18:31 - João: VID-20151225-WA0002.mp4 (arquivo anexado)\n"
        "25/12/2015 18:32 - Lia: Mensagem apagada\n",
        [
            (
                "notice",
                "",
                "As mensagens e as chamadas são protegidas com a criptografia de ponta a ponta.",
                "2015-01-03 08:00",
            ),
            ("message", "João", "Oi", "2015-01-03 08:00"),
            ("message", "João", "", "2015-12-25 18:30"),
            ("message", "João", "|VID-20151225-WA0002.mp4", "2015-12-25 18:31"),
            ("deleted", "Lia", "", "2015-12-25 18:32"),
        ],
    ),
    "pt-PT Android": Chat(
        "02/05/23, 08:10 - As mensagens e as chamadas são encriptadas ponto a ponto.\n"
        "02/05/23, 08:11 - Avó Lurdes: Já comeste?\n"
        "02/05/23, 08:12 - Rui: IMG-20230502-WA0000.jpg (ficheiro anexado)\n"
        "02/05/23, 08:13 - Rui: <Ficheiro multimédia omitido>\n"
        "02/05/23, 08:14 - Rui: Apagou esta mensagem.\n",
        [
            ("notice", "", "As mensagens e as chamadas são encriptadas ponto a ponto.", "2023-05-02 08:10"),
            ("message", "Avó Lurdes", "Já comeste?", "2023-05-02 08:11"),
            ("message", "Rui", "|IMG-20230502-WA0000.jpg", "2023-05-02 08:12"),
            ("message", "Rui", "", "2023-05-02 08:13"),
            ("deleted", "Rui", "", "2023-05-02 08:14"),
        ],
    ),
    "fr Android with à": Chat(
        "05/06/2022 à 14:02 - Les messages et les appels sont chiffrés de bout en bout.\n"
        "05/06/2022 à 14:03 - Odile: Tu passes demain ?\n"
        "05/06/2022 à 14:04 - Marc: <Médias omis>\n"
        "05/06/2022 à 14:05 - Marc: PTT-20220605-WA0001.opus (fichier joint)\n"
        "05/06/2022 à 14:06 - Odile: Ce message a été supprimé\n",
        [
            ("notice", "", "Les messages et les appels sont chiffrés de bout en bout.", "2022-06-05 14:02"),
            ("message", "Odile", "Tu passes demain ?", "2022-06-05 14:03"),
            ("message", "Marc", "", "2022-06-05 14:04"),
            ("message", "Marc", "|PTT-20220605-WA0001.opus", "2022-06-05 14:05"),
            ("deleted", "Odile", "", "2022-06-05 14:06"),
        ],
    ),
    "it Android": Chat(
        "15/07/23, 10:00 - I messaggi e le chiamate sono crittografati end-to-end.\n"
        "15/07/23, 10:01 - Nonna: Hai mangiato?\n"
        "15/07/23, 10:02 - Gino: <Media omessi>\n"
        "15/07/23, 10:03 - Gino: IMG-20230715-WA0009.jpg (file allegato)\n"
        "15/07/23, 10:04 - Nonna: Questo messaggio è stato eliminato\n",
        [
            ("notice", "", "I messaggi e le chiamate sono crittografati end-to-end.", "2023-07-15 10:00"),
            ("message", "Nonna", "Hai mangiato?", "2023-07-15 10:01"),
            ("message", "Gino", "", "2023-07-15 10:02"),
            ("message", "Gino", "|IMG-20230715-WA0009.jpg", "2023-07-15 10:03"),
            ("deleted", "Nonna", "", "2023-07-15 10:04"),
        ],
    ),
    "nl Android, no comma": Chat(
        "14-02-19 20:15 - Berichten en oproepen zijn end-to-end versleuteld.\n"
        "14-02-19 20:16 - Oma Truus: Hoe gaat het?\n"
        "14-02-19 20:17 - Joost: <Media weggelaten>\n"
        "14-02-19 20:18 - Joost: Dit bericht is verwijderd\n",
        [
            ("notice", "", "Berichten en oproepen zijn end-to-end versleuteld.", "2019-02-14 20:15"),
            ("message", "Oma Truus", "Hoe gaat het?", "2019-02-14 20:16"),
            ("message", "Joost", "", "2019-02-14 20:17"),
            ("deleted", "Joost", "", "2019-02-14 20:18"),
        ],
    ),
    "tr Android": Chat(
        "9.11.2022 17:45 - Mesajlar ve aramalar uçtan uca şifrelidir.\n"
        "9.11.2022 17:46 - Anneanne: Nasılsın kızım?\n"
        "9.11.2022 17:47 - Elif: <Medya dahil edilmedi>\n"
        "9.11.2022 17:48 - Elif: IMG-20221109-WA0001.jpg (dosya ekli)\n"
        "9.11.2022 17:49 - Elif: Bu mesaj silindi\n",
        [
            ("notice", "", "Mesajlar ve aramalar uçtan uca şifrelidir.", "2022-11-09 17:45"),
            ("message", "Anneanne", "Nasılsın kızım?", "2022-11-09 17:46"),
            ("message", "Elif", "", "2022-11-09 17:47"),
            ("message", "Elif", "|IMG-20221109-WA0001.jpg", "2022-11-09 17:48"),
            ("deleted", "Elif", "", "2022-11-09 17:49"),
        ],
    ),
    "ru Android": Chat(
        "31.12.2021, 23:59 - Сообщения и звонки защищены сквозным шифрованием.\n"
        "31.12.2021, 23:59 - Баба Нина: С Новым годом!\n"
        "01.01.2022, 00:01 - Оля: <Без медиафайлов>\n"
        "01.01.2022, 00:02 - Оля: IMG-20220101-WA0000.jpg (файл добавлен)\n"
        "01.01.2022, 00:03 - Оля: Данное сообщение удалено\n",
        [
            ("notice", "", "Сообщения и звонки защищены сквозным шифрованием.", "2021-12-31 23:59"),
            ("message", "Баба Нина", "С Новым годом!", "2021-12-31 23:59"),
            ("message", "Оля", "", "2022-01-01 00:01"),
            ("message", "Оля", "|IMG-20220101-WA0000.jpg", "2022-01-01 00:02"),
            ("deleted", "Оля", "", "2022-01-01 00:03"),
        ],
    ),
    "ar Android, Arabic digits": Chat(
        f"{R}٣١{R}/١٢{R}/٢٠٢٣، ٩:٢٩ م - الرسائل والمكالمات مشفرة تمامًا بين الطرفين.\n"
        f"{R}٣١{R}/١٢{R}/٢٠٢٣، ٩:٣٠ م - عمر: مرحبا\n"
        f"{R}٣١{R}/١٢{R}/٢٠٢٣، ٩:٣١ ص - عمر: <تم استبعاد الوسائط>\n"
        f"{R}٣١{R}/١٢{R}/٢٠٢٣، ١٢:٠٥ ص - سلمى: تم حذف هذه الرسالة\n",
        [
            ("notice", "", "الرسائل والمكالمات مشفرة تمامًا بين الطرفين.", "2023-12-31 21:29"),
            ("message", "عمر", "مرحبا", "2023-12-31 21:30"),
            ("message", "عمر", "", "2023-12-31 09:31"),
            ("deleted", "سلمى", "", "2023-12-31 00:05"),
        ],
    ),
    "zh-CN Android": Chat(
        "2023/1/5 下午9:03 - 消息和通话已进行端到端加密。\n"
        "2023/1/5 下午9:04 - 奶奶: 吃饭了吗\n"
        "2023/1/5 上午12:05 - 小明: <省略多媒体文件>\n"
        "2023/1/6 中午12:10 - 小明: IMG-20230106-WA0001.jpg (文件附件)\n"
        "2023/1/6 凌晨2:15 - 小明: 此消息已删除\n",
        [
            ("notice", "", "消息和通话已进行端到端加密。", "2023-01-05 21:03"),
            ("message", "奶奶", "吃饭了吗", "2023-01-05 21:04"),
            ("message", "小明", "", "2023-01-05 00:05"),
            ("message", "小明", "|IMG-20230106-WA0001.jpg", "2023-01-06 12:10"),
            ("deleted", "小明", "", "2023-01-06 02:15"),
        ],
    ),
    "zh-TW iOS": Chat(
        f"[2023/1/5 下午9:03:10] 阿嬤: {L}訊息和通話皆受端對端加密保護。\r\n"
        "[2023/1/5 下午9:04:11] 阿嬤: 吃飽沒\r\n"
        f"{L}[2023/1/5 下午9:05:12] 小華: {L}<附件：00000003-PHOTO-2023-01-05-21-05-12.jpg>\r\n"
        f"[2023/1/5 下午9:06:13] 小華: {L}圖片已略去\r\n",
        [
            ("notice", "阿嬤", "訊息和通話皆受端對端加密保護。", "2023-01-05 21:03:10"),
            ("message", "阿嬤", "吃飽沒", "2023-01-05 21:04:11"),
            ("message", "小華", "|00000003-PHOTO-2023-01-05-21-05-12.jpg", "2023-01-05 21:05:12"),
            ("message", "小華", "", "2023-01-05 21:06:13"),
        ],
    ),
    "ja Android": Chat(
        "2022/03/09 18:30 - メッセージと通話はエンドツーエンド暗号化されています。\n"
        "2022/03/09 18:31 - おばあちゃん: 元気?\n"
        "2022/03/09 18:32 - ゆい: <メディアなし>\n"
        "2022/03/09 18:33 - ゆい: IMG-20220309-WA0001.jpg (添付ファイル)\n"
        "2022/03/09 18:34 - ゆい: このメッセージは削除されました\n",
        [
            ("notice", "", "メッセージと通話はエンドツーエンド暗号化されています。", "2022-03-09 18:30"),
            ("message", "おばあちゃん", "元気?", "2022-03-09 18:31"),
            ("message", "ゆい", "", "2022-03-09 18:32"),
            ("message", "ゆい", "|IMG-20220309-WA0001.jpg", "2022-03-09 18:33"),
            ("deleted", "ゆい", "", "2022-03-09 18:34"),
        ],
    ),
    "ko Android": Chat(
        "2021. 7. 9. 오후 3:12 - 메시지와 통화는 종단간 암호화되어 있습니다.\n"
        "2021. 7. 9. 오후 3:13 - 할머니: 밥 먹었니?\n"
        "2021. 7. 9. 오전 12:14 - 민지: <미디어 파일 생략됨>\n"
        "2021. 7. 9. 오후 12:15 - 민지: IMG-20210709-WA0002.jpg (파일 첨부됨)\n"
        "2021. 7. 9. 오후 3:16 - 민지: 삭제된 메시지입니다.\n",
        [
            ("notice", "", "메시지와 통화는 종단간 암호화되어 있습니다.", "2021-07-09 15:12"),
            ("message", "할머니", "밥 먹었니?", "2021-07-09 15:13"),
            ("message", "민지", "", "2021-07-09 00:14"),
            ("message", "민지", "|IMG-20210709-WA0002.jpg", "2021-07-09 12:15"),
            ("deleted", "민지", "", "2021-07-09 15:16"),
        ],
    ),
    "ko iOS": Chat(
        "[2021. 7. 9. 오후 3:12:01] 할머니: 밥 먹었니?\r\n[2021. 7. 9. 오전 9:12:01] 민지: 네\r\n",
        [("message", "할머니", "밥 먹었니?", "2021-07-09 15:12:01"), ("message", "민지", "네", "2021-07-09 09:12:01")],
    ),
    "ISO dates": Chat(
        "2021-03-01, 10:00 - Ida: first\n2021-03-02, 11:00 - Nils: second\n",
        [("message", "Ida", "first", "2021-03-01 10:00"), ("message", "Nils", "second", "2021-03-02 11:00")],
    ),
    "sv iOS": Chat(
        f"[2021-03-01 10:00:05] Ida: {L}Meddelanden och samtal är end-to-end-krypterade.\r\n"
        "[2021-03-01 10:00:09] Nils: Hej mormor\r\n",
        [
            ("notice", "Ida", "Meddelanden och samtal är end-to-end-krypterade.", "2021-03-01 10:00:05"),
            ("message", "Nils", "Hej mormor", "2021-03-01 10:00:09"),
        ],
    ),
    "fi dots in the time": Chat(
        "5.11.2022 klo 14.05 - Mummo: Hei kulta\n15.11.2022 klo 9.06 - Aino: Moi\n",
        [("message", "Mummo", "Hei kulta", "2022-11-05 14:05"), ("message", "Aino", "Moi", "2022-11-15 09:06")],
    ),
    "vi after": Chat(
        "25/3/23, 9:29 CH - Bà: Con ăn cơm chưa?\n26/3/23, 12:10 SA - Lan: Dạ rồi\n",
        [("message", "Bà", "Con ăn cơm chưa?", "2023-03-25 21:29"), ("message", "Lan", "Dạ rồi", "2023-03-26 00:10")],
    ),
    "th, Buddhist years": Chat(
        "25/3/2566 09:29 - ยาย: กินข้าวหรือยัง\n",
        [("message", "ยาย", "กินข้าวหรือยัง", "2023-03-25 09:29")],
    ),
    "fa Android, Persian digits": Chat(
        f"{R}۲۰۲۳/۵/۱۴،{R} ۱۹:۰۲ - مادربزرگ: سلام\n",
        [("message", "مادربزرگ", "سلام", "2023-05-14 19:02")],
    ),
    "pl Android": Chat(
        "14.05.2023, 19:02 - Wiadomości i połączenia są w pełni szyfrowane.\n14.05.2023, 19:03 - Babcia: Dzień dobry\n"
        "14.05.2023, 19:04 - Ola: <pominięto multimedia>\n",
        [
            ("notice", "", "Wiadomości i połączenia są w pełni szyfrowane.", "2023-05-14 19:02"),
            ("message", "Babcia", "Dzień dobry", "2023-05-14 19:03"),
            ("message", "Ola", "", "2023-05-14 19:04"),
        ],
    ),
    "fr-CA hours": Chat("2023-05-14, 19 h 02 - Odile: Allo\n", [("message", "Odile", "Allo", "2023-05-14 19:02")]),
    "cs dots and blanks": Chat(
        "14. 5. 2023 19:02 - Babička: Ahoj\n", [("message", "Babička", "Ahoj", "2023-05-14 19:02")]
    ),
    "hu year first with dots": Chat(
        "2023. 05. 14. 19:02 - Nagyi: Szia\n", [("message", "Nagyi", "Szia", "2023-05-14 19:02")]
    ),
    "el": Chat(
        "14/5/23, 7:02 μ.μ. - Γιαγιά: Γεια\n14/5/23, 7:03 π.μ. - Νίκος: καλημέρα\n",
        [("message", "Γιαγιά", "Γεια", "2023-05-14 19:02"), ("message", "Νίκος", "καλημέρα", "2023-05-14 07:03")],
    ),
    "he": Chat(
        "14.5.2023, 19:02 - סבתא: שלום\n15.5.2023, 19:03 - דן: <המדיה לא נכללה>\n",
        [("message", "סבתא", "שלום", "2023-05-14 19:02"), ("message", "דן", "", "2023-05-15 19:03")],
    ),
    "bg": Chat("14.05.23 г., 19:02 - Баба: Здравей\n", [("message", "Баба", "Здравей", "2023-05-14 19:02")]),
    "iOS before 2018": Chat(
        "25/05/17, 19:02:10: Ivy: hello: you\r\n", [("message", "Ivy", "hello: you", "2017-05-25 19:02:10")]
    ),
    "a group on iOS": Chat(
        f"[14/05/23, 19:02:10] The choir: {L}Messages and calls are end-to-end encrypted.\r\n"
        f"[14/05/23, 19:02:11] Ivy: {L}Ivy created group “The choir: tenors”\r\n"
        f"[14/05/23, 19:05:10] Bo: look here {L}<attached: 00000022-PHOTO-2023-05-14-19-05-10.jpg>\r\n"
        f"[14/05/23, 19:06:10] Bo: {L}Location: https://maps.google.com/?q=42.1,-8.6\r\n"
        f"[14/05/23, 19:07:10] Bo: {L}POLL:\r\nWhen?\r\n{L}OPTION: Mon (1 vote)\r\n{L}OPTION: Tue (0 votes)\r\n"
        f"[14/05/23, 19:08:10] ~ Kit: {L}sticker omitted\r\n"
        f"[14/05/23, 19:09:10] Kit: report.pdf • {L}3 pages {L}<attached: 00000030-report.pdf>\r\n"
        f"[14/05/23, 19:10:10] Kit: {L}Voice call, {L}5 min\r\n",
        [
            ("notice", "The choir", "Messages and calls are end-to-end encrypted.", "2023-05-14 19:02:10"),
            ("notice", "Ivy", "Ivy created group “The choir: tenors”", "2023-05-14 19:02:11"),
            ("message", "Bo", "look here|00000022-PHOTO-2023-05-14-19-05-10.jpg", "2023-05-14 19:05:10"),
            ("location", "Bo", "", "2023-05-14 19:06:10"),
            ("poll", "Bo", "When? (Mon / Tue)", "2023-05-14 19:07:10"),
            ("message", "Kit", "", "2023-05-14 19:08:10"),
            ("message", "Kit", "|00000030-report.pdf", "2023-05-14 19:09:10"),
            ("notice", "Kit", "Voice call, 5 min", "2023-05-14 19:10:10"),
        ],
    ),
    "a group's subject with a colon": Chat(
        "13/02/2024, 09:00 - Messages and calls are end-to-end encrypted.\n"
        '13/02/2024, 09:01 - Ivy created group "Trip: Rome"\n'
        '13/02/2024, 09:02 - Sam changed the subject from "Trip: Rome" to "Trip: Oslo"\n'
        "13/02/2024, 09:03 - Ivy added +44 7700 900123\n"
        f"13/02/2024, 09:04 - {L}+44{B}7700{B}900123: hello all\n",
        [
            ("notice", "", "Messages and calls are end-to-end encrypted.", "2024-02-13 09:00"),
            ("notice", "", 'Ivy created group "Trip: Rome"', "2024-02-13 09:01"),
            ("notice", "", 'Sam changed the subject from "Trip: Rome" to "Trip: Oslo"', "2024-02-13 09:02"),
            ("notice", "", "Ivy added +44 7700 900123", "2024-02-13 09:03"),
            ("message", "+44 7700 900123", "hello all", "2024-02-13 09:04"),
        ],
    ),
    "empty and view-once messages": Chat(
        "13/02/2024, 09:01 - Ivy: \n13/02/2024, 09:02 - Ivy:\n"
        "13/02/2024, 09:03 - Ivy: null\n13/02/2024, 09:04 - Ivy: so\n",
        [
            ("message", "Ivy", "", "2024-02-13 09:01"),
            ("message", "Ivy", "", "2024-02-13 09:02"),
            ("message", "Ivy", "", "2024-02-13 09:03"),
            ("message", "Ivy", "so", "2024-02-13 09:04"),
        ],
    ),
}


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_is_read_line_by_line(name: str, tmp_path: Path) -> None:
    chat = CHATS[name]
    folder = write_files(tmp_path, {chat.name: chat.text})
    found = records_of(WhatsApp(), folder, ReadOptions(owner_names=("nobody",)))
    assert [_line(record, has_seconds=len(chat.lines[0][3]) > 16) for record in found] == chat.lines


@pytest.mark.parametrize("name", CHATS)
def test_no_locale_needs_to_be_asked_for_its_dates(name: str, tmp_path: Path) -> None:
    folder = write_files(tmp_path, {CHATS[name].name: CHATS[name].text})
    assert not [one for one in questions_of(WhatsApp(), folder) if one.option == "day_first"]


@pytest.mark.parametrize("name", CHATS)
def test_only_words_that_somebody_said_count_as_words(name: str, tmp_path: Path) -> None:
    folder = write_files(tmp_path, {CHATS[name].name: CHATS[name].text})
    for record in records_of(WhatsApp(), folder):
        if record.activity in ("notice", "deleted", "location") or not (record.text or record.media):
            assert not record.is_words
        else:
            assert record.is_words


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_chat_may_come_in_another_encoding(encoding: str, tmp_path: Path) -> None:
    chat = CHATS["es Android p. m."]
    folder = write_files(tmp_path, {"chat.txt": chat.text.encode(encoding)})
    assert [_line(record, has_seconds=False) for record in records_of(WhatsApp(), folder)] == chat.lines


def _line(record: object, *, has_seconds: bool) -> Line:
    from knowledge.importers.contract import Record

    assert isinstance(record, Record)
    assert record.occurred_at is not None
    text = f"{record.text}|{record.media[0]}" if record.media else record.text
    form = "%Y-%m-%d %H:%M:%S" if has_seconds else "%Y-%m-%d %H:%M"
    return record.activity, record.author, text, record.occurred_at.strftime(form)
