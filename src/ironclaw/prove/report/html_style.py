"""What the page of a proof looks like, and the few lines that filter it. No text of a proof here.

Colours carry no meaning alone: each verdict is also a word.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d2127; --soft: #5b6470; --line: #dcdad5;
  --good: #17653a; --good-bg: #e4f3ea; --bad: #a11616; --bad-bg: #fce8e6;
  --warn: #7a4b00; --warn-bg: #fdf1d8; --link: #1d4f91; --code: #f1efeb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --card: #1c2026; --ink: #e7e9ec; --soft: #a3acb8; --line: #333a43;
    --good: #86d9a5; --good-bg: #16301f; --bad: #ff9d94; --bad-bg: #3c1917;
    --warn: #f2c877; --warn-bg: #35290f; --link: #9cc3f7; --code: #262b32;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main, header, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 0; }
a { color: var(--link); }
a:focus-visible, button:focus-visible, input:focus-visible {
  outline: 3px solid var(--link); outline-offset: 2px;
}
code {
  font: .86em/1.45 ui-monospace, "SFMono-Regular", Menlo, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere;
}
.verdict {
  border-radius: .6rem; padding: 1rem 1.25rem; border: 1px solid; font-size: 1.05rem;
  display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline;
}
.verdict strong { font-size: 1.4rem; letter-spacing: .02em; }
.verdict.good { background: var(--good-bg); color: var(--good); border-color: var(--good); }
.verdict.part { background: var(--warn-bg); color: var(--warn); border-color: var(--warn); }
.verdict a { color: inherit; }
.verdict.bad { background: var(--bad-bg); color: var(--bad); border-color: var(--bad); }
.facts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .5rem 1.5rem;
  margin: 1.25rem 0;
}
.facts div { min-width: 0; }
.facts .wide { grid-column: 1 / -1; order: 1; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.how { color: var(--soft); max-width: 62rem; }
.filter {
  position: sticky; top: 0; z-index: 1; background: var(--paper); padding: .75rem 0;
  border-bottom: 1px solid var(--line); margin-bottom: 1.5rem;
  display: flex; flex-wrap: wrap; gap: .4rem; align-items: center;
}
.filter button, .filter input {
  font: inherit; font-size: .88rem; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 1rem; padding: .25rem .8rem; min-height: 2rem;
}
.filter button { cursor: pointer; }
.filter button[aria-pressed="true"] {
  background: var(--ink); color: var(--paper); border-color: var(--ink);
}
.filter input { flex: 1 1 11rem; border-radius: .4rem; }
section { margin: 0 0 2rem; }
section > div.head { display: flex; gap: .75rem; align-items: baseline; margin-bottom: .5rem; }
.count { color: var(--soft); font-size: .9rem; }
.count.bad { color: var(--bad); font-weight: 600; }
table {
  width: 100%; border-collapse: collapse; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem; table-layout: fixed;
}
th, td {
  text-align: left; vertical-align: top; padding: .6rem .75rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere;
}
thead th { border-top: 0; color: var(--soft); font-size: .78rem; font-weight: 600; }
td p { margin: 0; }
.small { color: var(--soft); font-size: .86rem; }
.w-result { width: 8.5rem; } .w-control { width: 19%; } .w-outcome { width: 17%; }
.w-twin { width: 22%; } .w-name { width: 30%; }
.mark {
  display: inline-block; white-space: nowrap;
  font-size: .75rem; font-weight: 700; letter-spacing: .04em;
  padding: .1rem .5rem; border-radius: .3rem; border: 1px solid;
}
.mark.good { color: var(--good); background: var(--good-bg); border-color: var(--good); }
.mark.bad { color: var(--bad); background: var(--bad-bg); border-color: var(--bad); }
.mark.warn { color: var(--warn); background: var(--warn-bg); border-color: var(--warn); }
tr.failed { background: var(--bad-bg); }
.outcome { background: var(--code); padding: .1rem .35rem; border-radius: .25rem; }
[hidden] { display: none !important; }
footer { color: var(--soft); font-size: .86rem; padding-bottom: 3rem; }
@media (max-width: 46rem) {
  .filter { position: static; }
  table, tbody, tr, td { display: block; width: auto; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { border-top: 1px solid var(--line); padding: .6rem .25rem; }
  tbody tr:first-child { border-top: 0; }
  td { border: 0; padding: .2rem .6rem; }
  td[data-label]::before {
    content: attr(data-label); display: block; color: var(--soft); font-size: .74rem;
  }
}
@media print {
  :root {
    --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --code: #fff;
    --good: #000; --good-bg: #fff; --bad: #000; --bad-bg: #eee; --warn: #000; --warn-bg: #fff;
  }
  body { font-size: 9.5pt; }
  .filter { display: none; }
  tr, .verdict { break-inside: avoid; }
  section > div.head { break-after: avoid; }
  tr[hidden], section[hidden] { display: revert !important; }
}
"""

SCRIPT: Final = """
const bar = document.querySelector(".filter");
const find = bar.querySelector("input");
const buttons = [...bar.querySelectorAll("button")];
const sections = [...document.querySelectorAll("section[data-group]")];
function show() {
  const pressed = buttons.find(b => b.getAttribute("aria-pressed") === "true").dataset.only;
  const word = find.value.trim().toLowerCase();
  for (const section of sections) {
    let seen = 0;
    for (const row of section.querySelectorAll("tbody tr")) {
      const wanted = (pressed === "" || pressed === section.dataset.group ||
        (pressed === "!" && row.classList.contains("failed"))) &&
        row.textContent.toLowerCase().includes(word);
      row.hidden = !wanted;
      seen += wanted;
    }
    section.hidden = seen === 0;
  }
  document.getElementById("none").hidden = sections.some(section => !section.hidden);
}
for (const button of buttons) {
  button.addEventListener("click", () => {
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    show();
  });
}
find.addEventListener("input", show);
bar.hidden = false;
"""
