"use strict";
const table = document.getElementById("benchmarks");
if (table) {
  const body = table.tBodies[0];
  for (const button of table.querySelectorAll("th[data-column]")) {
    button.addEventListener("click", () => {
      const down = button.getAttribute("aria-sort") !== "descending";
      const column = Number(button.dataset.column);
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        const order = column ? Number(x) - Number(y) : x.localeCompare(y);
        return down ? -order : order;
      });
      for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      button.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...rows);
    });
  }
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const row of body.rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
      document.querySelector(row.querySelector("a").hash).closest("section").hidden = row.hidden;
    }
  });
}
