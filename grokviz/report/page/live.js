// A page that is served while a run trains: it asks whether there is more, and shows it.
"use strict";

const MILLISECONDS_BETWEEN = 1000;

function saying(words) {
  document.getElementById("live").textContent = words;
}

// The new page in the place of the old one, at the same view; at the newest stop, if that is where the cursor was.
async function renew() {
  const page = new DOMParser().parseFromString(await (await fetch("/", { cache: "no-store" })).text(), "text/html");
  const { state, clock, band } = window.grokviz;
  const view = { ...state.values };
  const [top, playing] = [window.scrollY, band.timer !== null];
  if (view.epoch === clock.stops[clock.stops.length - 1] && !playing) delete view.epoch;
  band.pause();
  window.grokviz.plots.watcher.disconnect();
  for (const each of window.grokviz.views) each.end?.();
  history.replaceState(null, "", fragmentOf({ ...view, epoch: null }));
  document.title = page.title;
  document.body.replaceChildren(...page.body.childNodes);
  document.documentElement.dataset.version = page.documentElement.dataset.version;
  window.grokviz = await build(view);
  window.scrollTo(0, top);
}

async function watch() {
  let busy = false;
  setInterval(async () => {
    if (busy) return;
    busy = true;
    try {
      const { version, status, live } = await (await fetch("/version", { cache: "no-store" })).json();
      if (String(version) !== document.documentElement.dataset.version) await renew();
      saying(live ? `live: ${status}` : `no longer live: ${status}`);
    } catch {
      saying("no longer live: the server has ended, and this is the last that it showed");
    }
    busy = false;
  }, MILLISECONDS_BETWEEN);
}
