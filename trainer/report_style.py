"""The look of the retention report: one style sheet, light and dark, nothing fetched.

The colours of curves and verdicts are those of Okabe and Ito, which the colour-blind can
tell apart; each has a shape or a sign besides. A page that shows the same pieces within its
own frame takes :data:`LIGHT`, :data:`DARK` and :data:`PIECES`, and says itself what ``--page``,
``--card``, ``--ink``, ``--soft`` and ``--rule`` are.
"""

LIGHT = """
  --neutral: #0072b2; --in_persona: #00875f; --leaked: #c4490a; --long: #0072b2;
  --right: #d3eee3; --right-ink: #00563c; --wrong: #fbe3c4; --wrong-ink: #7d4300;
  --leak: #7a3b93; --leak-ink: #ffffff;
"""

DARK = """
  --neutral: #56b4e9; --in_persona: #2fc493; --leaked: #f08a4b; --long: #56b4e9;
  --right: #143c30; --right-ink: #8fe3c2; --wrong: #4a3413; --wrong-ink: #f6cf93;
  --leak: #c78be0; --leak-ink: #1b1020;
"""

_FRAME = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 36px 24px 64px; }
h1 { font-size: 28px; line-height: 1.3; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 40px 0 12px; }
p { margin: 6px 0; } .soft, small, figcaption span { color: var(--soft); }
@media print { details { break-inside: avoid; } }
"""

PIECES = """
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr));
  gap: 12px; margin: 24px 0 8px; }
.tile, figure, .sheet, details { background: var(--card); border: 1px solid var(--rule);
  border-radius: 10px; }
.tile { padding: 12px 16px; } .tile b { display: block; font-size: 24px; line-height: 1.35;
  font-variant-numeric: tabular-nums; } .tile span { font-size: 13px; color: var(--soft); }
.remarks { margin: 16px 0; padding: 10px 16px 10px 34px; border-left: 3px solid var(--leaked);
  background: var(--card); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 16px; }
figure { margin: 0; padding: 14px 14px 8px; } figcaption { font-weight: 600; }
figcaption span { display: block; font-weight: 400; font-size: 13px; }
svg { display: block; width: 100%; height: auto; }
.key { display: flex; flex-wrap: wrap; gap: 4px 22px; margin: 0 0 12px; }
.key svg { display: inline-block; width: 34px; height: 14px; vertical-align: -2px; }
.grid { stroke: var(--rule); } .axis { stroke: var(--soft); fill: none; }
.cut { stroke: var(--soft); stroke-dasharray: 2 4; fill: none; }
.tick { fill: var(--soft); font-size: 11.5px; text-anchor: end; } .under { text-anchor: middle; }
.line { fill: none; stroke: var(--c); stroke-width: 2; } .band { fill: var(--c); opacity: .15; }
.bar { stroke: var(--c); stroke-width: 2; opacity: .5; } .mark { fill: var(--c); }
.line.in_persona { stroke-dasharray: 7 4; } .line.leaked { stroke-dasharray: 2 4; }
.neutral { --c: var(--neutral); } .in_persona { --c: var(--in_persona); }
.leaked { --c: var(--leaked); } .long { --c: var(--long); }
.sheet { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap; } tr:last-child > * { border-bottom: 0; }
th { font-weight: 600; } thead th { color: var(--soft); font-size: 13px; }
th:first-child, td:first-child { text-align: left; }
.fact-depth th:first-child { position: sticky; left: 0; background: var(--card); }
.fact-depth td, .fact-depth thead th { text-align: center; padding: 4px 6px; }
.fact-depth thead th:first-child { text-align: left; }
.fact-depth .first { border-left: 2px solid var(--rule); }
.v { border-radius: 5px; display: inline-block; min-width: 40px; padding: 0 6px; font-size: 13px; }
.v.right { background: var(--right); color: var(--right-ink); }
.v.wrong { background: var(--wrong); color: var(--wrong-ink); }
.v.leak { background: var(--leak); color: var(--leak-ink); font-weight: 700; }
details { margin: 8px 0; padding: 8px 16px; } summary { cursor: pointer; }
details h3 { font-size: 15px; margin: 16px 0 2px; }
.replies td { text-align: left; white-space: normal; vertical-align: top; padding: 3px 10px; }
.replies td:first-child, .replies td:nth-child(2) { white-space: nowrap; width: 1%; }
.replies td:last-child { overflow-wrap: anywhere; white-space: pre-wrap; }
"""

STYLE = f"""
:root {{ color-scheme: light dark;
  --page: #fbfaf7; --card: #ffffff; --ink: #22252b; --soft: #6a6f7a; --rule: #e4e2dc;{LIGHT}}}
@media (prefers-color-scheme: dark) {{ :root {{
  --page: #15171b; --card: #1d2026; --ink: #e6e4de; --soft: #9aa0ab; --rule: #32363e;{DARK}}} }}
{_FRAME}{PIECES}"""
