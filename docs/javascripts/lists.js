// The index and the planner: forms that leave of a list what is asked for. What is asked stands in the address.
function form(selector, apply) {
  const found = document.querySelector(selector);
  if (!found) return;
  const fields = [...found.elements].filter((each) => each.name);
  const defaults = Object.fromEntries(fields.map((each) => [each.name, each.value]));
  const address = new URLSearchParams(location.search);
  for (const each of fields) {
    const given = address.get(each.name) ?? each.dataset.start;
    if (given !== undefined && given !== null && (each.type === "search" || [...each.options].some((o) => o.value === given))) each.value = given;
  }
  const update = () => {
    const values = Object.fromEntries(fields.map((each) => [each.name, each.value]));
    const asked = new URL(location);
    for (const [name, value] of Object.entries(values)) {
      if (value === defaults[name]) asked.searchParams.delete(name);
      else asked.searchParams.set(name, value);
    }
    history.replaceState(null, "", asked);
    found.querySelector("output").value = apply(values, found);
  };
  found.addEventListener("input", update);
  found.addEventListener("submit", (event) => event.preventDefault());
  update();
}

form(".tfb-filter", (asked) => {
  const list = document.querySelector(".tfb-index");
  const items = (form.items ??= [...list.children]);
  const words = asked.q.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = items.filter(({ dataset, textContent }) =>
    (!asked.topic || dataset.topic === asked.topic) && (!asked.kind || dataset.kind === asked.kind) &&
    (!asked.on || dataset.on.split(" ").includes(asked.on)) && (!asked.since || dataset.since === asked.since) &&
    words.every((word) => textContent.toLowerCase().includes(word)));
  if (asked.sort === "sites") kept.sort((a, b) => b.dataset.sites - a.dataset.sites);
  list.replaceChildren(...kept);
  return `${kept.length} of ${items.length}`;
});

const ticked = {
  all() { try { return JSON.parse(localStorage.getItem("tfb.ticked") ?? "[]"); } catch { return []; } },
  set(id, on) {
    const rest = this.all().filter((each) => each !== id);
    try { localStorage.setItem("tfb.ticked", JSON.stringify(on ? [...rest, id] : rest)); } catch { /* it holds for this page */ }
  },
};

const planner = document.querySelector(".tfb-planner");
if (planner) {
  const to = planner.elements.to;
  if (release.chosen) to.dataset.start = release.chosen;
  const items = [...document.querySelectorAll(".tfb-todo li")].sort((a, b) => b.dataset.sites - a.dataset.sites);
  const done = ticked.all();
  for (const item of items) item.querySelector("input").checked = done.includes(item.dataset.id);
  document.querySelector(".tfb-todo").addEventListener("change", (event) =>
    ticked.set(event.target.closest("li").dataset.id, event.target.checked));

  // What the page tells by masks: a hexadecimal number of which bit n is the nth release.
  const pins = planner.dataset.pins.split(" ");
  const has = (mask, pin) => (parseInt(mask, 16) >> pins.indexOf(pin)) & 1;
  const broken = (item, pin) => item.dataset.broken.split(" ").map((mask) => has(mask, pin));

  form(".tfb-planner", (asked) => {
    let count = 0;
    for (const item of items) {
      if (item.dataset.broken === undefined) {
        for (const fix of item.querySelectorAll(".tfb-lost"))
          fix.hidden = !(has(fix.dataset.works, asked.from) && has(fix.dataset.fails, asked.to));
        item.hidden = !item.querySelector(".tfb-lost:not([hidden])");
        continue;
      }
      const works = broken(item, asked.from).map((each) => !each);
      const breaks = (pin) => broken(item, pin).some((each, number) => each && works[number]);
      item.hidden = !breaks(asked.to);
      const first = pins.slice(pins.indexOf(asked.from) + 1).find(breaks);
      if (first) document.querySelector(`[data-step="${first}"] ul`).append(item);
      for (const each of item.querySelectorAll("[data-pins]")) each.hidden = !each.dataset.pins.split(" ").includes(asked.to);
      count += !item.hidden;
    }
    for (const step of document.querySelectorAll(".tfb-todo section")) step.hidden = !step.querySelector("li:not([hidden])");
    const lost = items.filter((item) => item.dataset.broken === undefined && !item.hidden).length;
    return `${count} to fix` + (lost ? `; of ${lost}, a fix stops working` : "");
  });

  const markdown = () => [`## From TensorFlow ${planner.elements.from.value} to ${to.value}`, ...[...document.querySelectorAll(".tfb-todo section:not([hidden])")].flatMap((step) => [
    "", `### ${step.querySelector("h2").firstChild.textContent.trim()}`, "", ...[...step.querySelectorAll("li:not([hidden])")].map((item) => {
      const link = item.querySelector("label a");
      const fix = [...item.querySelectorAll("span:not([hidden])")].map((each) => each.textContent.trim()).join("; ");
      return `- [${item.querySelector("input").checked ? "x" : " "}] [${link.textContent}](${link.href}): ${fix}`;
    })])].join("\n") + "\n";
  planner.querySelector("[data-do=print]").addEventListener("click", () => print());
  planner.querySelector("[data-do=copy]").addEventListener("click", async () => {
    await navigator.clipboard.writeText(markdown());
    planner.querySelector("output").value = "Copied.";
  });
}
