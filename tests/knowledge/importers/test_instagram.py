"""Instagram exports of every layout since 2018: posts, stories, reels, comments and messages, in any language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.importers.contract import ReadOptions, Record, Tally, Trouble
from knowledge.importers.instagram import Instagram
from knowledge.importers.tree import SafeTree
from tests.knowledge.importers.exports import questions_of, read_all, records_of, write_files, zip_of

ROOT = "instagram-ivy.moss-2025-11-01-AbCdEfGh/"
NOW = 1_700_000_000


def garbled(value: Any) -> Any:
    """Return a value as Instagram writes it: each byte of a text's UTF-8 as a character."""
    if isinstance(value, str):
        return value.encode("utf-8").decode("latin-1")
    if isinstance(value, list):
        return [garbled(inner) for inner in value]
    if isinstance(value, dict):
        return {garbled(key): garbled(inner) for key, inner in value.items()}
    return value


def export(folder: Path, files: Mapping[str, Any], *, root: str = ROOT) -> Path:
    return write_files(folder, {root + name: json.dumps(garbled(content)) for name, content in files.items()})


def media(title: str, at: int = NOW, uri: str = "media/posts/202311/1.jpg") -> dict[str, Any]:
    return {"uri": uri, "creation_timestamp": at, "title": title, "media_metadata": {}}


def thread(name: str, messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    people = [{"name": name}, {"name": "Ivy Moss"}]
    return {"participants": people, "messages": messages, "title": name, "thread_path": "inbox/x", **more}


def message(who: str, said: str | None, at: int = NOW, **more: Any) -> dict[str, Any]:
    content = {} if said is None else {"content": said}
    return {"sender_name": who, "timestamp_ms": at * 1000 + 417, **content, **more}


def profile(labels: Mapping[str, str]) -> dict[str, Any]:
    fields = {label: {"href": "", "value": value, "timestamp": 0} for label, value in labels.items()}
    return {"profile_user": [{"title": "", "string_map_data": fields, "media_map_data": {}}]}


INBOX = "your_instagram_activity/messages/inbox/"
PROFILE = "personal_information/personal_information/personal_information.json"
PROFILES = {
    "en": {"Username": "ivy.moss", "Name": "Ivy Moss", "Bio": "Bread and boats"},
    "fr": {"Nom d’utilisateur": "ivy.moss", "Nom": "Ivy Moss", "Bio": "Bread and boats"},
    "es": {"Nombre de usuario": "ivy.moss", "Nombre": "Ivy Moss", "Presentación": "Bread and boats"},
    "pt": {"Nome de usuário": "ivy.moss", "Nome": "Ivy Moss", "Biografia": "Bread and boats"},
    "de": {"Benutzername": "ivy.moss", "Name": "Ivy Moss", "Steckbrief": "Bread and boats"},
}


@pytest.mark.parametrize(
    "path",
    [
        "your_instagram_activity/media/posts_1.json",
        "your_instagram_activity/content/posts_1.json",
        "content/posts_1.json",
    ],
)
def test_posts_of_every_layout_are_the_owners_words(path: str, tmp_path: Path) -> None:
    posts = [
        {"media": [media("Corn bread today 🌽")]},
        {
            "media": [media(""), media("", uri="media/posts/202311/2.jpg")],
            "title": "Two ovens",
            "creation_timestamp": NOW,
        },
        {"media": [media("", at=NOW + 5, uri="media/posts/202311/3.jpg")]},
    ]
    export(tmp_path, {path: posts, PROFILE: profile(PROFILES["en"])})
    found = [one for one in records_of(Instagram(), tmp_path) if one.activity == "post"]
    assert [(one.text, one.is_owner, one.is_words, len(one.media)) for one in found] == [
        ("Corn bread today 🌽", True, True, 1),
        ("Two ovens", True, True, 2),
        ("", True, False, 1),
    ]
    assert found[0].author == "Ivy Moss"
    assert found[0].occurred_at is not None
    assert int(found[0].occurred_at.timestamp()) == NOW
    assert found[0].raw["media"][0]["title"] == "Corn bread today 🌽"


def test_a_single_post_may_stand_without_its_list(tmp_path: Path) -> None:
    single = {"title": "Alone", "creation_timestamp": NOW, "media": [media("x"), media("y", uri="media/posts/2.jpg")]}
    export(tmp_path, {"your_instagram_activity/media/posts_1.json": single})
    (found,) = records_of(Instagram(), tmp_path)
    assert (found.text, len(found.media)) == ("Alone", 2)


@pytest.mark.parametrize(
    ("path", "content", "activity"),
    [
        ("your_instagram_activity/media/stories.json", {"ig_stories": [media("Hello")]}, "story"),
        ("content/stories.json", {"ig_stories": [media("Hello")]}, "story"),
        ("your_instagram_activity/media/reels.json", {"ig_reels_media": [{"media": [media("Hello")]}]}, "reel"),
        ("your_instagram_activity/media/igtv_videos.json", {"ig_igtv_media": {"media": [media("Hello")]}}, "reel"),
        (
            "your_instagram_activity/media/archived_posts.json",
            {"ig_archived_post_media": [{"media": [media("Hello")]}]},
            "archived_post",
        ),
        (
            "your_instagram_activity/threads/threads_and_replies.json",
            {"text_post_app_text_posts": [{"media": [media("Hello")]}]},
            "thread_post",
        ),
        ("your_instagram_activity/media/other_content.json", {"ig_other_media": {"media": [media("Hello")]}}, "post"),
    ],
)  # fmt: skip
def test_captions_of_all_kinds_are_words(path: str, content: Any, activity: str, tmp_path: Path) -> None:
    export(tmp_path, {path: content})
    (found,) = records_of(Instagram(), tmp_path)
    assert (found.activity, found.text, found.is_words) == (activity, "Hello", True)


def test_what_was_deleted_is_kept_as_a_row_and_not_as_words(tmp_path: Path) -> None:
    content = {"ig_recently_deleted_media": [{"media": [media("Never mind")]}]}
    export(tmp_path, {"your_instagram_activity/media/recently_deleted_content.json": content})
    (found,) = records_of(Instagram(), tmp_path)
    assert (found.activity, found.is_words) == ("deleted_post", False)


COMMENTS = {
    "en": ("Comment", "Media Owner", "Time"),
    "es": ("Comentario", "Propietario del contenido multimedia", "Hora"),
    "pt": ("Comentário", "Proprietário da mídia", "Hora"),
    "fr": ("Commentaire", "Propriétaire du contenu multimédia", "Heure"),
    "de": ("Kommentar", "Medieninhaber", "Uhrzeit"),
    "of a language not known": ("Kommentti", "Median omistaja", "Aika"),
}


@pytest.mark.parametrize("language", COMMENTS)
@pytest.mark.parametrize("is_listed", [True, False])
def test_comments_are_read_whatever_the_language_of_their_labels(
    language: str, is_listed: bool, tmp_path: Path
) -> None:
    comment, owner, time = COMMENTS[language]
    labels = {comment: {"value": "Qué bonito ❤"}, owner: {"value": "sam.b"}, time: {"timestamp": NOW}}
    entry = {"media_list_data": [{"uri": ""}], "string_map_data": labels}
    content = [entry] if is_listed else entry
    export(
        tmp_path, {"your_instagram_activity/comments/post_comments_1.json": content, PROFILE: profile(PROFILES["en"])}
    )
    (found,) = [one for one in records_of(Instagram(), tmp_path) if one.activity == "comment"]
    assert (found.text, found.reply_to, found.is_owner) == ("Qué bonito ❤", "sam.b", True)
    assert found.occurred_at is not None
    assert int(found.occurred_at.timestamp()) == NOW


def test_comments_under_a_key_and_of_the_newest_layout(tmp_path: Path) -> None:
    labelled = {
        "timestamp": NOW,
        "media": [],
        "label_values": [
            {"label": "Comentario", "value": "Precioso"},
            {"title": "Propietario", "dict": [{"label": "Nombre de usuario", "value": "sam.b"}]},
        ],
        "fbid": "1",
    }
    keyed = {
        "comments_reels_comments": [{"string_map_data": {"Comment": {"value": "Nice"}, "Time": {"timestamp": NOW}}}]
    }
    export(
        tmp_path,
        {
            "your_instagram_activity/comments/post_comments_1.json": [labelled],
            "your_instagram_activity/comments/reels_comments.json": keyed,
        },
    )
    found = {one.text: one for one in records_of(Instagram(), tmp_path)}
    assert set(found) == {"Precioso", "Nice"}
    assert found["Precioso"].reply_to == "sam.b"


def test_a_conversation_is_told_from_its_beginning_over_all_its_files(tmp_path: Path) -> None:
    newest = [message("Ivy Moss", "four", NOW + 40), message("Sam", "three", NOW + 30)]
    oldest = [message("Sam", "two", NOW + 20), message("Ivy Moss", "one", NOW + 10)]
    files = {
        INBOX + "sam_123456/message_1.json": thread("Sam", newest),
        INBOX + "sam_123456/message_2.json": thread("Sam", oldest),
    }
    export(tmp_path, files)
    found = [one for one in records_of(Instagram(), tmp_path) if one.activity == "message"]
    assert [one.text for one in found] == ["one", "two", "three", "four"]
    assert [one.context for one in found] == ["", "one", "one", "two\nthree"]
    assert [one.is_owner for one in found] == [True, False, False, True]
    assert [one.place for one in found] == [1, 2, 3, 4]


NOTICES = [
    "Sam sent an attachment.",
    "You sent an attachment.",
    "Reacted ❤ to your message",
    "Liked a message",
    "Sam envió un archivo adjunto.",
    "Reaccionó ❤ a tu mensaje",
    "Sam enviou um anexo.",
    "Reagiu ❤ à sua mensagem",
    "Sam a envoyé une pièce jointe.",
    "A réagi ❤ à votre message",
    "Sam hat einen Anhang gesendet.",
    "Hat mit ❤ auf deine Nachricht reagiert",
    "Sam ha inviato un allegato.",
    "Sam started a video chat",
    "Video chat ended",
    "Sam named the group Choir.",
]


@pytest.mark.parametrize("said", NOTICES)
def test_what_the_platform_says_is_not_anybodys_words(said: str, tmp_path: Path) -> None:
    export(
        tmp_path,
        {INBOX + "sam_123456/message_1.json": thread("Sam", [message("Sam", said), message("Sam", "hi", NOW - 9)])},
    )
    found = [one for one in records_of(Instagram(), tmp_path) if one.activity != "conversation"]
    assert [(one.text, one.is_words) for one in found] == [("hi", True), (said, False)]


@pytest.mark.parametrize(
    "said", ["I sent an attachment to the bank yesterday", "You started it!", "Liked it a lot", "Sam left"]
)
def test_people_may_say_similar_things(said: str, tmp_path: Path) -> None:
    export(tmp_path, {INBOX + "sam_123456/message_1.json": thread("Sam", [message("Sam", said)])})
    assert [one.is_words for one in records_of(Instagram(), tmp_path) if one.activity == "message"] == [True]


def test_photos_shares_calls_and_replies_are_kept(tmp_path: Path) -> None:
    photo = {"uri": ROOT + INBOX + "sam_123456/photos/1.jpg", "creation_timestamp": NOW}
    messages = [
        message("Sam", None, NOW + 1, photos=[photo]),
        message("Sam", "look", NOW + 2, share={"link": "https://x.example", "share_text": "A boat on the river"}),
        message("Sam", None, NOW + 3, is_unsent=True),
    ]
    channel = {
        "messages": [],
        "title": "News",
        "replies": [{"reply_content": "Hear hear", "original_message_sender": "Bo", "timestamp_ms": NOW * 1000}],
    }
    files = {
        INBOX + "sam_123456/message_1.json": thread("Sam", messages),
        INBOX + "news_777777/replies_1.json": channel,
    }
    export(tmp_path, files)
    write_files(tmp_path, {photo["uri"]: "jpg"})
    found = records_of(Instagram(), tmp_path)
    by_text = {one.text: one for one in found if one.text}
    assert by_text["look"].context == "A boat on the river"
    assert by_text["Hear hear"].author == "Bo"
    assert [one.media for one in found if one.media] == [(photo["uri"],)]
    assert [one.is_words for one in found if one.activity == "deleted"] == [False]


@pytest.mark.parametrize("language", PROFILES)
def test_the_profile_tells_the_owner_in_any_language(language: str, tmp_path: Path) -> None:
    files = {
        PROFILE: profile(PROFILES[language]),
        INBOX + "sam_123456/message_1.json": thread("Sam", [message("Sam", "a"), message("Ivy Moss", "b")]),
    }
    export(tmp_path, files, root="export/")
    assert not questions_of(Instagram(), tmp_path)
    found = records_of(Instagram(), tmp_path)
    assert {one.author for one in found if one.is_owner} == {"Ivy Moss"}
    assert [one.text for one in found if one.activity == "profile"] == ["Bread and boats"]


def test_without_a_profile_the_one_in_every_conversation_is_the_owner(tmp_path: Path) -> None:
    files = {
        INBOX + f"{who}_12345{n}/message_1.json": {
            "participants": [],
            "messages": [message(who, "a"), message("Ivy Moss", "b")],
            "title": "",
        }
        for n, who in enumerate(["Sam", "Bo", "Kit"])
    }
    export(tmp_path, files, root="")
    with SafeTree(tmp_path) as tree:
        assert Instagram().owner(tree, ReadOptions()) == "Ivy Moss"


def test_when_nothing_tells_the_owner_it_is_asked(tmp_path: Path) -> None:
    talk = {"participants": [], "messages": [message("Sam", "a"), message("Bo", "b")], "title": "x"}
    export(
        tmp_path,
        {INBOX + "x_123456/message_1.json": talk, "your_instagram_activity/likes/liked_posts.json": {}},
        root="",
    )
    (asked,) = questions_of(Instagram(), tmp_path)
    assert asked.option == "owner_names"
    assert {name for name, _ in asked.choices} == {"Sam", "Bo"}
    assert not questions_of(Instagram(), tmp_path, ReadOptions(owner_names=("Bo",)))


def test_the_oldest_flat_layout_is_read(tmp_path: Path) -> None:
    files = {
        "media.json": {
            "photos": [{"caption": "First snow", "taken_at": "2018-12-01T10:00:00", "path": "photos/201812/1.jpg"}],
            "stories": [{"caption": "", "taken_at": "2018-12-02T10:00:00", "path": "stories/1.jpg"}],
        },
        "comments.json": {"media_comments": [["2018-12-03T10:00:00", "So pretty", "sam.b"]]},
        "messages.json": [
            {
                "participants": ["ivy.moss", "sam.b"],
                "conversation": [
                    {"sender": "sam.b", "created_at": "2018-12-04T11:00:00+00:00", "text": "later"},
                    {"sender": "ivy.moss", "created_at": "2018-12-04T10:00:00+00:00", "text": "earlier"},
                ],
            }
        ],
        "profile.json": {"username": "ivy.moss", "name": "Ivy Moss", "biography": "Bread"},
        "likes.json": {"media_likes": []},
    }
    export(tmp_path, files, root="")
    found = records_of(Instagram(), tmp_path)
    told = [(one.activity, one.text, one.is_owner) for one in found]
    assert told == [
        ("comment", "So pretty", True),
        ("post", "First snow", True),
        ("story", "", True),
        ("message", "earlier", True),
        ("message", "later", False),
        ("profile", "Bread", True),
    ]


def test_every_file_is_read_or_named_as_not_read_yet(tmp_path: Path) -> None:
    files = {
        "your_instagram_activity/media/posts_1.json": [{"media": [media("x")]}],
        "your_instagram_activity/likes/liked_posts.json": {"likes_media_likes": []},
        "connections/followers_and_following/followers_1.json": [],
        "your_instagram_activity/messages/secret_conversations.json": {},
        "your_instagram_activity/no-data.txt": "",
    }
    export(tmp_path, files)
    found = read_all(Instagram(), tmp_path)
    named = {one.member.removeprefix(ROOT) for one in found if isinstance(one, Tally) and one.name == "not read yet"}
    assert named == set(files) - {"your_instagram_activity/media/posts_1.json", "your_instagram_activity/no-data.txt"}


def test_an_export_in_html_says_to_choose_json(tmp_path: Path) -> None:
    write_files(tmp_path, {ROOT + "your_instagram_activity/media/posts_1.html": "<html></html>"})
    (found,) = read_all(Instagram(), tmp_path)
    assert isinstance(found, Trouble)
    assert "JSON" in found.message


def test_a_file_cut_short_gives_what_came_before(tmp_path: Path) -> None:
    whole = json.dumps([{"media": [media(f"post {n}")]} for n in range(10)])
    write_files(tmp_path, {ROOT + "your_instagram_activity/media/posts_1.json": whole[:-200]})
    found = read_all(Instagram(), tmp_path)
    assert sum(isinstance(one, Record) for one in found) >= 8
    assert [one.is_fatal_for_member for one in found if isinstance(one, Trouble)] == [False]


def test_keys_are_the_same_in_any_folder_and_in_any_parts(tmp_path: Path) -> None:
    files = {
        "your_instagram_activity/media/posts_1.json": [{"media": [media("x")]}],
        INBOX + "sam_123456/message_1.json": thread("Sam", [message("Sam", "a"), message("Sam", "a")]),
        INBOX + "sam_123456/message_2.json": thread("Sam", [message("Ivy Moss", "b", NOW - 99)]),
        PROFILE: profile(PROFILES["en"]),
    }
    folder = export(tmp_path / "folder", files)
    parts = tmp_path / "parts"
    parts.mkdir()
    for letter, name in zip("QBXA", files, strict=True):
        zip_of(parts / f"{ROOT[:-9]}{letter * 8}.zip", {name: json.dumps(garbled(files[name]))})
    moved = export(tmp_path / "moved", files, root="my backup/older/")
    told = [{(one.natural_key, one.text, one.context, one.session, one.place) for one in records_of(Instagram(), where)}
            for where in (folder, parts, moved)]  # fmt: skip
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 6


KEYS = (
    "media title uri messages participants name content sender_name timestamp_ms string_map_data Comment value"
    " timestamp label_values label dict photos share conversation sender text created_at ig_stories caption"
    " taken_at replies"
    " creation_timestamp media_list_data reply_content"
)
_SHAPES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**18), 10**18), st.floats(), st.text(max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(KEYS.split()),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=25,
)
_PATHS = [
    "your_instagram_activity/media/posts_1.json",
    "your_instagram_activity/media/stories.json",
    "your_instagram_activity/comments/post_comments_1.json",
    INBOX + "sam_123456/message_1.json",
    INBOX + "sam_123456/replies_1.json",
    PROFILE,
    "media.json",
    "messages.json",
    "comments.json",
    "profile.json",
]


@settings(max_examples=150, deadline=timedelta(seconds=2), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(_PATHS), content=_SHAPES)
def test_no_shape_makes_the_reader_fail(path: str, content: Any, tmp_path: Path) -> None:
    write_files(tmp_path, {ROOT + path: json.dumps(content)})
    questions_of(Instagram(), tmp_path)
    for found in read_all(Instagram(), tmp_path):
        assert isinstance(found, Record | Trouble | Tally)
    (tmp_path / (ROOT + path)).unlink()
