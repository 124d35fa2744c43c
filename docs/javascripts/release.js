// The reader's TensorFlow: chosen once, remembered in this browser, and in the address as ?tf=2.13, so that a link tells it.
// Everything is in the page without this script; it shows what concerns that release first.
const release = {
  get asked() { return new URLSearchParams(location.search).get("tf"); },
  get remembered() { try { return localStorage.getItem("tfb.release"); } catch { return null; } },
  get chosen() { return this.asked ?? this.remembered; },
  choose(pin) {
    try { localStorage.setItem("tfb.release", pin); } catch { /* private browsing: this page still follows */ }
    const address = new URL(location);
    address.searchParams.set("tf", pin);
    history.replaceState(null, "", address);
  },
};

const pinOf = (square) => square.lastChild.textContent;
const squareOf = (strip, pin) => [...strip.querySelectorAll("i")].find((each) => pinOf(each) === pin);

// A page's answer, its squares and its outputs, for one release.
function show(pin) {
  for (const each of document.querySelectorAll(".tfb-verdict")) each.hidden = !each.dataset.pins.split(" ").includes(pin);
  for (const strip of document.querySelectorAll(".tfb-strip")) {
    strip.querySelector("i.here")?.classList.remove("here");
    squareOf(strip, pin)?.classList.add("here");
  }
  for (const program of document.querySelectorAll(".tfb-program")) {
    const link = squareOf(program.querySelector(".tfb-strip"), pin)?.closest("a");
    const target = link && document.getElementById(link.hash.slice(1));
    for (const row of program.querySelectorAll(".tfb-evidence > *")) {
      const here = row === target || row.contains(target);
      row.classList.toggle("here", here);
      if (row instanceof HTMLDetailsElement) row.open = here;
    }
  }
}

// A square leads to its evidence, which may be folded: unfold what holds the target of the address.
// Browsers do so themselves when they first go there, but not all, and none when the same link is followed again.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let each = target; each; each = each.parentElement) {
    if (each instanceof HTMLDetailsElement) each.open = true;
  }
  if (target?.closest(".tfb-evidence")) target.scrollIntoView();
}

const select = document.querySelector(".tfb-release");
if (select) {
  const known = [...select.options].map((each) => each.value);
  if (known.includes(release.chosen)) {
    select.value = release.chosen;
    release.choose(select.value);
    show(select.value);
  }
  select.addEventListener("change", () => { release.choose(select.value); show(select.value); });
}

unfold();
addEventListener("hashchange", unfold);
addEventListener("click", (event) => {
  const link = event.target.closest?.(".tfb-strip a");
  if (link && link.hash === location.hash) unfold();
});
