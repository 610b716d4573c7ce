"use strict";
// Tables that sort by a click on a heading, and show the rows that match a text and a chosen word.
for (const box of document.querySelectorAll(".table")) {
  const body = box.querySelector("tbody");
  const rows = Array.from(body.rows);
  const heads = Array.from(box.querySelectorAll("th"));
  const value = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => (down ? -1 : 1) * compare(value(a, column), value(b, column)));
      body.append(...rows);
    });
  });
  const search = box.querySelector("input");
  const choice = box.querySelector("select");
  const output = box.querySelector("output");
  const filter = () => {
    const words = search ? search.value.toLowerCase().split(/\s+/) : [];
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const marked = !choice || !choice.value || (row.dataset.marks || "").split(" ").includes(choice.value);
      row.hidden = !(marked && words.every((word) => text.includes(word)));
      shown += row.hidden ? 0 : 1;
    }
    if (output) output.textContent = shown === rows.length ? "" : shown + " of " + rows.length;
  };
  if (search) search.addEventListener("input", filter);
  if (choice) choice.addEventListener("change", filter);
}
// A link to a failure opens it.
const open = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", open);
open();
