"""How the Persona tab looks, and what its drawn pieces do in the browser.

Colours are the theme's own, so that light and dark both fit; only the amber of advice is
not in it.
"""

from __future__ import annotations

CSS = """
#tab-persona { --advice: #b45309; --wrong: #b91c1c; --right: #15803d; }
.dark #tab-persona { --advice: #fbbf24; --wrong: #f87171; --right: #4ade80; }
#tab-persona :is(.fault, .facts button, .chips button) { font: inherit; }
#tab-persona .fine { color: var(--right); margin: 0.3rem 0; }
#tab-persona .none, #tab-persona .lead { color: var(--body-text-color-subdued);
  margin: 0.4rem 0; }
#tab-persona .error { color: var(--wrong); }
#tab-persona .warning { color: var(--advice); }
#persona-sides > .column:last-child { position: sticky; top: 0.5rem; align-self: flex-start; }
#persona-bar { align-items: end; gap: 0.5rem; }
#persona-bar button { min-width: 5.5rem; min-height: 2.6rem; font-size: var(--text-md);
  white-space: nowrap; }
#persona-welcome h2 { margin: 0.2rem 0; font-size: 1.35rem; }
#persona-welcome p { margin: 0.2rem 0; color: var(--body-text-color-subdued); }
#tab-persona .status { display: flex; flex-wrap: wrap; gap: 0.3rem 0.9rem;
  align-items: baseline; min-height: 1.6rem; font-size: var(--text-sm); }
#tab-persona .status .saved { font-weight: 600; }
#tab-persona .amount { border: 1px solid var(--border-color-primary); border-radius: 999px;
  padding: 0.05rem 0.6rem; background: var(--background-fill-primary); }
#tab-persona .status .fine { margin: 0 !important; }
#tab-persona .asking { border: 1px solid var(--color-accent); border-radius: var(--radius-lg);
  padding: 0.7rem; gap: 0.5rem; background: var(--background-fill-secondary); }
#tab-persona .asking .notice { border: 0; padding: 0; background: none; }
#tab-persona .notice { border-left: 3px solid var(--color-accent); padding: 0.5rem 0.8rem;
  margin: 0.2rem 0; background: var(--background-fill-secondary);
  border-radius: var(--radius-md); }
#tab-persona .notice.locked { border-color: var(--wrong, #b91c1c); }
#tab-persona .fault-list { display: flex; flex-direction: column; gap: 0.3rem; max-height: 22rem;
  overflow: auto; }
#tab-persona .fault { display: grid; grid-template-columns: auto auto 1fr; gap: 0 0.6rem;
  width: 100%; text-align: left; padding: 0.45rem 0.7rem; border-radius: var(--radius-md);
  border: 1px solid var(--border-color-primary); border-left: 3px solid currentColor;
  background: var(--background-fill-primary); cursor: pointer; }
#tab-persona .fault:hover, #tab-persona .fault:focus-visible {
  background: var(--background-fill-secondary); }
#tab-persona .fault .where { color: var(--body-text-color-subdued);
  font-variant-numeric: tabular-nums; }
#tab-persona .fault .what { color: var(--body-text-color); grid-column: 1 / -1; }
#tab-persona .fault code { grid-column: 1 / -1; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; color: var(--body-text-color);
  background: var(--background-fill-secondary); padding: 0.05rem 0.4rem; border-radius: 4px;
  font-size: 0.85em; }
#tab-persona .fault .kind { font-weight: 600; font-size: 0.85em; }
#tab-persona .fix { color: var(--body-text-color-subdued); }
#tab-persona .fault .fix { grid-column: 1 / -1; font-size: 0.92em; }
#tab-persona .brief { margin: 0.2rem 0 0.2rem 1.1rem; padding: 0; font-size: 0.92em; }
#tab-persona .persona-scroll { max-height: 19rem; overflow: auto;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-md); }
#tab-persona .facts { width: 100%; border-collapse: collapse; font-size: var(--text-sm);
  table-layout: fixed; }
#tab-persona .facts th, #tab-persona .facts td { padding: 0.35rem 0.5rem; text-align: left;
  vertical-align: top; border-bottom: 1px solid var(--border-color-primary); font-weight: 400; }
#tab-persona .facts thead th { position: sticky; top: 0;
  background: var(--background-fill-secondary); color: var(--body-text-color-subdued);
  z-index: 1; font-size: 0.85em; }
#tab-persona .facts tbody th { width: 22%; overflow-wrap: anywhere; }
#tab-persona .facts thead th:first-child { width: 22%; }
#tab-persona .facts tr[data-fact] { cursor: pointer; }
#tab-persona .facts tr[data-fact]:hover { background: var(--background-fill-secondary); }
#tab-persona .facts tr[aria-current] { background: var(--color-accent-soft); }
#tab-persona .facts button { background: none; border: 0; box-shadow: none; padding: 0.1rem 0;
  color: var(--link-text-color); font-weight: 600; text-align: left; cursor: pointer;
  overflow-wrap: anywhere; }
#tab-persona .facts td > div { display: -webkit-box; -webkit-line-clamp: 2;
  -webkit-box-orient: vertical; overflow: hidden; overflow-wrap: anywhere; }
#tab-persona .facts .mark { font-style: normal; font-size: 0.7em; margin-left: 0.3rem; }
#tab-persona .facts code { background: none; font-size: 0.92em; padding: 0; }
#tab-persona .count { font-variant-numeric: tabular-nums; color: var(--body-text-color-subdued); }
#tab-persona .facts.talks th[scope=row] { width: 3.4rem; }
#tab-persona .facts.talks td.count { width: 2.6rem; }
#tab-persona .chips { display: flex; flex-wrap: wrap; gap: 0.35rem; margin: 0.2rem 0 0.6rem; }
#tab-persona .chips button { border: 1px solid var(--border-color-primary);
  border-radius: 999px; padding: 0.3rem 0.8rem; background: var(--background-fill-primary);
  cursor: pointer; color: var(--body-text-color); font-size: var(--text-sm); text-align: left; }
#tab-persona .chips button:hover, #tab-persona .chips button:focus-visible {
  border-color: var(--color-accent); background: var(--color-accent-soft); }
#tab-persona h4 { margin: 0.5rem 0 0.1rem; }
#tab-persona .bubbles { display: flex; flex-direction: column; gap: 0.35rem; padding: 0.6rem;
  border-radius: var(--radius-md); background: var(--background-fill-secondary);
  margin-bottom: 0.6rem; }
#tab-persona .bubbles p { margin: 0; padding: 0.45rem 0.8rem; border-radius: 14px;
  max-width: 85%; white-space: pre-wrap; overflow-wrap: anywhere; width: fit-content; }
#tab-persona .bubbles .user { align-self: flex-end; background: var(--color-accent-soft);
  border-bottom-right-radius: 4px; }
#tab-persona .bubbles .bot { align-self: flex-start; background: var(--background-fill-primary);
  border: 1px solid var(--border-color-primary); border-bottom-left-radius: 4px; }
#tab-persona .bubbles .faint { opacity: 0.55; }
#tab-persona .difference { font-family: var(--font-mono); font-size: 0.82rem; max-height: 20rem;
  overflow: auto; border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-md); }
#tab-persona .difference div { padding: 0 0.6rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
#tab-persona .difference .added { background: color-mix(in srgb, #22c55e 18%, transparent); }
#tab-persona .difference .removed { background: color-mix(in srgb, #ef4444 18%, transparent); }
#tab-persona .kinds { width: 100%; border-collapse: collapse; font-size: var(--text-sm); }
#tab-persona .kinds th, #tab-persona .kinds td { padding: 0.3rem 0.5rem; text-align: left;
  font-weight: 400; border-bottom: 1px solid var(--border-color-primary); }
#tab-persona .kinds th { font-weight: 600; }
#tab-persona .kinds .bar { width: 22%; }
#tab-persona .kinds .bar i { display: block; height: 0.5rem; border-radius: 4px;
  background: var(--color-accent); }
#persona-yaml .has-error { color: #fff !important; background: #dc2626; border-radius: 3px; }
#persona-yaml .has-warning { background: color-mix(in srgb, #f59e0b 45%, transparent);
  border-radius: 3px; }
#persona-yaml .cm-scroller { max-height: 36rem !important; }
@media (max-width: 700px) {
  #persona-bar > .block { flex: 1 0 100%; }
  #persona-sides > .column:last-child { position: static; }
  #tab-persona .facts th:nth-child(4),
  #tab-persona .facts td:nth-child(4),
  #tab-persona .facts th:nth-child(5),
  #tab-persona .facts td:nth-child(5) { display: none; }
  #tab-persona .facts tbody th, #tab-persona .facts thead th:first-child { width: 30%; }
  #persona-bar button { min-width: 4.5rem; flex: 1; }
}
"""

FAULTS_JS = """
const editor = () => document.querySelector('#persona-yaml .cm-content');
const view = () => { const tile = editor()?.cmTile; return tile?.view ?? tile?.root?.view; };
function mark() {
  const worst = new Map();
  for (const fault of element.querySelectorAll('[data-line]')) {
    if (worst.get(fault.dataset.line) !== 'error')
      worst.set(fault.dataset.line, fault.dataset.severity);
  }
  const numbers = document.querySelectorAll('#persona-yaml .cm-lineNumbers .cm-gutterElement');
  for (const number of numbers) {
    const kind = worst.get(number.textContent);
    number.classList.toggle('has-error', kind === 'error');
    number.classList.toggle('has-warning', kind === 'warning');
  }
}
let watched = null;
function attach() {
  const gutters = document.querySelector('#persona-yaml .cm-gutters');
  if (gutters && gutters !== watched) {
    watched = gutters;
    new MutationObserver(mark).observe(gutters,
      {childList: true, subtree: true, characterData: true});
  }
  mark();
}
element.addEventListener('click', (event) => {
  const fault = event.target.closest('[data-line]');
  const place = view();
  if (!fault || !place) return;
  const number = Math.min(Math.max(1, +fault.dataset.line), place.state.doc.lines);
  const line = place.state.doc.line(number);
  const column = Math.min(Math.max(0, +fault.dataset.column - 1), line.length);
  place.dispatch({selection: {anchor: line.from + column, head: line.to}, scrollIntoView: true});
  place.focus();
});
watch('value', attach);
[0, 300, 1500].forEach((wait) => setTimeout(attach, wait));
"""
"""Marks the numbers of the lines that have faults, and leads from a fault to its line."""

CHOICE_JS = """
element.addEventListener('click', (event) => {
  const chosen = event.target.closest('[data-fact], [data-intent], [data-wording]');
  if (chosen) trigger('click', {...chosen.dataset});
});
"""
"""Tells which row or chip was clicked."""

EARS_JS = """
let waiting = 0;
function heard(event) {
  if (!element.isConnected) return document.removeEventListener('input', heard);
  if (!event.target.closest('#persona-form')) return;
  document.documentElement.dataset.personaSide = 'form';
  clearTimeout(waiting);
  if (!event.isComposing) waiting = setTimeout(() => trigger('input'), 150);
}
document.addEventListener('input', heard);
document.addEventListener('compositionend', (event) => setTimeout(() => heard(
  {target: event.target, isComposing: false}), 0));
"""
"""Tells of whatever is typed into the form. Gradio's text boxes tell of key presses alone,
and so of nothing that is pasted, deleted or written with an input method."""

TO_TRAIN_JS = "() => { document.getElementById('tab-train-button')?.click(); }"


def guarded(count: int, longest: int, *, side_at: int | None = None, side: str = "") -> str:
    """Return the script that sends, of a text that is too long, only how long it is.

    Args:
        count: inputs of the handler.
        longest: characters.
        side_at: which input tells where the user typed last; known in the browser at once,
            before any answer arrives.
        side: where it was, when the event itself tells.
    """
    noted = f"document.documentElement.dataset.personaSide = '{side}';" if side else ""
    told = (
        f"sent[{side_at}] = document.documentElement.dataset.personaSide ?? '';"
        if side_at is not None
        else ""
    )
    return (
        f"(...all) => {{ {noted} const sent = all.slice(0, {count}).map((value) => "
        f"typeof value === 'string' && value.length > {longest} ? "
        f"'\\u0000' + value.length : value); {told} return sent; }}"
    )
