// Tables that are sorted by a click on a column's head: down first, up by the next click.
"use strict";

function sortTable(table, column, descending) {
  const body = table.tBodies[0];
  const value = (row) => {
    const number = Number(row.cells[column].dataset.value);
    return Number.isNaN(number) ? -Infinity : number;
  };
  const rows = [...body.rows].sort((one, other) => (value(one) - value(other)) * (descending ? -1 : 1));
  body.append(...rows);
  for (const [i, head] of [...table.tHead.rows[0].cells].entries()) {
    if (i === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

function makeSortable(table) {
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    head.querySelector("button").addEventListener("click", () => {
      sortTable(table, column, head.getAttribute("aria-sort") !== "descending");
    });
  }
}
