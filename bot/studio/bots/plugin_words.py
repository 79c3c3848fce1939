"""What the bundled plugins and their settings do, in the visitor's language.

A plugin says this in English in its own docstrings; who writes one for a Chinese bot writes
Chinese there. Those that come with Renshe are for both.
"""

from __future__ import annotations

from trainer.language import spoken

_PLUGINS = {
    "correct": "主人说 /correct 纠正它，之后可以写进人设",
    "greet": "偶尔先开口，只在管理员打开了的聊天里，夜里不说",
    "help": "/help 列出能用的命令",
    "persona": "/persona 换一个人设",
    "remember": "/remember 记住一个人说的关于自己的事，只在那个聊天里",
    "session": "/reset 重来，/undo 撤回一轮，/retry 再答一次",
    "status": "/status 看机器人好不好",
}

_FIELDS = {
    ("greet", "at"): "每天到这些时刻就问候，一行一个，像 08:30",
    ("greet", "after"): "多少小时没人说话，才可能先开口",
    ("greet", "chance"): "到了那时，每次（十分钟一次）开口的可能，0 到 1",
    ("greet", "cooldown"): "问候过后多少小时内不再碰运气开口",
    ("greet", "quiet_from"): "从这个时刻起安静",
    ("greet", "quiet_until"): "到这个时刻为止安静",
    ("greet", "lines"): "说什么，一行一句；空着就用人设的 greeting",
    ("remember", "most"): "一个人在一个聊天里最多记几条，多了挤掉最早的",
    ("remember", "length"): "一条最多几个字",
}


def about_plugin(name: str, own: str) -> str:
    """Return what a bundled plugin does; ``own`` is what it says itself."""
    return _PLUGINS.get(name, own) if spoken() == "zh" else own


def about_field(plugin: str, name: str, own: str) -> str:
    """Return what a setting does; ``own`` is what its docstring says."""
    return _FIELDS.get((plugin, name), own) if spoken() == "zh" else own
