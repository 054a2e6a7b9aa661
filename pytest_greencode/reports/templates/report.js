"use strict";
// The page is whole without this. With it tables sort and filter, links open what is closed, and charts can be explored.
(() => {
  const root = document.documentElement;
  const language = () => document.querySelector(".toggle:checked").id.replace("language-", "");

  // Sorting: a button in each heading; numbers by the unrounded value, what is not known last either way.
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.v !== undefined ? cell.dataset.v : cell.textContent.trim();
    const number = parseFloat(text.replace(/^>\s*/, ""));
    return text === "" || text === "?" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  const sort = (table, column, down) => {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row, place) => ({ row, place, key: value(row, column) }));
    rows.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
      return (down ? -1 : 1) * compare(a.key, b.key) || a.place - b.place;
    });
    body.append(...rows.map((each) => each.row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, column, down);
      });
    });
  }

  // Filtering.
  for (const box of document.querySelectorAll(".filter")) {
    const rows = Array.from(document.getElementById(box.dataset.table).tBodies[0].rows, (row) => ({
      row,
      text: `${row.cells[0].textContent} ${row.cells[1].textContent} ${row.cells[1].title}`.toLowerCase(),
      kind: row.dataset.kind,
    }));
    const search = box.querySelector("[type=search]");
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kind = box.querySelector("[type=radio]:checked").value;
      let shown = 0;
      for (const each of rows) {
        const found = (kind === "all" || kind === each.kind) && words.every((word) => each.text.includes(word));
        each.row.hidden = !found;
        shown += found;
      }
      box.querySelector("output").textContent = shown;
    };
    box.hidden = false;
    box.addEventListener("input", apply);
    apply(); // browsers keep what was typed over a reload
  }

  // A link into something closed opens it.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    let closed = false;
    for (let each = target; each; each = each.parentElement) {
      if (each.tagName === "DETAILS" && !each.open) closed = each.open = true;
    }
    if (closed) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();

  // Charts to explore, where plotly came along. The still picture stays until its chart is drawn, and for print.
  const source = document.getElementById("plots");
  const plots = source && window.Plotly ? JSON.parse(source.textContent) : {};
  const coloured = (part) => {
    const style = getComputedStyle(root);
    return JSON.parse(JSON.stringify(part), (_, item) =>
      typeof item === "string" ? item.replace(/^var\((--[\w-]+)\)$/, (_, name) => style.getPropertyValue(name).trim()) : item);
  };
  const settings = { displayModeBar: false, responsive: true };
  const draw = (figure) => {
    const plot = plots[figure.dataset.plot];
    if (!plot) return;
    let place = figure.querySelector(".plot");
    if (!place) {
      place = document.createElement("div");
      place.className = "plot";
      figure.append(place);
    }
    const { data, layout } = coloured(plot[language()]);
    const font = { ...layout.font, family: getComputedStyle(document.body).fontFamily };
    window.Plotly.react(place, data, { ...layout, font }, settings).then(
      () => figure.classList.add("explored"),
      () => { place.remove(); },
    );
  };
  const figures = Array.from(document.querySelectorAll("figure[data-plot]"));
  const redraw = () => {
    root.lang = language();
    for (const figure of figures) if (figure.querySelector(".plot")) draw(figure);
  };
  for (const toggle of document.querySelectorAll(".toggle")) toggle.addEventListener("change", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  redraw();
  // On a phone the still pictures, drawn for its width, serve better.
  if (Object.keys(plots).length && matchMedia("(min-width: 44rem)").matches) {
    const near = new IntersectionObserver((seen) => {
      for (const each of seen) if (each.isIntersecting) { near.unobserve(each.target); draw(each.target); }
    }, { rootMargin: "600px" });
    figures.forEach((figure) => near.observe(figure));
  }
})();
