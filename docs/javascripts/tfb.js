// A square of a strip leads to its evidence, which may be folded: unfold what holds the target of the address.
// Browsers do so themselves when they first go there, but not all, and none when the same link is followed again.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let each = target; each; each = each.parentElement) {
    if (each instanceof HTMLDetailsElement) each.open = true;
  }
  if (target?.closest(".tfb-evidence")) target.scrollIntoView();
}

addEventListener("hashchange", unfold);
addEventListener("DOMContentLoaded", unfold);
addEventListener("click", (event) => {
  const link = event.target.closest?.(".tfb-strip a");
  if (link && link.hash === location.hash) unfold();
});
