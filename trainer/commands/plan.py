"""``plan``: what a run will take, before a card is rented or a night is spent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trainer.commands.bilingual import add
from trainer.commands.training import chosen_settings
from trainer.errors import ConfigError
from trainer.language import say

if TYPE_CHECKING:
    from trainer.bases import BaseSource
    from trainer.config import TrainConfig
    from trainer.plan import Account, Shape, Work
    from trainer.quantize import Bits


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "plan",
        plan,
        about=say(
            zh="训练之前先算：内存用在哪里、显卡装不装得下、要多久、多少钱。"
            "不读权重，有 config.json 就够。",
            en="Before a run: where its memory goes, whether a card can hold it, how long it takes "
            "and what it costs. No weights are read; a config.json is enough.",
        ),
        example="renshe plan --base tiny --data personas/muxue.yaml\n"
        "renshe plan --base chatglm2-6b --bits 4 --card 3060\n"
        "renshe plan --base chatglm2-6b --bits 4 --card 24GB --speed 900 --price 1.2",
    )


def plan(
    base: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH", help=say(zh="底座，见 renshe bases", en="See renshe bases.")
        ),
    ],
    bits: Annotated[
        str | None,
        typer.Option(
            metavar="8|4|none",
            help=say(
                zh="底座权重的位数；不写就按底座自己的或设置里的",
                en="Bits of the base's weights; by default its own, or those of the settings.",
            ),
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help=say(zh="设置文件", en="A file of settings.")),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help=say(zh="改一项设置，可以写多次", en="Change one setting; may be repeated."),
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PERSONA|DIR",
            help=say(
                zh="按这些数据的真实长度算；不写就按设置允许的最长",
                en="Plan for the lengths of this data; else for the longest the settings allow.",
            ),
        ),
    ] = None,
    persona: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=say(
                zh="别的工具写的数据是谁的人设",
                en="Whose persona the data of another tool is.",
            ),
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="cpu|cuda",
            help=say(
                zh="在哪里训练；给了 --card 就是 cuda，否则看设置和这台机器",
                en="Where it will run: cuda if there is a --card, else as the settings and this "
                "machine have it.",
            ),
        ),
    ] = None,
    card: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|GB",
            help=say(
                zh="这张显卡装得下吗：名字（3090）或显存（24GB）",
                en="Does it fit this card: a name (3090) or its memory (24GB).",
            ),
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            metavar="TOKENS/S",
            help=say(
                zh="每秒多少 token：renshe train 训练时显示的那个数",
                en="Tokens a second, as renshe train shows them while it runs.",
            ),
        ),
    ] = None,
    price: Annotated[
        float | None,
        typer.Option(help=say(zh="机器每小时多少钱", en="What the machine costs an hour.")),
    ] = None,
) -> None:
    """Look at everything cheap first, then rehearse and print."""
    from trainer.bases import find_base
    from trainer.cards import card_bytes

    _refuse_figures(speed, price)
    room = card_bytes(card) if card else None
    settings = chosen_settings(None, config, overrides or [], bits)
    given = bits is not None or "quantization_bit" in settings.model_fields_set
    source = find_base(base)
    width = _bits(source, settings, given=given)
    shape, work = _sized(source, settings, data, persona)
    place = _place(device, settings, card)

    from trainer.plan import memory, read_base_config, stores_half

    known = read_base_config(source)
    accounts = [
        memory(known, width, kept, place, stores_half(source.folder), shape)
        for kept in (settings, _other_way(settings))
    ]
    _show(accounts[0], source, width, place, shape, known=data is not None)
    _show_other_way(settings, accounts[1])
    _show_fit(accounts[0], place, card, room)
    _show_work(work, speed, price)


def _refuse_figures(speed: float | None, price: float | None) -> None:
    for name, value in (("--speed", speed), ("--price", price)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(
                say(zh=f"{name} 必须大于 0，不能是 {value}", en=f"{name} cannot be {value}"),
                fix=f"{name} {900 if name == '--speed' else 1.2}",
                code="figure",
            )
    if price is not None and speed is None:
        raise ConfigError(
            say(
                zh="不知道速度，就算不出要几小时、多少钱",
                en="hours and cost cannot be known without a speed",
            ),
            fix=say(
                zh="先训练几步，把显示的 tokens/s 写在 --speed 后面",
                en="train a few steps and give the tokens/s that are shown as --speed",
            ),
            code="price-without-speed",
        )


def _bits(source: BaseSource, settings: TrainConfig, *, given: bool) -> Bits | None:
    """Return the bits to plan for: those of a packed folder cannot be chosen."""
    from trainer.bases import refuse_other_bits

    wanted = settings.quantization_bit
    if source.bits is not None and not given:
        return source.bits
    refuse_other_bits(source, wanted)
    return wanted


def _sized(
    source: BaseSource, settings: TrainConfig, data: Path | None, persona: Path | None
) -> tuple[Shape, Work | None]:
    from trainer.plan import longest, measure, most_work

    if data is None:
        if persona is not None:
            raise ConfigError(
                say(zh="--persona 要和 --data 一起用", en="--persona goes with --data"),
                fix=f"--data {persona}",
                code="persona-without-data",
            )
        return longest(settings), most_work(settings)
    from trainer.model import load_chat
    from trainer.training_set import load_training_set

    training_set = load_training_set(data, persona=persona, seed=settings.seed)
    return measure(training_set, load_chat(source, settings.chat_format), settings)


def _place(device: str | None, settings: TrainConfig, card: str | None) -> Literal["cpu", "cuda"]:
    """Return where the run will be, which need not be this machine."""
    from trainer.model import pick_device

    if device not in (None, "cpu", "cuda") or (device == "cpu" and card):
        raise ConfigError(
            say(zh="--card 是给 cuda 用的", en="--card is for cuda")
            if device == "cpu"
            else say(zh=f"--device 不能是 {device}", en=f"--device cannot be {device}"),
            fix=say(zh="用 --device cuda 或 --device cpu", en="use --device cuda or --device cpu")
            if not card
            else "--device cuda",
            code="device",
        )
    if device is None and card is None:
        wanted = settings.device
        device = pick_device("auto").type if wanted == "auto" else wanted
    return "cpu" if device == "cpu" else "cuda"


def _other_way(settings: TrainConfig) -> TrainConfig:
    turned = not settings.gradient_checkpointing
    return settings.model_copy(update={"gradient_checkpointing": turned})


# --- output --------------------------------------------------------------------------------


def _show(
    account: Account,
    source: BaseSource,
    bits: Bits | None,
    place: str,
    shape: Shape,
    *,
    known: bool,
) -> None:
    from rich.table import Table

    from trainer.commands.screen import console

    width = bits or say(zh="不量化", en="not quantized")
    lengths = (
        say(zh="数据里最大的一批", en="the data's largest batch")
        if known
        else say(zh="设置允许的最大一批", en="the largest batch the settings allow")
    )
    out = console()
    out.print(
        say(
            zh=f"{source.name}，位数 {width}，{place}；{lengths}："
            f"{shape.rows} × {shape.tokens} token，前缀 {shape.pre_seq_len}",
            en=f"{source.name}, bits {width}, {place}; {lengths}: "
            f"{shape.rows} x {shape.tokens} tokens, prefix {shape.pre_seq_len}",
        ),
        markup=False,
        soft_wrap=True,
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name, meaning in _meanings(place).items():
        table.add_row(meaning, _size(account.parts[name]))
    total = say(zh="合计（峰值", en="in all (the peak, ")
    when = {
        "step": say(zh="在训练的一步里）", en="within a training step)"),
        "dev": say(zh="在算 dev loss 时）", en="while the dev loss is taken)"),
    }
    table.add_row(total + when[account.moment], _size(account.total), style="bold")
    out.print(table)


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _meanings(place: str) -> dict[str, str]:
    return {
        "linear_layers": say(zh="线性层的权重", en="weights of the linear layers"),
        "row_scales": say(zh="每行的缩放", en="scales of their rows"),
        "embedding": say(zh="词嵌入", en="embedding"),
        "output_layer": say(zh="输出层", en="output layer"),
        "norms": say(zh="归一化和偏置", en="norms and biases"),
        "prefix": say(zh="前缀", en="prefix"),
        "optimizer": say(zh="前缀的梯度和 Adam 状态", en="its gradient and Adam's states"),
        "activations": say(zh="激活值", en="activations"),
        "keys_values": say(zh="注意力缓存（前缀和文字）", en="cache: keys and values"),
        "unpacked_layer": say(zh="正在解包的那一层", en="the layer being unpacked"),
        "head": say(zh="输出层的得分和梯度", en="logits and their gradients"),
        "process": say(zh="进程本身（实测常数）", en="the process itself (a measured constant)")
        if place == "cpu"
        else say(zh="CUDA 本身（估计，没有量过）", en="CUDA itself (an allowance, not measured)"),
    }


def _show_other_way(settings: TrainConfig, other: Account) -> None:
    from trainer.commands.screen import console

    turned = "false" if settings.gradient_checkpointing else "true"
    console().print(f"--set gradient_checkpointing={turned}: {_size(other.total)}")


def _show_fit(account: Account, place: str, card: str | None, room: int | None) -> None:
    from trainer.cards import CARDS
    from trainer.commands.screen import console

    out = console()
    if place == "cpu":
        return
    out.print(
        say(
            zh="（CUDA 上按同样的算子推算，没有在显卡上量过）",
            en="(On CUDA this is reckoned from the same operations, not measured on a card.)",
        )
    )
    if card is not None and room is not None:
        left = (room - account.total) / 1e9
        out.print(
            say(zh=f"{card}：装得下，还剩 {left:.1f} GB", en=f"{card}: fits, {left:.1f} GB left")
            if left >= 0
            else say(zh=f"{card}：装不下，差 {-left:.1f} GB", en=f"{card}: {-left:.1f} GB short"),
            markup=False,
        )
        return
    fitting = [name for name, size in CARDS.items() if size * 10**9 >= account.total]
    none = say(zh="（都装不下）", en="(none)")
    out.print(say(zh="装得下的显卡：", en="cards that hold it: ") + (", ".join(fitting) or none))


def _show_work(work: Work | None, speed: float | None, price: float | None) -> None:
    from trainer.commands.screen import console

    if work is None:
        unknown = say(
            zh="步数要有 --data 才知道，或者 --set max_steps=…",
            en="steps are known with --data, or --set max_steps=…",
        )
        console().print(unknown, soft_wrap=True)
        return
    epochs = (
        say(zh="轮数要有 --data 才知道", en="epochs are known only with --data")
        if work.epochs is None
        else say(zh=f"{work.epochs:.1f} 轮（epoch）", en=f"{work.epochs:.1f} epochs")
    )
    most = say(zh="最多 ", en="at most ") if work.epochs is None else ""
    lines = [
        say(
            zh=f"{work.steps} 步，{epochs}，{most}{work.tokens:,} token",
            en=f"{work.steps} steps, {epochs}, {most}{work.tokens:,} tokens",
        )
    ]
    if speed is not None:
        hours = work.hours(speed)
        time = say(zh=f"{most}{hours:.2f} 小时", en=f"{most}{hours:.2f} hours")
        cost = "" if price is None else say(zh="，费用 ", en=", cost ") + f"{hours * price:.2f}"
        lines.append(time + cost)
    for line in lines:
        console().print(line, soft_wrap=True)
