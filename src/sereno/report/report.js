"use strict";

// Tables: a click on a column's head sorts by it, and a second click the other way round.
for (const table of document.querySelectorAll("table.scores")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => {
        const cell = row.cells[column];
        const value = column === 0 ? cell.textContent.trim() : parseFloat(cell.dataset.value);
        return { row, value, missing: Number.isNaN(value) };
      });
      rows.sort((one, other) => {
        if (one.missing || other.missing) return one.missing - other.missing; // what is not known stays below
        if (column === 0) return direction * one.value.localeCompare(other.value);
        return direction * (one.value - other.value);
      });
      for (const { row } of rows) body.append(row);
    });
  });
}

// The gallery: which images stand in the four maps follows from day, method and what is to stand beside.
const source = document.getElementById("gallery");
if (source) {
  const gallery = JSON.parse(source.textContent);
  const find = (id) => document.getElementById(id);
  const titles = { error: gallery.error, std: "Standard deviation", truth: "Truth" };

  const put = (id, image, ramp, ticks, units) => {
    find(id).setAttribute("href", image);
    const bar = find(id + "-bar");
    bar.querySelector("img").src = ramp;
    bar.querySelector(".units").textContent = units;
    bar.querySelector(".ticks").replaceChildren(
      ...ticks.map(([place, text]) => {
        const tick = document.createElement("span");
        tick.textContent = text;
        tick.style.left = place + "%";
        return tick;
      }),
    );
  };

  const show = () => {
    const day = gallery.days[find("day").value];
    const method = gallery.methods[document.querySelector("input[name=method]:checked").value];
    const view = document.querySelector("input[name=view]:checked").value;
    const made = method.days[find("day").value];
    const { ramps, units, bars } = gallery;
    find("date").textContent = day.date;
    find("day").setAttribute("aria-valuetext", day.date);
    find("caption").textContent = [day.date, method.name, made.caption].filter(Boolean).join(" · ");
    find("mean-title").textContent = "Analysis: " + method.name;
    find("beside-title").textContent = titles[view];
    for (const name of ["observed", "withheld"]) put(name, day[name], ramps.value, day.bar, units.value);
    put("mean", made.mean, ramps.value, day.bar, units.value);
    if (view === "truth") put("beside", day.truth, ramps.value, day.bar, units.value);
    else put("beside", made[view], ramps[view], bars[view], units.difference);
  };

  for (const input of document.querySelectorAll(".controls input")) input.addEventListener("input", show);
  show();
}
