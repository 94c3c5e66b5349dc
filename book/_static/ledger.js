/* The ledger of claims: choose the rows of one chapter, of one verdict under the paper's procedure, and of one under the
   recommended fit. A fact about the data has one verdict, which counts for both. Without this script all rows are shown. */
"use strict";

addEventListener("DOMContentLoaded", () => {
  const tables = [...document.querySelectorAll(".ledger")];
  const rows = tables.flatMap((table) => [...table.querySelectorAll("tbody tr")]);
  if (!rows.length) return;
  const text = (row, selector) => row.querySelector(selector)?.textContent.trim() ?? "";
  const chapter = (row) => text(row, '.source a[href*="chapters/"]:last-of-type');
  const first = (row) => text(row, ".verdict");
  const second = (row) => text(row, "td:nth-child(4) .verdict") || first(row);
  const kinds = [["Chapter", chapter], ["Paper's procedure", first], ["Recommended fit", second]];
  const filters = kinds.map(([name, value]) => {
    const label = document.createElement("label"), select = document.createElement("select");
    select.add(new Option("all", ""));
    for (const one of new Set(rows.map(value))) select.add(new Option(one, one));
    label.append(`${name} `, select);
    return { label, select, value };
  });
  const count = document.createElement("output");
  const choose = () => {
    const shown = rows.filter((row) =>
      !row.classList.toggle("left-out", filters.some(({ select, value }) => select.value && select.value !== value(row))));
    for (const table of tables) {
      table.closest("section").classList.toggle("left-out", !shown.some((row) => table.contains(row)));
    }
    count.textContent = `${shown.length} of ${rows.length} claims`;
  };
  const form = document.createElement("form");
  form.className = "ledger-filter";
  form.append(...filters.map(({ label }) => label), count);
  form.addEventListener("change", choose);
  tables[0].closest("section").before(form);
  choose();
});
