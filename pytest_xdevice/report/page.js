"use strict";
// What is in a box that matches its text and its chosen word is shown.
const connect = (box, items) => {
  const search = box.querySelector("input");
  const choice = box.querySelector("select");
  const output = box.querySelector("output");
  const filter = () => {
    const words = search ? search.value.toLowerCase().split(/\s+/) : [];
    let shown = 0;
    for (const item of items) {
      const text = item.textContent.toLowerCase();
      const marked = !choice || !choice.value || (item.dataset.marks || "").split(" ").includes(choice.value);
      item.hidden = !(marked && words.every((word) => text.includes(word)));
      shown += item.hidden ? 0 : 1;
    }
    if (output) output.textContent = shown === items.length ? "" : shown + " of " + items.length;
  };
  if (search) search.addEventListener("input", filter);
  if (choice) choice.addEventListener("change", filter);
};
for (const box of document.querySelectorAll(".list")) connect(box, Array.from(box.querySelectorAll("details")));
// Tables also sort by a click on a heading.
for (const box of document.querySelectorAll(".table")) {
  const body = box.querySelector("tbody");
  const rows = Array.from(body.rows);
  const heads = Array.from(box.querySelectorAll("th"));
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent.trim();
    return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
  };
  // What is no number stays at the end, whichever way the others are sorted.
  const compare = (a, b, sign) => {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => compare(value(a, column), value(b, column), down ? -1 : 1));
      body.append(...rows);
    });
  });
  connect(box, rows);
}
// A link to a failure opens it.
const open = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (!target || target.tagName !== "DETAILS") return;
  target.open = true;
  if (!target.hidden) return;
  target.hidden = false;
  target.scrollIntoView();
};
addEventListener("hashchange", open);
open();
