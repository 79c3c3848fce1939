"""The look of the tab Evaluate: the report's pieces in the page's own colours."""

from trainer.report_style import DARK, LIGHT, PIECES

_OWN = """
p { margin: 0 0 8px; } h3 { font-size: 1.05rem; font-weight: 600; margin: 22px 0 6px; }
small, .soft, i { color: var(--soft); font-style: normal; font-weight: 400; }
.lead { font-size: 1.02rem; color: var(--soft); margin: 10px 2px; max-width: 46em; }
.who { margin: 0; } .who b { font-size: 1.2rem; margin-right: 8px; }
.who span { color: var(--soft); }
.note, .fault-box { margin: 8px 0; padding: 8px 14px; border-radius: 8px; background: var(--card);
  border: 1px solid var(--rule); border-left: 3px solid var(--leaked); }
.fault-box { list-style: none; } .fault-box li { margin: 2px 0; overflow-wrap: anywhere; }
.fault-box p { margin: 2px 0 4px; color: var(--soft); white-space: pre-wrap; }
.tiles { margin: 12px 0 4px; grid-template-columns: repeat(auto-fit, minmax(175px, 1fr)); }
.charts { grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); }
h3:first-child { margin-top: 0; }
.tile p { font-size: .82rem; line-height: 1.5; color: var(--soft); margin: 6px 0 0; }
.tile .name { display: block; font-size: .86rem; font-weight: 600; color: var(--ink); }
.tile b { font-size: 1.7rem; } .tile b small { font-size: .8rem; white-space: nowrap; }
.meter { position: relative; height: 6px; margin: 4px 0 6px; border-radius: 3px;
  background: var(--rule); --c: var(--in_persona); }
.meter.bad { --c: var(--leaked); }
.meter s, .meter u { position: absolute; top: 0; height: 100%; border-radius: 3px; }
.meter s { left: 0; background: var(--c); } .meter u { top: -3px; height: 12px;
  border-left: 2px solid var(--c); border-right: 2px solid var(--c); border-radius: 0; }
figure svg { max-height: 300px; } .tick { font-size: 12.5px; }
.footnotes { margin: 8px 2px; padding-left: 1.2em; font-size: .84rem; color: var(--soft); }
figcaption { font-size: .95rem; }
summary { color: var(--soft); } summary:hover { color: var(--ink); }
.sheet { contain: inline-size; }
.fact-depth { font-size: .82rem; } .fact-depth td, .fact-depth thead th { padding: 3px 2px; }
.fact-depth th, .fact-depth thead th:first-child { padding-left: 10px; }
 .sheet:has(.fact-depth) { max-height: min(70vh, 720px); overflow: auto; }
.fact-depth thead th { position: sticky; top: 0; background: var(--card); z-index: 1; }
.fact-depth thead tr + tr th { top: 1.9em; }
.fact-depth thead th:first-child { z-index: 2; }
.fact-depth th:first-child { z-index: 1; max-width: 10.2em; overflow: hidden;
  text-overflow: ellipsis; }
.fact-depth th i { margin-left: 8px; font-size: .92em; }
button.v { border: 0; font: inherit; font-size: 12px; line-height: 1.8; cursor: pointer;
  min-width: 34px; padding: 0 3px; white-space: nowrap; font-variant-numeric: tabular-nums; }
button.v:hover { filter: brightness(1.07) contrast(1.08); }
button.v:focus-visible { outline: 2px solid var(--ink); outline-offset: 1px; }
button.v.on { outline: 2px solid var(--ink); outline-offset: 1px; }
.bubble { width: fit-content; max-width: 88%; margin: 5px 0; padding: 6px 12px;
  border-radius: 14px; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5;
  background: var(--card); border: 1px solid var(--rule); }
.bubble.user { margin-left: auto; border-bottom-right-radius: 4px; background: var(--said);
  border-color: transparent; }
.bubble.assistant { border-bottom-left-radius: 4px; }
.bubble.dim { opacity: .62; font-size: .9em; }
.bubble.wrong { border-color: var(--wrong-ink); } .bubble.leak { border-color: var(--leak); }
.bubble.right { border-color: var(--in_persona); }
.fork { margin: 14px 0 8px; padding-top: 10px; border-top: 1px dashed var(--rule);
  color: var(--soft); font-size: .86rem; }
.asked { margin: 0 0 14px; } .asked > small { display: block; text-align: right; }
.why { list-style: none; margin: 4px 0 0; padding: 0; font-size: .84rem; color: var(--soft); }
.why li { margin: 2px 0; overflow-wrap: anywhere; } .why .v { min-width: 0; }
code { font-size: .92em; padding: 0 4px; border-radius: 4px; background: var(--rule);
  overflow-wrap: anywhere; }
.arms th i { display: block; font-size: .8rem; white-space: normal; }
.arms td.tuned, .trio .tuned { font-weight: 600; }
.meanings th { text-align: left; } .meanings td { text-align: left; white-space: normal; }
.trio { margin: 0 0 18px; } .trio .soft { text-align: right; font-size: .84rem; margin: 0 0 6px; }
.three { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 8px; }
.three > div { padding: 8px 12px; border: 1px solid var(--rule); border-radius: 10px;
  background: var(--card); overflow-wrap: anywhere; max-height: 9em; overflow-y: auto; }
.three > .tuned { border-color: var(--in_persona); } .three small { display: block; }
em { font-style: normal; font-size: .85em; font-weight: 600; }
em.up { color: var(--in_persona); } em.down { color: var(--leaked); }
.job { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; min-height: 2.6em; }
.job .track { flex: 1 1 180px; height: 8px; border-radius: 4px; background: var(--rule);
  overflow: hidden; } .job .track s { display: block; height: 100%; border-radius: 4px;
  background: var(--in_persona); transition: width .6s; }
.job .told { font-variant-numeric: tabular-nums; }
@media (max-width: 640px) { .fact-depth th i { display: none; }
  .fact-depth th:first-child { max-width: 7.5em; }
  .charts { grid-template-columns: 1fr; } .tiles { grid-template-columns: 1fr 1fr; }
  .tile { padding: 10px 12px; } .tile b { font-size: 1.35rem; } .tile b small { font-size: .7rem; }
  .arms th, .arms td { padding: 5px 6px; } .arms td { white-space: normal; } }
"""

CSS = f"""
.ev {{ --card: var(--block-background-fill); --ink: var(--body-text-color);
  --soft: var(--body-text-color-subdued); --rule: var(--border-color-primary);
  --said: var(--color-accent-soft); color: var(--ink); line-height: 1.55;{LIGHT}}}
.dark .ev {{{DARK}}}
.ev {{ {PIECES}{_OWN} }}
.ev-block .html-container {{ padding: 0; }}
#evaluate-talk {{ position: sticky; top: 8px; align-self: flex-start; }}
#evaluate-talk .ev {{ max-height: min(78vh, 800px); overflow-y: auto; padding: 0 4px 12px; }}
#evaluate-measure {{ padding: 14px; border: 1px solid var(--border-color-primary);
  border-radius: 12px; background: var(--block-background-fill); gap: 10px; }}
#evaluate-measure .block {{ padding: 0; border: 0; box-shadow: none; overflow: visible; }}
#evaluate-how .wrap {{ padding-bottom: 3px; }}
#evaluate-status {{ min-height: 2.6em; }}
#evaluate-status .fault-box {{ margin: 0; }}
#evaluate-top, #evaluate-facts-head {{ align-items: center; }}
#evaluate-facts-head .block {{ background: none; border: 0; box-shadow: none; }}
@media (max-width: 900px) {{ #evaluate-talk {{ position: static; }}
  #evaluate-talk .ev {{ max-height: none; }} }}
"""
