// What the pages do better with a script. Without it, all links and forms work.
"use strict";

// Shows or hides the text of a password field.
for (const button of document.querySelectorAll("[data-shows]")) {
  const field = document.getElementById(button.dataset.shows);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
}

// Chooses the answer of a form that a field belongs to.
for (const field of document.querySelectorAll("[data-chooses]")) {
  field.addEventListener("input", () => {
    document.getElementById(field.dataset.chooses).checked = true;
  });
}

// Copies a field that is shown once.
for (const button of document.querySelectorAll("[data-copies]")) {
  const field = document.getElementById(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      // Browsers offer the clipboard on HTTPS and on this machine only.
      document.execCommand("copy");
    }
    button.textContent = "Copied";
  });
}

// Asks before a form is sent that ends something.
for (const form of document.querySelectorAll("form[data-ask]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.ask)) event.preventDefault();
  });
}

// Lists the InfluxQL that the form of a user's rights will run.
for (const form of document.querySelectorAll("form[data-runs-list]")) {
  const box = form.querySelector(".runs");
  const update = () => {
    const statements = [];
    for (const field of form.querySelectorAll("[data-runs]")) {
      const was = field.dataset.was === "yes";
      const changed = field.type === "checkbox" ? field.checked !== was : field.checked;
      if (changed) statements.push(field.dataset.runs);
    }
    box.hidden = statements.length === 0;
    box.querySelector("pre").textContent = statements.join("\n");
  };
  form.addEventListener("change", update);
  update();
}

// A slash moves to the filter of the page; Escape leaves a field.
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  const filter = document.querySelector("[data-filter]");
  if (event.key === "/" && filter && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    filter.focus();
    filter.select();
  } else if (event.key === "Escape" && typing) {
    event.target.blur();
  }
});

// The arrow keys move among the links of a table.
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
for (const table of document.querySelectorAll("table[data-grid]")) {
  table.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    const cell = event.target.closest("th, td");
    if (!step || !cell || event.target.matches("input, select")) return;
    const rows = [...table.rows];
    let row = rows.indexOf(cell.parentElement) + step[0];
    let column = cell.cellIndex + step[1];
    while (rows[row] && rows[row].cells[column]) {
      const next = rows[row].cells[column].querySelector("a, button");
      if (next) {
        event.preventDefault();
        next.focus();
        return;
      }
      row += step[0];
      column += step[1];
    }
  });
}
