/* The list of all messages: show those that contain the words of the reader. Without this script all are shown. */
"use strict";

addEventListener("DOMContentLoaded", () => {
  const folds = [...document.querySelectorAll("details.refusals")];
  if (!folds.length) return;
  const entries = folds.flatMap((fold) => [...fold.querySelectorAll("dt")].map((term) => {
    const parts = [term];
    for (let next = term.nextElementSibling; next?.tagName === "DD"; next = next.nextElementSibling) parts.push(next);
    return { fold, parts, text: parts.map((part) => part.textContent).join(" ").toLowerCase() };
  }));
  const form = document.createElement("form"), label = document.createElement("label");
  const input = document.createElement("input"), count = document.createElement("output");
  form.className = "ledger-filter";
  input.type = "search";
  label.append("Words of the message ", input);
  form.append(label, count);
  const choose = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = entries.filter(({ parts, text }) => {
      const fits = words.every((word) => text.includes(word));
      parts.forEach((part) => part.classList.toggle("left-out", !fits));
      return fits;
    });
    for (const fold of folds) {
      const some = shown.some((entry) => entry.fold === fold);
      fold.classList.toggle("left-out", !some);
      fold.open = words.length > 0 && some;
    }
    count.textContent = `${shown.length} of ${entries.length} messages`;
  };
  form.addEventListener("input", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  folds[0].before(form);
  choose();
});
