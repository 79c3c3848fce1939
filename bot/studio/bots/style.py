"""How the tab Bots looks: the theme's own colours, so that light and dark both fit."""

from __future__ import annotations

CSS = """
#tab-bots { --good: var(--color-green-500); --warn: var(--color-amber-500);
  --bad: var(--color-red-500); }
#tab-bots .bots-status { display: flex; align-items: center; gap: 0.9rem; padding: 0.9rem 1.1rem;
  background: var(--block-background-fill); border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-lg); }
#tab-bots .bots-status > div { display: flex; flex-wrap: wrap; align-items: baseline;
  gap: 0.1rem 0.8rem; }
#tab-bots .bots-status strong { font-size: 1.15rem; color: var(--body-text-color); }
#tab-bots .bots-status div > span { color: var(--body-text-color-subdued); }
#tab-bots .bots-dot { display: inline-block; flex: none; width: 0.75rem; height: 0.75rem;
  border-radius: 50%; margin-right: 0.35rem; background: var(--body-text-color-subdued); }
#tab-bots .bots-dot.bots-good { background: var(--good);
  box-shadow: 0 0 0 4px color-mix(in srgb, var(--good) 22%, transparent); }
#tab-bots .bots-dot.bots-warn { background: var(--warn);
  box-shadow: 0 0 0 4px color-mix(in srgb, var(--warn) 22%, transparent); }
#tab-bots .bots-dot.bots-bad { background: var(--bad);
  box-shadow: 0 0 0 4px color-mix(in srgb, var(--bad) 22%, transparent); }
#tab-bots .bots-card .bots-dot { width: 0.6rem; height: 0.6rem; box-shadow: none; }
#tab-bots .bots-box { border-left: 3px solid var(--color-accent); padding: 0.55rem 0.9rem;
  background: var(--background-fill-secondary); border-radius: var(--radius-md);
  color: var(--body-text-color); overflow-wrap: anywhere; }
#tab-bots .bots-box.bots-good { border-color: var(--good); }
#tab-bots .bots-box.bots-warn { border-color: var(--warn); }
#tab-bots .bots-box.bots-bad { border-color: var(--bad); }
#tab-bots .bots-box + .bots-box { margin-top: 0.5rem; }
#tab-bots .bots-box pre { margin: 0.4rem 0 0; max-height: 16rem; overflow: auto; font-size: 0.82em;
  white-space: pre-wrap; background: none; color: var(--body-text-color-subdued); }
#tab-bots .bots-fault { margin: 0.25rem 0; }
#tab-bots .bots-fix { color: var(--body-text-color-subdued); padding-left: 1rem; }
#tab-bots .bots-cards { display: grid; gap: 0.7rem;
  grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
#tab-bots .bots-card { padding: 0.7rem 0.9rem; border-radius: var(--radius-lg);
  border: 1px solid var(--border-color-primary); background: var(--block-background-fill);
  overflow-wrap: anywhere; }
#tab-bots .bots-how, #tab-bots .bots-detail { color: var(--body-text-color-subdued);
  font-size: 0.88em; }
#tab-bots .bots-good-text { font-size: 0.92em; }
#tab-bots .bots-bad-text { font-size: 0.92em; font-weight: 600; }
#tab-bots .bots-tiles { display: grid; gap: 0.6rem;
  grid-template-columns: repeat(4, minmax(0, 1fr)); }
#tab-bots .bots-tile { display: flex; flex-direction: column; padding: 0.55rem 0.8rem;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); }
#tab-bots .bots-tile b { font-size: 1.35rem; font-variant-numeric: tabular-nums;
  color: var(--body-text-color); line-height: 1.3; }
#tab-bots .bots-tile span { font-size: 0.8em; color: var(--body-text-color-subdued); }
#tab-bots .bots-tile.bots-alarm { border-color: var(--warn); }
#tab-bots .bots-table { width: 100%; border-collapse: collapse; font-size: var(--text-sm);
  margin: 0; border: 0; }
#tab-bots .bots-table, #tab-bots .bots-table :is(thead, tbody, tr) { border: 0 !important; }
#tab-bots .bots-table th, #tab-bots .bots-table td { padding: 0.4rem 0.5rem; text-align: left;
  border: 0; border-bottom: 1px solid var(--border-color-primary); overflow-wrap: anywhere;
  color: var(--body-text-color); background: none; }
#tab-bots .bots-table th { color: var(--body-text-color-subdued); font-weight: 500; }
#tab-bots .bots-messages, #tab-bots .bots-troubles { list-style: none; margin: 0; padding: 0;
  display: flex; flex-direction: column; gap: 0.5rem; }
#tab-bots .bots-messages { max-height: 28rem; overflow: auto; }
#tab-bots .bots-messages li { margin: 0; padding: 0.45rem 0.8rem; max-width: 88%;
  border-radius: var(--radius-lg); border: 1px solid var(--border-color-primary);
  background: var(--block-background-fill); align-self: flex-start; }
#tab-bots .bots-messages li.bots-ours { align-self: flex-end;
  background: var(--color-accent-soft); }
#tab-bots .bots-meta { font-size: 0.78em; color: var(--body-text-color-subdued); }
#tab-bots .bots-text { white-space: pre-wrap; overflow-wrap: anywhere;
  color: var(--body-text-color); }
#tab-bots .bots-masked { letter-spacing: 0.04em; color: var(--body-text-color-subdued); }
#tab-bots .bots-chip { margin-left: 0.5rem; padding: 0 0.5rem; border-radius: 999px;
  border: 1px solid var(--border-color-primary); white-space: nowrap; }
#tab-bots .bots-chip-failed, #tab-bots .bots-chip-refused { border-color: var(--bad); }
#tab-bots .bots-chip-unknown, #tab-bots .bots-chip-accepted, #tab-bots .bots-chip-pending {
  border-color: var(--warn); }
#tab-bots .bots-troubles li { display: grid; grid-template-columns: 7.5rem 1fr; gap: 0.6rem;
  margin: 0; padding: 0.35rem 0.7rem; border-left: 3px solid var(--warn);
  background: var(--background-fill-secondary); border-radius: var(--radius-sm); }
#tab-bots .bots-troubles li.bots-bad { border-color: var(--bad); }
#tab-bots .bots-troubles time { color: var(--body-text-color-subdued); font-size: 0.85em;
  font-variant-numeric: tabular-nums; }
#tab-bots .bots-troubles div { white-space: pre-wrap; overflow-wrap: anywhere; }
#tab-bots .bots-empty { color: var(--body-text-color-subdued); margin: 0.3rem 0; }
#tab-bots h3 { margin: 0.6rem 0 0.1rem; font-size: 1rem; }
#tab-bots .html-container { padding: 0; }
#bots-notice:not(:has(.bots-box)), #bots-problems:not(:has(.bots-box)) { display: none; }
#bots-buttons { gap: 0.5rem; }
#bots-buttons button { flex: 0 1 auto; min-width: 6.5rem; }
@media (max-width: 640px) {
  #tab-bots .bots-tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  #tab-bots .bots-troubles li { grid-template-columns: 1fr; gap: 0; }
  #tab-bots .bots-messages li { max-width: 96%; }
  #bots-buttons button { flex: 1 1 40%; min-width: 0; }
}
"""
