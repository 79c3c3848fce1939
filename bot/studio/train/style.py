"""How the tab Train looks: only the theme's own colours, so that light and dark both work."""

CSS = """
#tab-train .quiet, #tab-train .note { color: var(--body-text-color-subdued); margin: .3rem 0; }
#tab-train h3 { margin: 0; font-size: 1.15rem; overflow-wrap: anywhere; }
#tab-train small { color: var(--body-text-color-subdued); }
.train-head { display: flex; align-items: center; gap: .6rem; flex-wrap: wrap; }
.chip { font-size: .8rem; padding: .1rem .6rem; border-radius: 1rem; white-space: nowrap;
  border: 1px solid var(--border-color-primary); color: var(--body-text-color); }
.chip.running, .chip.stopping { border-color: var(--color-accent); color: var(--color-accent); }
.chip.failed { border-color: var(--error-border-color, #dc2626);
  color: var(--error-text-color, #dc2626); }
#train-now .bar { height: 8px; border-radius: 4px; margin: .8rem 0; overflow: hidden;
  background: var(--border-color-primary); }
#train-now .bar > div { height: 100%; border-radius: 4px; background: var(--color-accent);
  transition: width .6s ease; }
#train-now .bar > .failed, #train-now .bar > .stopped { background: var(--neutral-400); }
#tab-train dl { display: grid; gap: .6rem; margin: .4rem 0;
  grid-template-columns: repeat(auto-fit, minmax(92px, 1fr)); }
#tab-train dl.cost { grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); }
#tab-train dl > div { border: 1px solid var(--border-color-primary); padding: .5rem .7rem;
  border-radius: var(--radius-lg); background: var(--background-fill-secondary); min-width: 0; }
#tab-train dt { font-size: .8rem; color: var(--body-text-color-subdued); }
#tab-train dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
#train-cost { min-height: 92px; }
#train-now { min-height: 168px; }
#train-curves .legend { font-size: .85rem; color: var(--body-text-color-subdued);
  display: flex; align-items: center; flex-wrap: wrap; gap: .2rem 1rem; margin-bottom: .3rem; }
#train-curves .legend span { white-space: nowrap; }
#train-curves .key { display: inline-block; width: 22px; height: 0;
  border-top: 2px solid var(--color-accent); vertical-align: middle; margin-right: .4rem; }
#train-curves .key.dev { border-top: 2px dashed var(--body-text-color); }
#train-curves svg { width: 100%; height: auto; display: block; }
#train-curves .grid { stroke: var(--border-color-primary); stroke-width: 1; }
#train-curves .tick { fill: var(--body-text-color-subdued); font-size: 11px; text-anchor: end; }
#train-curves .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
#train-curves .curve.loss { stroke: var(--color-accent); }
#train-curves .curve.dev { stroke: var(--body-text-color); stroke-dasharray: 5 4; }
#train-curves .dot.loss { fill: var(--color-accent); }
#train-curves .dot.dev { fill: var(--body-text-color); }
#train-probes h4 { margin: .9rem 0 .35rem; font-size: 1rem; }
#train-probes .answers { display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fit, minmax(122px, 1fr)); }
#train-probes .answer { border: 1px solid var(--border-color-primary); padding: .5rem .7rem;
  border-radius: var(--radius-lg); background: var(--background-fill-secondary);
  border-left: 3px solid var(--neutral-400); min-width: 0; }
#train-probes .answer.right { border-left-color: var(--color-accent); }
#train-probes .answer small b { color: var(--body-text-color-subdued); }
#train-probes .answer.right small b { color: var(--color-accent); }
#train-probes .answer p { margin: .2rem 0 0; overflow-wrap: anywhere; }
#train-queue ol { list-style: none; margin: 0; padding: 0; }
#train-queue li { display: flex; align-items: center; gap: .7rem; padding: .45rem 0;
  border-bottom: 1px solid var(--border-color-primary); }
#train-queue li b { flex: 1; overflow-wrap: anywhere; }
#train-queue button { border: 1px solid var(--border-color-primary); cursor: pointer;
  border-radius: var(--radius-md); padding: .2rem .7rem; color: var(--body-text-color);
  font-size: .85rem; font-weight: 500; box-shadow: none;
  background: var(--button-secondary-background-fill); }
#tab-train .faults { border-left: 3px solid var(--error-border-color, #dc2626);
  padding: .5rem .8rem; border-radius: var(--radius-sm); margin: .4rem 0;
  background: var(--background-fill-secondary); }
#tab-train .faults p { margin: .15rem 0; overflow-wrap: anywhere; }
#tab-train .faults .fix { color: var(--body-text-color-subdued); }
#train-output pre { max-height: 320px; overflow: auto; font-size: .8rem; margin: 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 700px) { /* who looks in from a phone looks after what goes on */
  #train-sides:has(.chip.running, .chip.stopping, .chip.waiting) > :last-child { order: -1; }
}
@media (max-width: 480px) {
  #train-curves .tick { font-size: 17px; }
  #train-probes .answers { grid-template-columns: 1fr; }
}
"""
