"use strict";
const told = (id) => JSON.parse(document.getElementById(id).textContent);

for (const place of document.querySelectorAll(".plot")) {
  const figure = told(`json-${place.id}`);
  if (place.clientWidth < 640 && figure.layout.legend) {
    Object.assign(figure.layout.legend, { orientation: "h", x: 0, y: -0.15, yanchor: "top" });
  }
  Plotly.newPlot(place, figure.data, figure.layout, {
    displaylogo: false,
    displayModeBar: "bar" in place.dataset ? "hover" : false,
    showSendToCloud: false, // nothing leaves the page
    plotlyServerURL: "",
    responsive: true,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg", filename: place.id },
  });
}

// Sorting: numbers by their unrounded value, which stands in data-v; what is not known comes last either way.
const value = (cell) => (cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v === "" ? null : Number(cell.dataset.v));
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        const order = typeof a === "number" ? a - b : a.localeCompare(b);
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

// Audiences: rows that the page holds, written as CSV by the browser.
const quoted = (cell) => (cell === null ? "" : /[",\r\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell));
for (const button of document.querySelectorAll("button.save")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const { columns, rows } = told("json-audience");
    const wanted = "verdict" in button.dataset ? [button.dataset.verdict, button.dataset.destination || null] : null;
    const at = ["verdict", "destination"].map((name) => columns.indexOf(name));
    const kept = wanted ? rows.filter((row) => at.every((column, i) => row[column] === wanted[i])) : rows;
    const text = [columns, ...kept].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
    link.download = `${button.dataset.name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000); // some browsers read it only after the click
  });
}
